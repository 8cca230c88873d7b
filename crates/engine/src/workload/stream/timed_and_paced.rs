//! A transport whose steps are timed or come in bursts; chosen outside the loops, so that others
//! pay nothing for it.

use std::io;
use std::time::Instant;

use crate::transport::{BulkReceive, BulkSend};
use crate::workload::gate::Gate;
use crate::workload::pace::Bursts;
use crate::workload::schedule::nanoseconds;
use crate::workload::{Worker, WorkerReport};
use podperf_model::latency::Latencies;
use podperf_model::result::end_result::{ReceiveUse, SendUse};

/// A transport whose calls are timed or paced.
pub(super) struct TimedAndPaced<'a, T> {
    inner: T,
    gate: &'a Gate,
    /// How long calls took that moved bytes in the window.
    times: Option<Latencies>,
    /// Sends come in bursts: those of a flow that has its worker to itself.
    bursts: Option<Bursts>,
}

impl<'a, T> TimedAndPaced<'a, T> {
    /// Whether calls are neither timed nor paced.
    pub(super) const fn is_plain(worker: &Worker<'_>) -> bool {
        !worker.shared.compat.times_calls && worker.shared.compat.pace.is_none()
    }

    pub(super) fn new(worker: &Worker<'a>, inner: T) -> Self {
        let times = worker.shared.compat.times_calls.then(Latencies::new);
        let bursts = Bursts::of(worker).filter(|_| worker.flows.ids.len() == 1);
        Self { inner, gate: worker.gate(), times, bursts }
    }

    /// Adds the times of the calls to the worker's report.
    pub(super) fn report(self, report: WorkerReport) -> WorkerReport {
        WorkerReport { latency: self.times, ..report }
    }

    #[inline]
    fn time(&mut self, step: impl FnOnce(&mut T) -> io::Result<usize>) -> io::Result<usize> {
        let Some(times) = &mut self.times else { return step(&mut self.inner) };
        let begun = Instant::now();
        let moved = step(&mut self.inner);
        if matches!(moved, Ok(1..)) && self.gate.counting() {
            times.record(nanoseconds(begun.elapsed()));
        }
        moved
    }
}

impl<T: BulkSend> BulkSend for TimedAndPaced<'_, T> {
    #[inline]
    fn step(&mut self, flow: usize, limit: usize) -> io::Result<usize> {
        if let Some(bursts) = &mut self.bursts
            && bursts.pass(self.gate).is_none()
        {
            // The stop: the loop that called reads it next.
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.time(|inner| inner.step(flow, limit))
    }

    fn finish(&mut self, bytes: u64) -> SendUse {
        self.inner.finish(bytes)
    }
}

impl<T: BulkReceive> BulkReceive for TimedAndPaced<'_, T> {
    #[inline]
    fn step(&mut self, flow: usize) -> io::Result<usize> {
        self.time(|inner| inner.step(flow))
    }

    fn finish(&mut self, bytes: u64) -> ReceiveUse {
        self.inner.finish(bytes)
    }
}
