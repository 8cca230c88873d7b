//! Answers whatever comes, one datagram for each.

use super::{UnfinishedReceives, is_refusal};
use crate::transport::buffer::Buffer;
use crate::workload::sizes::Sizes;
use crate::workload::transient::TransientLog;
use crate::workload::udp::{ReceiveWait, is_transient};
use crate::workload::{FlowFailure, Worker, WorkerReady, WorkerReport};
use podperf_model::error::Result;
use podperf_model::plan::udp::UdpRrPlan;
use podperf_sys::socket;

/// Requests that a peer has to make before it is answered in full.
const UNPROVED_REQUESTS: u32 = 3;
/// Bytes that it is sent until then for each of its own.
const UNPROVED_BYTES_PER_BYTE: usize = 3;

/// Responds on every flow until its end.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpRrPlan) -> WorkerReport {
    let prepared = prepare(worker, plan);
    let Some((mut responder, mut receive_wait)) = worker.wait_for_start(prepared) else {
        return WorkerReport::default();
    };
    let mut ready = Vec::with_capacity(worker.flows.ids.len());
    while responder.unfinished.any() {
        if let Err(failure) = receive_wait.wait(&mut ready) {
            worker.ended(0, Err(failure));
            break;
        }
        for &flow in &ready {
            if let Err(failure) = responder.step(flow) {
                responder.unfinished.end(flow, Err(failure));
            }
        }
        if worker.gate().stopped() {
            responder.unfinished.end_idle();
        }
    }
    WorkerReport { transient_errors: responder.transients.into_counts(), ..WorkerReport::default() }
}

fn prepare<'a>(
    worker: &'a Worker<'a>,
    plan: &UdpRrPlan,
) -> Result<((UnframedResponder<'a>, ReceiveWait), WorkerReady)> {
    let Sizes { request, response } = Sizes::of(plan.request_bytes, plan.response_bytes);
    let (receive_wait, multiplexing) = ReceiveWait::open(worker)?;
    let unproved = if worker.shared.compat.limits_responses { UNPROVED_REQUESTS } else { 0 };
    let responder = UnframedResponder {
        worker,
        unfinished: UnfinishedReceives::new(worker),
        unproved: vec![unproved; worker.flows.ids.len()],
        incoming: Buffer::touched(request.max(1))?,
        outgoing: worker.outgoing(response.max(1))?,
        transients: TransientLog::new(worker),
    };
    Ok(((responder, receive_wait), WorkerReady::by(multiplexing)))
}

struct UnframedResponder<'a> {
    worker: &'a Worker<'a>,
    unfinished: UnfinishedReceives<'a>,
    /// Responses that are still limited, by flow.
    unproved: Vec<u32>,
    /// What does not fit is cut off by the kernel.
    incoming: Buffer,
    outgoing: Buffer,
    transients: TransientLog<'a>,
}

impl UnframedResponder<'_> {
    /// Takes one datagram of a flow and answers it, or ends the flow if it is empty.
    #[inline]
    fn step(&mut self, flow: usize) -> Result<(), FlowFailure> {
        let (socket, tally) = (self.worker.socket(flow), self.worker.tally(flow));
        let received = match socket::receive(socket, &mut self.incoming) {
            Ok(0) => {
                self.unfinished.end(flow, Ok(()));
                return Ok(());
            }
            Ok(bytes) if self.unfinished.has(flow) => bytes,
            Ok(_) => return Ok(()),
            // The requester has closed its socket while a response was under way.
            Err(error) if is_transient(&error) || is_refusal(&error) => return Ok(()),
            Err(error) => return self.failed(flow, FlowFailure::receive(error)),
        };
        tally.received(received);
        self.unfinished.received_on(flow);
        let response = match &mut self.unproved[flow] {
            0 => &self.outgoing[..],
            unproved => {
                *unproved -= 1;
                &self.outgoing[..self.outgoing.len().min(received * UNPROVED_BYTES_PER_BYTE)]
            }
        };
        match socket::send(socket, response) {
            Ok(sent) => tally.sent(sent),
            // No room, or nobody there: as if the response had been lost on its way.
            Err(error) if is_transient(&error) || is_refusal(&error) => {}
            Err(error) => return self.failed(flow, FlowFailure::send(error)),
        }
        Ok(())
    }

    /// A call failed: what it was about is lost on its way, or the flow ends.
    #[cold]
    fn failed(&mut self, flow: usize, failure: FlowFailure) -> Result<(), FlowFailure> {
        self.transients.outlive_datagrams(flow, failure).map(|_| ())
    }
}
