//! Whether bytes come faster than a rate allows.
//!
//! Enters: how many bytes have come by when. Leaves: whether they are more than a second's worth
//! ahead of the rate: short bursts are let be, and who keeps above the rate is found out, the
//! sooner the further above.

use std::time::{Duration, Instant};

use podperf_model::units::BitRate;

/// What may come ahead of the rate.
const MAX_AHEAD: Duration = Duration::from_secs(1);
/// Least of it: a message or two may come at once.
const MIN_AHEAD_BYTES: u128 = 1 << 20;
/// The rate is taken for so much higher: clocks differ, and a sender's pacing is not exact.
const TOLERANCE_PERCENT: u128 = 2;

/// Measures one run.
#[derive(Debug)]
pub(super) struct RateMeter {
    rate: BitRate,
    /// When it was looked at last, and the bytes until then.
    last: Instant,
    bytes: u64,
    /// Bytes ahead of the rate.
    ahead: u128,
}

impl RateMeter {
    /// Begins at `now`.
    pub(super) const fn new(rate: BitRate, now: Instant) -> Self {
        Self { rate, last: now, bytes: 0, ahead: 0 }
    }

    /// Takes the bytes that have come until `now`. True: they are too many.
    pub(super) fn exceeds(&mut self, bytes: u64, now: Instant) -> bool {
        let come = u128::from(bytes.saturating_sub(self.bytes));
        let elapsed = now.saturating_duration_since(self.last);
        let allowed = self.bytes_in(elapsed) * (100 + TOLERANCE_PERCENT) / 100;
        self.ahead = (self.ahead + come).saturating_sub(allowed);
        (self.last, self.bytes) = (now, bytes);
        self.ahead > self.bytes_in(MAX_AHEAD).max(MIN_AHEAD_BYTES)
    }

    fn bytes_in(&self, time: Duration) -> u128 {
        u128::from(self.rate.0 / 8) * time.as_nanos() / 1_000_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: BitRate = BitRate(80_000_000);

    /// Seconds until a sender of so many bytes a second is found out, in steps of a quarter.
    fn found_out(bytes_per_second: u64) -> Option<f64> {
        let begin = Instant::now();
        let mut meter = RateMeter::new(RATE, begin);
        let found = (1..400_u32).find(|quarter| {
            let bytes = bytes_per_second * u64::from(*quarter) / 4;
            meter.exceeds(bytes, begin + Duration::from_millis(250) * *quarter)
        });
        found.map(|quarter| f64::from(quarter) / 4.0)
    }

    #[test]
    fn who_keeps_the_rate_is_let_be_and_who_does_not_is_found_out() {
        for (mbytes, found) in [(9, None), (10, None), (20, Some(1.25)), (100, Some(0.25))] {
            assert_eq!(found_out(mbytes * 1_000_000), found, "{mbytes} MB/s");
        }
        assert!(found_out(11_000_000).is_some_and(|seconds| (5.0..20.0).contains(&seconds)));
    }

    #[test]
    fn a_pause_earns_no_more_than_a_second() {
        let begin = Instant::now();
        let mut meter = RateMeter::new(RATE, begin);
        assert!(!meter.exceeds(0, begin + Duration::from_secs(60)));
        assert!(!meter.exceeds(9_000_000, begin + Duration::from_secs(60)));
        assert!(meter.exceeds(11_000_000, begin + Duration::from_secs(60)));
    }
}
