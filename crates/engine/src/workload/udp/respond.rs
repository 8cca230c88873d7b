//! Answers requests of one datagram each.

use std::time::Instant;

use super::{EndState, ReceiveWait, is_transient};
use crate::transport::buffer::Buffer;
use crate::transport::datagram::{SETUP_MAGIC, check_fits};
use crate::workload::sizes::Sizes;
use crate::workload::tally::Tally;
use crate::workload::transient::TransientLog;
use crate::workload::{FlowFailure, Worker, WorkerReady, WorkerReport};
use podperf_model::error::Result;
use podperf_model::plan::udp::UdpRrPlan;
use podperf_sys::socket;

/// Bytes of a request that its response repeats, so that late responses are distinguished from
/// timely ones; as many of them as both have.
pub(super) const NUMBER_BYTES: usize = 8;

/// Whether a datagram sets a flow up: such may come late.
pub(super) fn sets_up(datagram: &[u8]) -> bool {
    datagram.starts_with(&SETUP_MAGIC)
}

/// One flow's responding side.
struct ResponderFlow<'a> {
    tally: &'a Tally,
    end_state: EndState,
    open: bool,
}

/// Responds on every flow until its end.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpRrPlan) -> WorkerReport {
    let prepared = prepare(worker, plan);
    let Some((mut responder, mut receive_wait)) = worker.wait_for_start(prepared) else {
        return WorkerReport::default();
    };
    let now = Instant::now();
    responder.flows.iter_mut().for_each(|own| own.end_state = EndState::new(now));
    let mut ready = Vec::with_capacity(responder.flows.len());
    while responder.flows.iter().any(|own| own.open) {
        if let Err(failure) = receive_wait.wait(&mut ready) {
            worker.ended(0, Err(failure));
            break;
        }
        let mut waited = ready.is_empty();
        for &flow in &ready {
            match responder.step(flow) {
                Ok(served) => waited |= !served,
                Err(failure) => responder.end(flow, Err(failure)),
            }
        }
        if waited {
            responder.end_what_is_over();
        }
    }
    WorkerReport { transient_errors: responder.transients.into_counts(), ..WorkerReport::default() }
}

fn prepare<'a>(
    worker: &'a Worker<'a>,
    plan: &UdpRrPlan,
) -> Result<((DatagramResponder<'a>, ReceiveWait), WorkerReady)> {
    let Sizes { request, response } = Sizes::of(plan.request_bytes, plan.response_bytes);
    if !plan.fragment {
        check_fits(&worker.sockets(), response, "--response")?;
    }
    let (receive_wait, multiplexing) = ReceiveWait::open(worker)?;
    let flows = worker.tallies().into_iter().map(|tally| ResponderFlow {
        tally,
        end_state: EndState::new(Instant::now()),
        open: true,
    });
    let responder = DatagramResponder {
        worker,
        flows: flows.collect(),
        // One byte more than a request shows what is too long to be one.
        incoming: Buffer::touched(request + 1)?,
        outgoing: Buffer::patterned(response)?,
        request,
        transients: TransientLog::new(worker),
    };
    Ok(((responder, receive_wait), WorkerReady::by(multiplexing)))
}

struct DatagramResponder<'a> {
    worker: &'a Worker<'a>,
    flows: Vec<ResponderFlow<'a>>,
    incoming: Buffer,
    outgoing: Buffer,
    request: usize,
    transients: TransientLog<'a>,
}

impl DatagramResponder<'_> {
    /// Takes one datagram of a flow and answers it. False: there was none, or an end marker.
    #[inline]
    fn step(&mut self, flow: usize) -> Result<bool, FlowFailure> {
        let (socket, own) = (self.worker.socket(flow), &mut self.flows[flow]);
        let bytes = match socket::receive(socket, &mut self.incoming) {
            Ok(bytes) => bytes,
            Err(error) if is_transient(&error) => return Ok(false),
            // The requester has closed its socket after its end.
            Err(_) if own.end_state.marked_at.is_some() => return Ok(false),
            Err(error) => return self.failed(flow, FlowFailure::receive(error)),
        };
        let arrived = &self.incoming[..bytes];
        if bytes == 0 {
            if own.end_state.mark(socket, Instant::now()) {
                self.worker.ended(flow, Ok(()));
            }
            return Ok(false);
        }
        if bytes != self.request || sets_up(arrived) {
            return Ok(true);
        }
        own.tally.received(bytes);
        let number = NUMBER_BYTES.min(bytes).min(self.outgoing.len());
        self.outgoing[..number].copy_from_slice(&arrived[..number]);
        match socket::send(socket, &self.outgoing) {
            Ok(sent) => own.tally.sent(sent),
            // No room: as if the response had been lost on its way.
            Err(error) if is_transient(&error) => {}
            Err(error) => return self.failed(flow, FlowFailure::send(error)),
        }
        Ok(true)
    }

    /// A call failed: false where what it was about is lost on its way.
    #[cold]
    fn failed(&mut self, flow: usize, failure: FlowFailure) -> Result<bool, FlowFailure> {
        self.transients.outlive_datagrams(flow, failure).map(|_| false)
    }

    fn end_what_is_over(&mut self) {
        let (now, stopped) = (Instant::now(), self.worker.gate().stopped());
        for flow in 0..self.flows.len() {
            // Whatever is still under way after the stop is dropped on purpose.
            if stopped || self.flows[flow].end_state.over(now, stopped).is_some() {
                self.end(flow, Ok(()));
            }
        }
    }

    fn end(&mut self, flow: usize, result: Result<(), FlowFailure>) {
        let own = &mut self.flows[flow];
        // One with an end marker has said so when that came.
        if std::mem::replace(&mut own.open, false) && own.end_state.marked_at.is_none() {
            self.worker.ended(flow, result);
        }
    }
}
