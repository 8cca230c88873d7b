//! Several flows in one worker, or several requests in flight on one: non-blocking, by epoll.
//!
//! Each flow is a pair of byte counts ([`Pipe`]): what it still has to send and what is missing
//! from the message it is receiving. That serves requesting and responding alike, and no size or
//! number in flight can lock the two ends against each other.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::time::Instant;

use socket2::Socket;

use super::Sizes;
use super::record::{Record, Stamp, first_step};
use crate::outcome::run::Multiplexing;
use crate::plan::RrPlan;
use crate::transport::buffer::Buffer;
use crate::workload::multiplex::{self, Interest, Multiplex, Ready};
use crate::workload::schedule::{SPIN, Schedule};
use crate::workload::tally::Tally;
use crate::workload::{Account, Failure, Stand, Worker};

/// Most bytes taken by one receive call, and handed over by one send call.
const CHUNK: usize = 256 << 10;

/// The bytes one flow still has to move.
struct Pipe<'a> {
    socket: &'a Socket,
    tally: &'a Tally,
    /// Bytes issued but not yet taken by the kernel.
    to_send: usize,
    /// Bytes missing from the message that is coming in.
    missing: usize,
    incoming: usize,
    waits_to_send: bool,
    ended: bool,
}

/// What one receive call brought.
enum Arrived {
    Messages(usize),
    EndOfStream,
}

impl Pipe<'_> {
    /// Takes what is there and counts the messages it completes.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<Arrived, Failure> {
        let bytes = match (&mut &*self.socket).read(buffer) {
            Ok(0) if self.missing == self.incoming => return Ok(Arrived::EndOfStream),
            Ok(0) => return Err(Failure::receive(ErrorKind::UnexpectedEof.into())),
            Ok(bytes) => bytes,
            Err(error) if again(&error) => return Ok(Arrived::Messages(0)),
            Err(error) => return Err(Failure::receive(error)),
        };
        self.tally.received(bytes);
        let (mut messages, mut rest) = (0, bytes);
        while rest >= self.missing {
            rest -= self.missing;
            self.missing = self.incoming;
            messages += 1;
        }
        self.missing -= rest;
        Ok(Arrived::Messages(messages))
    }

    /// Hands over as much of what is issued as the kernel takes.
    fn send(&mut self, message: &[u8]) -> Result<(), Failure> {
        while self.to_send > 0 {
            match (&mut &*self.socket).write(&message[..self.to_send.min(message.len())]) {
                Ok(bytes) => {
                    self.tally.sent(bytes);
                    self.to_send -= bytes;
                }
                Err(error) if again(&error) => break,
                Err(error) => return Err(Failure::send(error)),
            }
        }
        Ok(())
    }
}

fn again(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// The pipes of a worker and what they wait for.
struct Pipes<'a> {
    worker: &'a Worker<'a>,
    multiplex: Multiplex,
    pipes: Vec<Pipe<'a>>,
    message: Buffer,
    buffer: Buffer,
    open: usize,
}

impl<'a> Pipes<'a> {
    /// Prepares all flows, then waits at the gate. Absent: nothing to do.
    fn start(
        worker: &'a Worker<'a>,
        outgoing: usize,
        incoming: usize,
        most: usize,
    ) -> Option<Self> {
        let opened =
            Multiplex::open(&worker.sockets(), Interest::Receive).and_then(Multiplex::with_timer);
        let message = Buffer::patterned(outgoing.saturating_mul(most).clamp(1, CHUNK));
        let buffer = Buffer::touched(incoming.saturating_mul(most).clamp(1, CHUNK));
        let pipes: Vec<_> = worker
            .sockets()
            .into_iter()
            .zip(worker.tallies())
            .map(|(socket, tally)| Pipe {
                socket,
                tally,
                to_send: 0,
                missing: incoming,
                incoming,
                waits_to_send: false,
                ended: false,
            })
            .collect();
        let open = pipes.len();
        let prepared = opened.map_err(multiplex::refused).map(|multiplex| {
            let pipes = Self { worker, multiplex, pipes, message, buffer, open };
            (pipes, Stand::by(Multiplexing::Epoll))
        });
        worker.stand(prepared)
    }

    fn wait(&mut self, poll: bool, batch: &mut Vec<Ready>) -> Result<(), Failure> {
        batch.clear();
        let ready =
            self.multiplex.wait(poll).map_err(|error| Failure { operation: "wait for", error })?;
        batch.extend(ready);
        Ok(())
    }

    fn receive(&mut self, flow: usize) -> Result<Arrived, Failure> {
        self.pipes[flow].receive(&mut self.buffer)
    }

    /// Issues `bytes` more on `flow` and sends what can be sent.
    fn send(&mut self, flow: usize, bytes: usize) -> Result<(), Failure> {
        let pipe = &mut self.pipes[flow];
        pipe.to_send += bytes;
        pipe.send(&self.message)?;
        let waits = pipe.to_send > 0;
        if waits != pipe.waits_to_send {
            pipe.waits_to_send = waits;
            let interest = if waits { Interest::Both } else { Interest::Receive };
            self.multiplex
                .watch(pipe.socket, flow, interest)
                .map_err(|error| Failure { operation: "epoll on", error })?;
        }
        Ok(())
    }

    fn end(&mut self, flow: usize, result: Result<(), Failure>) {
        let pipe = &mut self.pipes[flow];
        if std::mem::replace(&mut pipe.ended, true) {
            return;
        }
        self.open -= 1;
        self.multiplex.forget(pipe.socket);
        let _ = pipe.socket.shutdown(Shutdown::Write);
        self.worker.ended(flow, result);
    }
}

/// Responds on every flow until the end of its stream.
pub(super) fn respond(worker: &Worker<'_>, sizes: Sizes) {
    let most = CHUNK / sizes.response.max(sizes.request).max(1);
    let start = Pipes::start(worker, sizes.response, sizes.request, most.clamp(1, 64));
    let Some(mut pipes) = start else { return };
    let mut batch = Vec::new();
    while pipes.open > 0 {
        if let Err(failure) = pipes.wait(false, &mut batch) {
            return worker.ended(0, Err(failure));
        }
        for ready in &batch {
            let arrived =
                if ready.receive { pipes.receive(ready.flow) } else { Ok(Arrived::Messages(0)) };
            let result = match arrived {
                Ok(Arrived::Messages(count)) => pipes.send(ready.flow, count * sizes.response),
                Ok(Arrived::EndOfStream) => {
                    pipes.end(ready.flow, Ok(()));
                    continue;
                }
                Err(failure) => Err(failure),
            };
            if result.is_err() {
                pipes.end(ready.flow, result);
            }
        }
    }
}

/// The requesting side of one flow.
struct Asker {
    in_flight: VecDeque<Stamp>,
    left: u64,
    schedule: Option<Schedule>,
}

/// Requests on every flow until the stop or until its budget is used up.
pub(super) fn request(worker: &Worker<'_>, plan: &RrPlan, sizes: Sizes) -> Account {
    let record = Record::new(plan.rate_per_second.is_some());
    let burst = plan.burst as usize;
    let Some(pipes) = Pipes::start(worker, sizes.request, sizes.response, burst) else {
        return record.account();
    };
    let askers = (0..worker.share.flows.len())
        .map(|flow| Asker {
            in_flight: VecDeque::with_capacity(burst),
            left: worker.budget(flow),
            schedule: plan.rate_per_second.map(|rate| Schedule::of(worker, rate, flow)),
        })
        .collect();
    let mut requester =
        Requester { pipes, askers, record, due: BinaryHeap::new(), request: sizes.request };
    requester.start(plan.burst);
    if let Err(failure) = requester.run() {
        worker.ended(0, Err(failure));
    }
    requester.account()
}

struct Requester<'a> {
    pipes: Pipes<'a>,
    askers: Vec<Asker>,
    record: Record,
    /// Idle flows of an open loop, by the time their next request is due.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    request: usize,
}

impl Requester<'_> {
    fn start(&mut self, burst: u32) {
        for flow in 0..self.askers.len() {
            first_step(self.pipes.worker, flow);
            match &self.askers[flow].schedule {
                Some(schedule) => self.due.push(Reverse((schedule.next(), flow))),
                None => {
                    let now = Instant::now();
                    for _ in 0..u64::from(burst).min(self.askers[flow].left) {
                        self.ask(flow, Stamp::closed_loop(now));
                    }
                }
            }
        }
    }

    fn run(&mut self) -> Result<(), Failure> {
        let mut batch = Vec::new();
        while self.pipes.open > 0 {
            let poll = self.ask_what_is_due()?;
            self.pipes.wait(poll, &mut batch)?;
            let stopped = self.pipes.worker.gate().stopped();
            for ready in &batch {
                self.serve(*ready, stopped);
            }
            if stopped {
                self.end_idle();
            }
        }
        Ok(())
    }

    /// Open loop: sends what is due. True: the next is so near that waiting would miss it.
    fn ask_what_is_due(&mut self) -> Result<bool, Failure> {
        while let Some(&Reverse((due, flow))) = self.due.peek() {
            let now = Instant::now();
            if due > now {
                let left = due - now;
                if left > SPIN {
                    self.pipes
                        .multiplex
                        .wake_in(left - SPIN)
                        .map_err(|error| Failure { operation: "timer for", error })?;
                }
                return Ok(left <= SPIN);
            }
            self.due.pop();
            if self.pipes.pipes[flow].ended || self.pipes.worker.gate().stopped() {
                continue;
            }
            if let Some(schedule) = &mut self.askers[flow].schedule {
                let stamp = Stamp { due: schedule.take(), sent: now };
                self.record.sent(self.pipes.worker.gate(), stamp);
                self.ask(flow, stamp);
            }
        }
        Ok(false)
    }

    fn ask(&mut self, flow: usize, stamp: Stamp) {
        let asker = &mut self.askers[flow];
        asker.left -= 1;
        asker.in_flight.push_back(stamp);
        if let Err(failure) = self.pipes.send(flow, self.request) {
            self.pipes.end(flow, Err(failure));
        }
    }

    fn serve(&mut self, ready: Ready, stopped: bool) {
        let flow = ready.flow;
        if ready.send
            && self.pipes.pipes[flow].waits_to_send
            && let Err(failure) = self.pipes.send(flow, 0)
        {
            return self.pipes.end(flow, Err(failure));
        }
        if !ready.receive || self.pipes.pipes[flow].ended {
            return;
        }
        match self.pipes.receive(flow) {
            Ok(Arrived::Messages(count)) => self.completed(flow, count, stopped),
            Ok(Arrived::EndOfStream) => {
                let early = Failure::receive(ErrorKind::UnexpectedEof.into());
                self.pipes.end(flow, Err(early));
            }
            Err(failure) => self.pipes.end(flow, Err(failure)),
        }
    }

    /// `count` responses are there: records them and asks again.
    fn completed(&mut self, flow: usize, count: usize, stopped: bool) {
        let gate = self.pipes.worker.gate();
        let now = Instant::now();
        for _ in 0..count {
            // A peer that answers more than it was asked is not counted.
            let Some(stamp) = self.askers[flow].in_flight.pop_front() else { break };
            self.record.completed(gate, self.pipes.pipes[flow].tally, stamp, now);
            let asker = &mut self.askers[flow];
            if let Some(schedule) = &mut asker.schedule {
                if gate.closed_at().is_none() {
                    schedule.completed();
                }
                if asker.left > 0 {
                    self.due.push(Reverse((schedule.next(), flow)));
                }
            } else if asker.left > 0 && !stopped {
                self.ask(flow, Stamp::closed_loop(now));
            }
        }
        let asker = &self.askers[flow];
        if asker.left == 0 && asker.in_flight.is_empty() {
            self.pipes.end(flow, Ok(()));
        }
    }

    /// After the stop: flows with nothing in flight end.
    fn end_idle(&mut self) {
        for flow in 0..self.askers.len() {
            if self.askers[flow].in_flight.is_empty() {
                self.pipes.end(flow, Ok(()));
            }
        }
    }

    fn account(mut self) -> Account {
        let gate = self.pipes.worker.gate();
        for schedule in self.askers.iter().filter_map(|asker| asker.schedule.as_ref()) {
            let (due, unfinished) = schedule.owed(gate.opened_at(), gate.closed_at());
            self.record.owed(due, unfinished);
        }
        self.record.account()
    }
}
