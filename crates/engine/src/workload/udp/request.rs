//! What every requester of datagrams does: waits for responses, gives up what has not been answered
//! in time, and ends its flows. What a request is and which response answers it is its
//! [`RequestSource`]'s.

use std::time::{Duration, Instant};

use super::{ReceiveWait, is_transient};
use crate::transport::buffer::Buffer;
use crate::workload::transactions::{Stamp, TransactionStats, first_step};
use crate::workload::transient::TransientLog;
use crate::workload::{FlowFailure, Worker, WorkerReady, WorkerReport};
use podperf_model::error::Result;
use podperf_model::plan::udp::UdpRrPlan;
use podperf_sys::socket;

/// Requests of a kind, for all flows of a worker.
pub(super) trait RequestSource {
    /// Sends what goes out when nothing is in flight on a flow.
    fn send_first(&mut self, flows: &mut RequestFlows<'_>, flow: usize, now: Instant);

    /// A datagram of so many bytes stands at the front of `flows.incoming`.
    fn take(&mut self, flows: &mut RequestFlows<'_>, flow: usize, bytes: usize, now: Instant);

    /// How many transactions of a flow are lost, because nothing came for the timeout.
    fn late(&mut self, flow: usize, now: Instant, timeout: Duration) -> Option<u64>;

    /// Sends end markers on each of the flows and says that they have ended.
    fn end(worker: &Worker<'_>, flows: &[usize]);
}

/// A worker's flows, as far as it does not matter what they ask.
pub(super) struct RequestFlows<'a> {
    pub(super) worker: &'a Worker<'a>,
    pub(super) outgoing: Buffer,
    pub(super) incoming: Buffer,
    open: Vec<bool>,
    failed: Vec<usize>,
    transactions: TransactionStats,
    timeout: Duration,
    lost: u64,
    transients: TransientLog<'a>,
}

/// Requests on every flow until the stop or until its budget is used up. `prepare` makes the
/// requests and the buffers that they go out of and come into.
pub(super) fn run<A: RequestSource>(
    worker: &Worker<'_>,
    plan: &UdpRrPlan,
    prepare: impl FnOnce() -> Result<(A, [Buffer; 2])>,
) -> WorkerReport {
    let prepared = || {
        let (source, [outgoing, incoming]) = prepare()?;
        let (receive_wait, multiplexing) = ReceiveWait::open(worker)?;
        let flows = RequestFlows {
            worker,
            outgoing,
            incoming,
            open: vec![true; worker.flows.ids.len()],
            failed: Vec::new(),
            transactions: TransactionStats::new(false),
            timeout: plan.timeout,
            lost: 0,
            transients: TransientLog::new(worker),
        };
        Ok(((flows, source, receive_wait), WorkerReady::by(multiplexing)))
    };
    let Some((mut flows, mut source, receive_wait)) = worker.wait_for_start(prepared()) else {
        return WorkerReport::default();
    };
    if let Err(failure) = flows.run(&mut source, receive_wait) {
        worker.ended(0, Err(failure));
    }
    // A flow that failed has ended already.
    let whole: Vec<usize> =
        (0..flows.open.len()).filter(|flow| !flows.failed.contains(flow)).collect();
    A::end(worker, &whole);
    WorkerReport {
        lost_transactions: Some(flows.lost),
        transient_errors: flows.transients.into_counts(),
        ..flows.transactions.report()
    }
}

impl RequestFlows<'_> {
    fn run<A: RequestSource>(
        &mut self,
        source: &mut A,
        mut receive_wait: ReceiveWait,
    ) -> Result<(), FlowFailure> {
        for flow in 0..self.open.len() {
            first_step(self.worker, flow);
            source.send_first(self, flow, Instant::now());
        }
        let gate = self.worker.gate();
        let mut ready = Vec::with_capacity(self.open.len());
        let mut swept = Instant::now();
        while self.open.contains(&true) && !gate.stopped() {
            receive_wait.wait(&mut ready)?;
            let mut now = Instant::now();
            for &flow in &ready {
                now = self.step(source, flow);
            }
            // Often enough that a lost transaction is noticed little after its time.
            if now.saturating_duration_since(swept) > self.timeout / 16 {
                swept = now;
                self.give_up_late(source, now);
            }
        }
        Ok(())
    }

    /// Receives one datagram of a flow; the time then.
    #[inline]
    fn step<A: RequestSource>(&mut self, source: &mut A, flow: usize) -> Instant {
        let result = socket::receive(self.worker.socket(flow), &mut self.incoming);
        let now = Instant::now();
        match result {
            Ok(bytes) if self.open[flow] => source.take(self, flow, bytes, now),
            Ok(_) => {}
            Err(error) if is_transient(&error) => {}
            Err(error) => self.failed(flow, FlowFailure::receive(error)),
        }
        now
    }

    /// A response of so many bytes has come at `now` to what was sent at `sent`.
    #[inline]
    pub(super) fn completed(&mut self, flow: usize, bytes: usize, sent: Instant, now: Instant) {
        let tally = self.worker.tally(flow);
        tally.received(bytes);
        self.transactions.completed(self.worker.gate(), tally, Stamp::closed_loop(sent), now);
    }

    /// Sends what stands in `outgoing`.
    #[inline]
    pub(super) fn send(&mut self, flow: usize) {
        match socket::send(self.worker.socket(flow), &self.outgoing) {
            Ok(bytes) => self.worker.tally(flow).sent(bytes),
            // No room: as if it had been lost on its way.
            Err(error) if is_transient(&error) => {}
            Err(error) => self.failed(flow, FlowFailure::send(error)),
        }
    }

    pub(super) fn is_open(&self, flow: usize) -> bool {
        self.open[flow]
    }

    /// A flow has nothing more to ask and nothing to wait for.
    pub(super) fn close(&mut self, flow: usize) {
        self.open[flow] = false;
    }

    /// Counts what was not answered in time as lost and goes on.
    fn give_up_late<A: RequestSource>(&mut self, source: &mut A, now: Instant) {
        for flow in 0..self.open.len() {
            if self.open[flow]
                && let Some(lost) = source.late(flow, now, self.timeout)
            {
                if self.worker.gate().counting() {
                    self.lost += lost;
                }
                source.send_first(self, flow, now);
            }
        }
    }

    /// A call failed: what it was about is lost on its way, or the flow ends.
    #[cold]
    fn failed(&mut self, flow: usize, failure: FlowFailure) {
        if let Err(failure) = self.transients.outlive_datagrams(flow, failure)
            && std::mem::replace(&mut self.open[flow], false)
        {
            self.failed.push(flow);
            self.worker.ended(flow, Err(failure));
        }
    }
}
