//! Many flows by io_uring: each flow's receive repeats itself into shared buffers, and all sends of
//! a round are handed over by the call that waits for the next.

use std::io::ErrorKind;
use std::time::Instant;

use super::multiplexed::{FlowIo, PartialMessage, ReceiveEvent, Traffic, WaitMode};
use crate::workload::sizes::MAX_CALL_BYTES;
use crate::workload::tally::Tally;
use crate::workload::worker_ring::{self, MAX_WAIT};
use crate::workload::{FlowFailure, Worker};
use podperf_sys::uring::{
    BufferShape, Completion, CompletionKind, CompletionWait, Ring, RingError, RingSetup, SendMode,
};

/// Memory of all buffers together, unless two of them take more.
const ALL_BUFFERS_BYTES: usize = 4 << 20;
/// Buffers at most: as many receives may complete between two waits.
const MAX_BUFFERS: usize = 4096;
/// Least size of a buffer: a cache line.
const MIN_BUFFER_BYTES: usize = 64;
/// Most size of a buffer: longer messages arrive in several pieces.
const MAX_BUFFER_BYTES: usize = MAX_CALL_BYTES / 4;

/// One flow's side of the ring.
struct UringFlow<'a> {
    tally: &'a Tally,
    /// Bytes issued but not yet taken by the kernel.
    to_send: usize,
    /// A send is under way: the next waits, so that bytes keep their order.
    sending: bool,
    incoming: PartialMessage,
    ended: bool,
}

/// A worker's flows on one ring.
pub(super) struct UringIo<'a> {
    ring: Ring,
    flows: Vec<UringFlow<'a>>,
    /// Completions of this round, those from `next` on not served yet.
    batch: Vec<Completion>,
    next: usize,
    /// When this round's completions were there.
    at: Instant,
}

impl<'a> UringIo<'a> {
    /// Prepares all flows; they receive from here on.
    ///
    /// # Errors
    /// The call that was refused.
    pub(super) fn open(worker: &Worker<'a>, traffic: Traffic) -> Result<Self, RingError> {
        let flows: Vec<_> = worker
            .tallies()
            .into_iter()
            .map(|tally| UringFlow {
                tally,
                to_send: 0,
                sending: false,
                incoming: PartialMessage::of(traffic.incoming),
                ended: false,
            })
            .collect();
        let bytes = traffic.receive_bytes().clamp(MIN_BUFFER_BYTES, MAX_BUFFER_BYTES);
        let count =
            flows.len().saturating_mul(2).min(ALL_BUFFERS_BYTES / bytes).clamp(2, MAX_BUFFERS);
        let message = worker
            .outgoing(traffic.send_bytes())
            .map_err(|_| RingError { call: "malloc", error: ErrorKind::OutOfMemory.into() })?;
        let bundles = traffic.receive_bytes() > bytes;
        let receive = Some(BufferShape { count, bytes, bundles });
        let mut ring =
            worker_ring::open(worker, RingSetup { message: &message, fixed: false, receive })?;
        worker_ring::receive_all(&mut ring, flows.len())?;
        let batch = Vec::with_capacity(flows.len());
        Ok(Self { ring, flows, batch, next: 0, at: Instant::now() })
    }

    /// Hands over what the flow has issued, unless a send is under way.
    fn push(&mut self, number: usize) -> Result<(), FlowFailure> {
        let flow = &mut self.flows[number];
        if flow.sending || flow.to_send == 0 {
            return Ok(());
        }
        flow.sending = true;
        self.ring.send(number, flow.to_send, SendMode::Copy).map_err(worker_ring::failed)
    }

    fn sent(&mut self, done: Completion) -> Result<(), FlowFailure> {
        let flow = &mut self.flows[done.socket];
        flow.sending = false;
        match done.bytes() {
            Ok(bytes) => {
                flow.tally.sent(bytes);
                flow.to_send = flow.to_send.saturating_sub(bytes);
            }
            Err(error) if worker_ring::is_transient(&error) => {}
            Err(error) => return Err(FlowFailure::send(error)),
        }
        self.push(done.socket)
    }

    fn received(&mut self, done: Completion) -> Result<ReceiveEvent, FlowFailure> {
        let flow = &mut self.flows[done.socket];
        let event = match done.bytes() {
            Ok(bytes) => {
                if bytes > 0 {
                    flow.tally.received(bytes);
                }
                flow.incoming.take(bytes)?
            }
            Err(error) if worker_ring::is_transient(&error) => ReceiveEvent::Messages(0),
            Err(error) => return Err(FlowFailure::receive(error)),
        };
        if !done.more && matches!(event, ReceiveEvent::Messages(_)) {
            self.ring.receive(done.socket).map_err(worker_ring::failed)?;
        }
        Ok(event)
    }
}

impl FlowIo for UringIo<'_> {
    fn wait(&mut self, mode: WaitMode) -> Result<(), FlowFailure> {
        self.ring
            .enter(match mode {
                WaitMode::Poll => CompletionWait::Poll,
                WaitMode::Sleep(longest) => CompletionWait::AtMost(
                    longest.map_or(MAX_WAIT, |longest| longest.min(MAX_WAIT)),
                ),
            })
            .map_err(worker_ring::failed)?;
        self.batch.clear();
        self.next = 0;
        self.ring.reap(&mut self.batch);
        self.at = Instant::now();
        Ok(())
    }

    fn next(&mut self) -> Option<(usize, Result<ReceiveEvent, FlowFailure>)> {
        loop {
            let done = *self.batch.get(self.next)?;
            self.next += 1;
            if self.flows[done.socket].ended {
                continue;
            }
            let outcome = match done.kind {
                CompletionKind::Receive => self.received(done),
                _ => match self.sent(done) {
                    Ok(()) => continue,
                    Err(failure) => Err(failure),
                },
            };
            return Some((done.socket, outcome));
        }
    }

    fn now(&self) -> Instant {
        self.at
    }

    fn send(&mut self, flow: usize, bytes: usize) -> Result<(), FlowFailure> {
        self.flows[flow].to_send += bytes;
        self.push(flow)
    }

    fn forget(&mut self, flow: usize) {
        self.flows[flow].ended = true;
    }
}
