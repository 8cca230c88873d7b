//! Counts what a run moves, and sees when it is beyond what it may: the bytes of the day, or its
//! rate.
//!
//! Enters: bytes so far, a few times a second. Leaves: the limit, once it is passed.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::admission::AdmittedRun;
use super::meter::RateMeter;
use super::refusal::{PolicyLimit, Refusal};
use podperf_model::units::BitRate;

/// How the server's own sending keeps to the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outgoing {
    /// It is paced, and need not be measured.
    Paced,
    /// It follows what comes in, as answers do.
    Free,
}

/// Measures a run that was let in, which ends when this is dropped.
#[derive(Debug)]
pub struct RunMeter {
    run: AdmittedRun,
    rate: Option<BitRate>,
    outgoing: Outgoing,
    /// Of what is sent and what is received.
    meters: Option<[RateMeter; 2]>,
    counted_bytes: u64,
}

impl RunMeter {
    /// Between two looks.
    pub const INTERVAL: Duration = Duration::from_millis(250);

    /// Begins with a run that may move `rate` each way.
    #[must_use]
    pub const fn new(run: AdmittedRun, rate: Option<BitRate>, outgoing: Outgoing) -> Self {
        Self { run, rate, outgoing, meters: None, counted_bytes: 0 }
    }

    /// The longest that the run may take.
    #[must_use]
    pub fn max_time(&self) -> Option<Duration> {
        self.run.limits().time
    }

    /// The rule that it runs under.
    #[must_use]
    pub fn rule(&self) -> &str {
        self.run.rule()
    }

    /// Takes the bytes sent and received so far; the limit that the run is beyond, if it is.
    pub fn look(&mut self, moved: [u64; 2], today: Timestamp, now: Instant) -> Option<Refusal> {
        let all = moved[0].saturating_add(moved[1]);
        let bytes = all.saturating_sub(self.counted_bytes);
        self.counted_bytes = all;
        if let Err(refusal) = self.run.count_bytes(bytes, today) {
            return Some(refusal);
        }
        let rate = self.rate?;
        let meters = self.meters.get_or_insert_with(|| [0; 2].map(|_| RateMeter::new(rate, now)));
        let measured = [self.outgoing == Outgoing::Free, true];
        let ways = meters.iter_mut().zip(moved).zip(measured).zip(["sent", "received"]);
        for (((meter, bytes), is_measured), way) in ways {
            if is_measured && meter.exceeds(bytes, now) {
                let cause = format!(
                    "rate of a run of rule '{}': more is {way} than {rate} allow",
                    self.run.rule()
                );
                let remedy = "ask for less: --bitrate, which is for each stream, or --rate";
                return Some(Refusal::new(PolicyLimit::Rate, cause, remedy));
            }
        }
        None
    }
}
