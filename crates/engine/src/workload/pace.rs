//! Bursts: so many operations at each tick of an interval timer, for other programs' notion of a
//! rate.
//!
//! Enters: the worker's compatibility options. Leaves: when the next operation may start. A tick
//! that passes while its burst is still to come is not lost, but of several only one is kept.

use std::time::{Duration, Instant};

use super::Worker;
use super::compat::Pace;
use super::gate::Gate;
use super::schedule::wait_until;

/// The longest sleep before the phase is read again.
const STOP_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The bursts of one flow.
#[derive(Debug, Clone)]
pub(super) struct Bursts {
    pace: Pace,
    /// Operations still to come of this burst.
    left: u32,
    /// When it was due.
    tick: Option<Instant>,
}

impl Bursts {
    /// The bursts that the compatibility options ask for; absent: the worker goes on without a
    /// pause.
    pub(super) fn of(worker: &Worker<'_>) -> Option<Self> {
        let pace = worker.shared.compat.pace.filter(|pace| !pace.every.is_zero())?;
        Some(Self { pace, left: 0, tick: None })
    }

    /// Takes the next operation: when it may start if that is later than `now`.
    pub(super) fn take(&mut self, now: Instant) -> Option<Instant> {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            // The burst may still be to come, where several operations are taken at one time.
            return self.tick.filter(|tick| *tick > now);
        }
        self.left = self.pace.operations.saturating_sub(1);
        let Some(last) = self.tick else {
            self.tick = Some(now);
            return None;
        };
        let due = last + self.pace.every;
        let late = now.saturating_duration_since(due).as_nanos() % self.pace.every.as_nanos();
        // The timer's last tick, where some were missed.
        let late = Duration::from_nanos(u64::try_from(late).unwrap_or(0));
        self.tick = Some(if due > now { due } else { now - late });
        (due > now).then_some(due)
    }

    /// Waits until the next operation may start; the time then. Absent: the run was stopped.
    pub(super) fn pass(&mut self, gate: &Gate) -> Option<Instant> {
        let now = Instant::now();
        let Some(due) = self.take(now) else { return (!gate.stopped()).then_some(now) };
        while due.saturating_duration_since(Instant::now()) > 2 * STOP_POLL_INTERVAL {
            if gate.stopped() {
                return None;
            }
            std::thread::sleep(STOP_POLL_INTERVAL);
        }
        wait_until(gate, due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(10);

    fn bursts(operations: u32) -> Bursts {
        Bursts { pace: Pace { operations, every: EVERY }, left: 0, tick: None }
    }

    #[test]
    fn a_burst_goes_at_once_and_the_next_at_the_tick() {
        let start = Instant::now();
        let mut bursts = bursts(2);
        let ms = Duration::from_millis;
        assert_eq!([bursts.take(start), bursts.take(start + ms(1))], [None, None]);
        // However long a burst took.
        assert_eq!(bursts.take(start + ms(3)), Some(start + ms(10)));
        assert_eq!(bursts.take(start + ms(11)), None);
        assert_eq!(bursts.take(start + ms(12)), Some(start + ms(20)));
    }

    #[test]
    fn what_is_taken_before_a_tick_waits_for_it() {
        let start = Instant::now();
        let mut bursts = bursts(2);
        let due: Vec<Option<Duration>> =
            (0..6).map(|_| bursts.take(start).map(|due| due - start)).collect();
        let (first, second) = (Some(EVERY), Some(2 * EVERY));
        assert_eq!(due, [None, None, first, first, second, second]);
    }

    #[test]
    fn of_the_ticks_that_were_missed_one_is_kept() {
        let start = Instant::now();
        let mut bursts = bursts(0);
        let ms = Duration::from_millis;
        assert_eq!(bursts.take(start), None);
        // Ticks at 10, 20 and 30 ms have passed.
        assert_eq!(bursts.take(start + ms(34)), None);
        assert_eq!(bursts.take(start + ms(35)), Some(start + ms(40)));
    }

    #[test]
    fn a_stop_ends_a_long_wait_within_some_milliseconds() {
        let gate = Gate::new();
        let mut bursts =
            Bursts { pace: Pace { operations: 1, every: Duration::from_secs(60) }, ..bursts(1) };
        gate.start(crate::workload::gate::Phase::Window);
        assert!(bursts.pass(&gate).is_some());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| bursts.pass(&gate));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!waiting.is_finished());
            gate.advance(crate::workload::gate::Phase::Stop);
            let since = Instant::now();
            assert_eq!(waiting.join().unwrap(), None);
            assert!(since.elapsed() < Duration::from_secs(5));
        });
    }
}
