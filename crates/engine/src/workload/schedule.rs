//! Open loop: when each request is due, on absolute times, whatever happened before.
//!
//! The flows of a run share its rate evenly, each shifted by its place, so that the whole run sends
//! at even distances.

use std::time::{Duration, Instant};

use crate::workload::Worker;
use crate::workload::gate::Gate;
use podperf_model::latency::Latencies;
use podperf_model::result::end_result::{PacingWire, ScheduleAdherence as Kept};

/// Before a deadline the worker sleeps up to this and then spins: timers wake late by tens of
/// microseconds.
const SPIN_BEFORE_DUE: Duration = Duration::from_micros(80);

/// The longest sleep before the phase is read again.
const STOP_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A send later than this counts as late: twice the kernel's default timer slack (prctl(2)).
const LATE_AFTER: Duration = Duration::from_micros(100);

/// Sleeps to shortly before `due`, then spins. The time then; absent: the run was stopped.
pub(super) fn wait_until(gate: &Gate, due: Instant) -> Option<Instant> {
    while !gate.stopped() {
        let now = Instant::now();
        let left = due.saturating_duration_since(now);
        if left.is_zero() {
            return Some(now);
        }
        if left > SPIN_BEFORE_DUE {
            std::thread::sleep((left - SPIN_BEFORE_DUE).min(STOP_POLL_INTERVAL));
        } else {
            std::hint::spin_loop();
        }
    }
    None
}

/// How evenly the sends of one or several workers went out in the window.
#[derive(Debug, Clone, Default)]
pub struct Pacing {
    /// By how much each send was late, in nanoseconds.
    lateness: Latencies,
    /// Between two sends of one flow, in nanoseconds.
    inter_send: Latencies,
}

impl Pacing {
    /// Adds the measurements of another worker.
    pub fn merge(&mut self, other: &Self) {
        self.lateness.merge(&other.lateness);
        self.inter_send.merge(&other.inter_send);
    }

    /// The form that travels.
    #[must_use]
    pub fn to_wire(&self) -> PacingWire {
        PacingWire { lateness: self.lateness.to_wire(), inter_send: self.inter_send.to_wire() }
    }
}

/// How well one worker kept the schedules of its flows.
#[derive(Debug, Default)]
pub(super) struct ScheduleStats {
    pub(super) kept: Kept,
    pub(super) pacing: Pacing,
}

impl ScheduleStats {
    /// A send that was due at `due` went out at `now`, `gap` after the one before; it counts if
    /// that is inside the window.
    #[inline]
    pub(super) fn sent(&mut self, gate: &Gate, due: Instant, now: Instant, gap: Option<Duration>) {
        if !gate.counting() {
            return;
        }
        let lateness = now.saturating_duration_since(due);
        self.kept.late += u64::from(lateness > LATE_AFTER);
        let lateness = nanoseconds(lateness);
        self.kept.max_lateness_ns = self.kept.max_lateness_ns.max(lateness);
        self.pacing.lateness.record(lateness);
        if let Some(gap) = gap {
            self.pacing.inter_send.record(nanoseconds(gap));
        }
    }

    /// What one flow owed its schedule over the window.
    pub(super) fn owed(&mut self, schedule: &FlowSchedule, gate: &Gate) {
        let (due, unfinished) = schedule.owed(gate.opened_at(), gate.closed_at());
        self.kept.due += due;
        self.kept.unfinished += unfinished;
    }
}

/// A time as histograms keep it.
#[inline]
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The due times of one flow.
#[derive(Debug, Clone)]
pub(super) struct FlowSchedule {
    first: Instant,
    period: Duration,
    /// Requests taken from the schedule so far.
    taken: u64,
    /// Of these, completed before the window closed.
    completed: u64,
    last_sent: Option<Instant>,
}

impl FlowSchedule {
    /// The schedule of the worker's flow number `flow` at `rate` requests per second over all
    /// flows, starting at the release.
    pub(super) fn of(worker: &Worker<'_>, rate: f64, flow: usize) -> Self {
        let release = worker.gate().origin().unwrap_or_else(Instant::now);
        let flows = worker.shared.plan.flows;
        let gap = Duration::from_secs_f64(1.0 / rate);
        // With both directions, the flows of each start over.
        let place = u32::try_from(worker.flows.ids[flow]).unwrap_or(0) % flows.max(1);
        Self {
            first: release + gap * place,
            period: gap * flows,
            taken: 0,
            completed: 0,
            last_sent: None,
        }
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

    /// A request went out at `now`; how long after the one before.
    pub(super) fn sent(&mut self, now: Instant) -> Option<Duration> {
        self.last_sent.replace(now).map(|before| now.saturating_duration_since(before))
    }

    /// A request was answered while the window had not closed.
    pub(super) fn completed(&mut self) {
        self.completed += 1;
    }

    /// Requests due in the window, and those of them not answered when it closed.
    fn owed(&self, opened: Option<Instant>, closed: Option<Instant>) -> (u64, u64) {
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

    fn every_ms() -> (Instant, FlowSchedule) {
        let first = Instant::now();
        let period = Duration::from_millis(1);
        let schedule = FlowSchedule { first, period, taken: 0, completed: 0, last_sent: None };
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
