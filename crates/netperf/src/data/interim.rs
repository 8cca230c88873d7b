//! Interim results: when they are due, and what stands in them.
//!
//! Enters: what an end has counted so far, and the clock. Leaves: results for whoever asked for
//! them, each as long as asked, however late a look comes.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::figures::Interim;

/// Looks by the clock.
pub(super) struct InterimTimer<'a> {
    every: Duration,
    due: Instant,
    since: Instant,
    before: InterimCounts,
    number: u32,
    /// A result without a transaction is put off until there is one: its rate is that of no round
    /// trip, and flent divides by it.
    awaits_transaction: bool,
    watch: &'a mut dyn FnMut(Interim),
}

/// Bytes and transactions so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct InterimCounts {
    pub(super) bytes: u64,
    pub(super) transactions: u64,
}

impl<'a> InterimTimer<'a> {
    pub(super) fn new(
        every: Duration,
        began: Instant,
        awaits_transaction: bool,
        watch: &'a mut dyn FnMut(Interim),
    ) -> Self {
        let before = InterimCounts::default();
        let due = began + every;
        Self { every, due, since: began, before, number: 0, awaits_transaction, watch }
    }

    /// It would tell of no transaction where it has to.
    const fn is_empty(&self, progress: InterimCounts) -> bool {
        self.awaits_transaction && progress.transactions == self.before.transactions
    }

    /// When the next one is due.
    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    pub(super) fn take(&mut self, progress: InterimCounts, now: Instant) {
        if !self.is_empty(progress) {
            self.report(progress, now);
        }
        self.due += self.every;
        // Ticks that were slept through are not made up for.
        while self.due <= now {
            self.due += self.every;
        }
    }

    /// The rest, however short: of counts that have to add up.
    pub(super) fn rest(mut self, progress: InterimCounts, end: Instant) {
        if end > self.since {
            self.report(progress, end);
        }
    }

    /// The last one, where it is long enough to be one. The rate over some moments says nothing,
    /// and who draws it has a point that was never measured.
    pub(super) fn last(mut self, progress: InterimCounts, end: Instant) {
        let seconds = end.saturating_duration_since(self.since);
        if seconds >= self.every / 2 && !self.is_empty(progress) {
            self.report(progress, end);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
    fn report(&mut self, progress: InterimCounts, now: Instant) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = wall.saturating_sub(now.elapsed());
        (self.watch)(Interim {
            number: self.number,
            bytes: progress.bytes.saturating_sub(self.before.bytes),
            transactions: progress.transactions.saturating_sub(self.before.transactions),
            seconds: (now - self.since).as_secs_f64(),
            ending_seconds: wall.as_millis() as f64 / 1e3,
        });
        self.number += 1;
        self.before = progress;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths in tenths of a second and bytes of what a test of so long reports.
    fn reported(tenths: u32, short_too: bool) -> Vec<(u32, u64)> {
        let began = Instant::now();
        let at = |tenths: u32| began + Duration::from_millis(100) * tenths;
        let mut seen = Vec::new();
        let mut watch = |interim: Interim| {
            let tenths = Duration::from_secs_f64(interim.seconds).as_millis().div_ceil(100);
            seen.push((u32::try_from(tenths).unwrap(), interim.bytes));
        };
        let mut timer = InterimTimer::new(Duration::from_millis(400), began, false, &mut watch);
        let moved = |tenths: u32| InterimCounts { bytes: u64::from(tenths), transactions: 0 };
        for tick in (4..=tenths).step_by(4) {
            timer.take(moved(tick), at(tick));
        }
        if short_too {
            timer.rest(moved(tenths), at(tenths));
        } else {
            timer.last(moved(tenths), at(tenths));
        }
        seen
    }

    #[test]
    fn the_rest_is_told_and_a_last_result_has_to_be_long_enough() {
        let whole = [(4, 4), (4, 4)];
        for (tenths, rest, last) in [(8, None, false), (9, Some(1), false), (10, Some(2), true)] {
            let more = rest.map(|rest| (rest, u64::from(rest)));
            let with = |more: Option<_>| whole.into_iter().chain(more).collect::<Vec<_>>();
            assert_eq!(reported(tenths, true), with(more));
            assert_eq!(reported(tenths, false), with(more.filter(|_| last)));
        }
    }

    #[test]
    fn a_result_of_transactions_waits_for_one() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let mut seen = Vec::new();
        let mut watch = |interim: Interim| seen.push((interim.number, interim.transactions));
        let every = Duration::from_millis(200);
        let mut timer = InterimTimer::new(every, began, true, &mut watch);
        let counts = |transactions| InterimCounts { bytes: 0, transactions };
        timer.take(counts(0), at(200));
        assert_eq!(timer.due(), at(400));
        timer.take(counts(3), at(400));
        timer.last(counts(3), at(600));
        assert_eq!(seen, [(0, 3)]);
    }
}
