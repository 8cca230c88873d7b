//! What a requesting worker keeps of its transactions.

use std::time::{Duration, Instant};

use crate::metrics::latency::Latencies;
use crate::outcome::half::Schedule;
use crate::workload::gate::Gate;
use crate::workload::tally::Tally;
use crate::workload::{Account, Worker};

/// A send later than this counts as late: twice the kernel's default timer slack (prctl(2)).
const LATE: Duration = Duration::from_micros(100);

/// When a request was due and when it was sent; the same in closed loop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) due: Instant,
    pub(super) sent: Instant,
}

impl Stamp {
    pub(super) const fn closed_loop(at: Instant) -> Self {
        Self { due: at, sent: at }
    }
}

/// Histograms and the schedule's account of one worker.
#[derive(Debug)]
pub(super) struct Record {
    latency: Latencies,
    service_time: Option<Latencies>,
    schedule: Option<Schedule>,
}

impl Record {
    pub(super) fn new(open_loop: bool) -> Self {
        Self {
            latency: Latencies::new(),
            service_time: open_loop.then(Latencies::new),
            schedule: open_loop.then(Schedule::default),
        }
    }

    /// A transaction ended at `now`; it counts if that is inside the window.
    #[inline]
    pub(super) fn completed(&mut self, gate: &Gate, tally: &Tally, stamp: Stamp, now: Instant) {
        if !gate.counting() {
            return;
        }
        let latency = nanoseconds(now - stamp.due);
        self.latency.record(latency);
        tally.transaction(latency);
        if let Some(service_time) = &mut self.service_time {
            service_time.record(nanoseconds(now - stamp.sent));
        }
    }

    /// A request was sent in open loop.
    pub(super) fn sent(&mut self, gate: &Gate, stamp: Stamp) {
        if let Some(schedule) = self.schedule.as_mut().filter(|_| gate.counting()) {
            let lateness = stamp.sent.saturating_duration_since(stamp.due);
            schedule.late += u64::from(lateness > LATE);
            schedule.max_lateness_ns = schedule.max_lateness_ns.max(nanoseconds(lateness));
        }
    }

    /// What one flow owed the schedule: `due` requests in the window, `unfinished` at its close.
    pub(super) fn owed(&mut self, due: u64, unfinished: u64) {
        if let Some(schedule) = &mut self.schedule {
            schedule.due += due;
            schedule.unfinished += unfinished;
        }
    }

    pub(super) fn account(self) -> Account {
        Account {
            latency: Some(self.latency),
            service_time: self.service_time,
            schedule: self.schedule,
            ..Account::default()
        }
    }
}

/// Notes the first step of each of the worker's flows.
pub(super) fn first_step(worker: &Worker<'_>, flow: usize) {
    worker.tally(flow).first_step(worker.since_release_ns());
}

#[inline]
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
