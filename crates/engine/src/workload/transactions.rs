//! What a requesting worker keeps of its transactions.

use std::time::Instant;

use crate::workload::gate::Gate;
use crate::workload::schedule::{self, FlowSchedule, nanoseconds};
use crate::workload::send_timer::SendTimer;
use crate::workload::tally::Tally;
use crate::workload::{Worker, WorkerReport};
use podperf_model::latency::Latencies;

/// When a request was due and when it was sent; the same in closed loop.
#[derive(Debug, Clone, Copy)]
pub(in crate::workload) struct Stamp {
    pub(in crate::workload) due: Instant,
    pub(in crate::workload) sent: Instant,
}

impl Stamp {
    pub(in crate::workload) const fn closed_loop(at: Instant) -> Self {
        Self { due: at, sent: at }
    }
}

/// Histograms and schedule statistics of one worker.
#[derive(Debug)]
pub(in crate::workload) struct TransactionStats {
    latency: Latencies,
    service_time: Option<Latencies>,
    schedule: Option<schedule::ScheduleStats>,
}

impl TransactionStats {
    pub(in crate::workload) fn new(open_loop: bool) -> Self {
        Self {
            latency: Latencies::new(),
            service_time: open_loop.then(Latencies::new),
            schedule: open_loop.then(schedule::ScheduleStats::default),
        }
    }

    /// A transaction ended at `now`; it counts if that is inside the window.
    #[inline]
    pub(in crate::workload) fn completed(
        &mut self,
        gate: &Gate,
        tally: &Tally,
        stamp: Stamp,
        now: Instant,
    ) {
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

    /// A request was sent in open loop, by the schedule `of` its flow.
    pub(in crate::workload) fn sent(&mut self, gate: &Gate, of: &mut FlowSchedule, stamp: Stamp) {
        let gap = of.sent(stamp.sent);
        if let Some(schedule) = &mut self.schedule {
            schedule.sent(gate, stamp.due, stamp.sent, gap);
        }
    }

    /// The worker's waits were those of `timer`.
    pub(in crate::workload) fn paced_by(&mut self, timer: &SendTimer) {
        if let Some(schedule) = &mut self.schedule {
            timer.report(&mut schedule.kept);
        }
    }

    /// What one flow owed its schedule over the window.
    pub(in crate::workload) fn owed(&mut self, gate: &Gate, of: &FlowSchedule) {
        if let Some(schedule) = &mut self.schedule {
            schedule.owed(of, gate);
        }
    }

    pub(in crate::workload) fn report(self) -> WorkerReport {
        let (kept, pacing) = self.schedule.map(|own| (own.kept, own.pacing)).unzip();
        WorkerReport {
            latency: Some(self.latency),
            service_time: self.service_time,
            schedule: kept,
            pacing,
            ..WorkerReport::default()
        }
    }
}

/// Notes the first step of each of the worker's flows.
pub(in crate::workload) fn first_step(worker: &Worker<'_>, flow: usize) {
    worker.tally(flow).first_step(worker.since_release_ns());
}
