//! Many flows by io_uring: each flow's receive repeats itself into shared buffers, and all sends of
//! a round are handed over by the call that waits for the next.

use std::time::Instant;

use super::many::{Arrived, CHUNK, Incoming, Patience, Traffic, Wire};
use crate::workload::rings::{self, LONGEST_WAIT};
use crate::workload::tally::Tally;
use crate::workload::{Failure, Worker};
use podperf_sys::uring::{
    Completion, CompletionKind, CompletionWait, RingError, Ring, SendMode, RingSetup, BufferShape,
};

/// Memory of all buffers together, unless two of them take more.
const BUFFERS_BYTES: usize = 4 << 20;
/// Buffers at the most: as many receives may complete between two looks.
const MOST_BUFFERS: usize = 4096;
/// Least size of a buffer: a cache line.
const LEAST_BYTES: usize = 64;
/// Most size of a buffer: longer messages arrive in several pieces.
const MOST_BYTES: usize = CHUNK / 4;

/// One flow's side of the ring.
struct Flow<'a> {
    tally: &'a Tally,
    /// Bytes issued but not yet taken by the kernel.
    to_send: usize,
    /// A send is under way: the next waits, so that bytes keep their order.
    sending: bool,
    incoming: Incoming,
    forgotten: bool,
}

/// A worker's flows on one ring.
pub(super) struct Rounds<'a> {
    ring: Ring,
    flows: Vec<Flow<'a>>,
    /// Completions of this round, those from `looked_at` on not served yet.
    batch: Vec<Completion>,
    looked_at: usize,
    /// When this round's completions were there.
    at: Instant,
}

impl<'a> Rounds<'a> {
    /// Prepares all flows; they receive from here on.
    ///
    /// # Errors
    /// The call that was refused.
    pub(super) fn open(worker: &Worker<'a>, traffic: Traffic) -> Result<Self, RingError> {
        let flows: Vec<_> = worker
            .tallies()
            .into_iter()
            .map(|tally| Flow {
                tally,
                to_send: 0,
                sending: false,
                incoming: Incoming::of(traffic.incoming),
                forgotten: false,
            })
            .collect();
        let bytes = traffic.receive_bytes().clamp(LEAST_BYTES, MOST_BYTES);
        let count = flows.len().saturating_mul(2).min(BUFFERS_BYTES / bytes).clamp(2, MOST_BUFFERS);
        let message = worker.outgoing(traffic.send_bytes());
        let bundles = traffic.receive_bytes() > bytes;
        let receive = Some(BufferShape { count, bytes, bundles });
        let mut ring = rings::open(worker, RingSetup { message: &message, fixed: false, receive })?;
        rings::receive_all(&mut ring, flows.len())?;
        let batch = Vec::with_capacity(flows.len());
        Ok(Self { ring, flows, batch, looked_at: 0, at: Instant::now() })
    }

    /// Hands over what the flow has issued, unless a send is under way.
    fn push(&mut self, number: usize) -> Result<(), Failure> {
        let flow = &mut self.flows[number];
        if flow.sending || flow.to_send == 0 {
            return Ok(());
        }
        flow.sending = true;
        self.ring.send(number, flow.to_send, SendMode::Copy).map_err(rings::failed)
    }

    fn sent(&mut self, done: Completion) -> Result<(), Failure> {
        let flow = &mut self.flows[done.socket];
        flow.sending = false;
        match done.bytes() {
            Ok(bytes) => {
                flow.tally.sent(bytes);
                flow.to_send = flow.to_send.saturating_sub(bytes);
            }
            Err(error) if rings::again(&error) => {}
            Err(error) => return Err(Failure::send(error)),
        }
        self.push(done.socket)
    }

    fn received(&mut self, done: Completion) -> Result<Arrived, Failure> {
        let flow = &mut self.flows[done.socket];
        let arrived = match done.bytes() {
            Ok(bytes) => {
                if bytes > 0 {
                    flow.tally.received(bytes);
                }
                flow.incoming.take(bytes)?
            }
            Err(error) if rings::again(&error) => Arrived::Messages(0),
            Err(error) => return Err(Failure::receive(error)),
        };
        if !done.more && matches!(arrived, Arrived::Messages(_)) {
            self.ring.receive(done.socket).map_err(rings::failed)?;
        }
        Ok(arrived)
    }
}

impl Wire for Rounds<'_> {
    fn wait(&mut self, patience: Patience) -> Result<(), Failure> {
        self.ring
            .enter(match patience {
                Patience::Look => CompletionWait::Poll,
                Patience::Sleep(longest) => CompletionWait::AtMost(
                    longest.map_or(LONGEST_WAIT, |longest| longest.min(LONGEST_WAIT)),
                ),
            })
            .map_err(rings::failed)?;
        self.batch.clear();
        self.looked_at = 0;
        self.ring.reap(&mut self.batch);
        self.at = Instant::now();
        Ok(())
    }

    fn next(&mut self) -> Option<(usize, Result<Arrived, Failure>)> {
        loop {
            let done = *self.batch.get(self.looked_at)?;
            self.looked_at += 1;
            if self.flows[done.socket].forgotten {
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

    fn send(&mut self, flow: usize, bytes: usize) -> Result<(), Failure> {
        self.flows[flow].to_send += bytes;
        self.push(flow)
    }

    fn forget(&mut self, flow: usize) {
        self.flows[flow].forgotten = true;
    }
}
