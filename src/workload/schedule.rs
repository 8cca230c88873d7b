//! Open loop: when each request is due, on absolute times, whatever happened before.
//!
//! The flows of a run share its rate evenly, each shifted by its place, so that the whole run sends
//! at even distances.

use std::time::{Duration, Instant};

use crate::workload::Worker;

/// Before a deadline the worker sleeps up to this and then spins: timers wake late by tens of
/// microseconds.
pub(super) const SPIN: Duration = Duration::from_micros(80);

/// The due times of one flow.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    first: Instant,
    period: Duration,
    /// Requests taken from the schedule so far.
    taken: u64,
    /// Of these, completed before the window closed.
    completed: u64,
}

impl Schedule {
    /// The schedule of the worker's flow number `flow` at `rate` requests per second over all
    /// flows, starting at the release.
    pub(super) fn of(worker: &Worker<'_>, rate: f64, flow: usize) -> Self {
        let release = worker.gate().origin().unwrap_or_else(Instant::now);
        let flows = worker.shared.plan.flows;
        let gap = Duration::from_secs_f64(1.0 / rate);
        let place = u32::try_from(worker.share.flows[flow]).unwrap_or(0);
        Self { first: release + gap * place, period: gap * flows, taken: 0, completed: 0 }
    }

    /// When the next request is due.
    pub(super) fn next(&self) -> Instant {
        self.at(self.taken)
    }

    /// Takes the next request from the schedule.
    pub(super) fn take(&mut self) -> Instant {
        let due = self.next();
        self.taken += 1;
        due
    }

    /// A request was answered while the window had not closed.
    pub(super) fn completed(&mut self) {
        self.completed += 1;
    }

    /// Requests due in the window, and those of them not answered when it closed.
    pub(super) fn owed(&self, opened: Option<Instant>, closed: Option<Instant>) -> (u64, u64) {
        let (Some(opened), Some(closed)) = (opened, closed) else { return (0, 0) };
        let due_by_close = self.due_before(closed);
        let due = due_by_close - self.due_before(opened);
        (due, due_by_close.saturating_sub(self.completed).min(due))
    }

    fn at(&self, number: u64) -> Instant {
        // Multiplied out, never added up, so that no rounding accumulates.
        self.first + Duration::from_secs_f64(self.period.as_secs_f64() * to_f64(number))
    }

    fn due_before(&self, instant: Instant) -> u64 {
        let Some(since) = instant.checked_duration_since(self.first) else { return 0 };
        let periods = since.as_secs_f64() / self.period.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
        let whole = periods.floor() as u64;
        whole + 1
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 requests")]
const fn to_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_ms() -> (Instant, Schedule) {
        let first = Instant::now();
        let schedule = Schedule { first, period: Duration::from_millis(1), taken: 0, completed: 0 };
        (first, schedule)
    }

    #[test]
    fn due_times_do_not_depend_on_when_they_are_taken() {
        let (first, mut schedule) = every_ms();
        assert_eq!(schedule.take(), first);
        assert_eq!(schedule.take(), first + Duration::from_millis(1));
        assert_eq!(schedule.next(), first + Duration::from_millis(2));
    }

    #[test]
    fn what_a_stall_swallows_is_counted_as_unfinished() {
        let (first, mut schedule) = every_ms();
        let at = |ms: f64| Some(first + Duration::from_secs_f64(ms / 1e3));
        (0..150).for_each(|_| schedule.completed());
        // Window from 100 ms to 200 ms: 100 due, of which 150.. to 200 were never answered.
        assert_eq!(schedule.owed(at(100.5), at(200.5)), (100, 51));
        assert_eq!(schedule.owed(None, at(200.5)), (0, 0));
    }
}
