//! Several flows in one calling worker: each opens a connection that does not block, and goes on
//! whenever epoll says that something has changed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::time::Instant;

use socket2::Socket;

use super::{Book, ConnectionSetup, Trouble, connecting, try_out};
use crate::transport::buffer::Buffer;
use crate::transport::short_lived::{Connector, not_yet};
use crate::workload::multiplex::{self, Interest, Multiplex};
use crate::workload::schedule::{FlowSchedule, SPIN};
use crate::workload::sizes::Sizes;
use crate::workload::tally::Tally;
use crate::workload::transactions::{Stamp, first_step};
use crate::workload::{Failure, Worker, WorkerReady, WorkerReport};
use podperf_model::plan::{Close, CrrPlan};
use podperf_model::result::run::Multiplexing;

/// Most bytes taken by one receive call, and handed over by one send call.
const CHUNK: usize = 256 << 10;

/// Transactions on every flow until the stop or until its budget is used up.
pub(super) fn request(
    worker: &Worker<'_>,
    plan: &CrrPlan,
    dial: &Connector,
    sizes: Sizes,
) -> WorkerReport {
    let book = Book::open(plan);
    let Some(meeting) = &worker.shared.meeting else { return book.account() };
    let flows = worker.share.flows.len();
    let prepared = try_out(dial).and_then(|_| {
        let opened = Multiplex::empty(flows).and_then(Multiplex::with_timer);
        let multiplex = opened.map_err(multiplex::refused)?;
        let fallback = multiplex.busy_poll(worker.wait());
        Ok((multiplex, WorkerReady { fallback, ..WorkerReady::by(Multiplexing::Epoll) }))
    });
    let message = worker.outgoing(sizes.request.min(CHUNK));
    let buffer = Buffer::touched(sizes.response.min(CHUNK));
    let Some(multiplex) = worker.stand(prepared) else { return book.account() };
    let callers = (0..flows).map(|flow| Caller {
        call: None,
        stamp: Stamp::closed_loop(Instant::now()),
        trouble: Trouble::default(),
        left: worker.budget(flow),
        schedule: plan.rate_per_second.map(|rate| FlowSchedule::of(worker, rate, flow)),
        ended: false,
    });
    let mut switchboard = Switchboard {
        worker,
        meeting,
        dial,
        sizes,
        multiplex,
        message,
        buffer,
        callers: callers.collect(),
        due: BinaryHeap::with_capacity(flows),
        open: flows,
        book,
    };
    switchboard.start();
    if let Err(failure) = switchboard.run() {
        worker.ended(0, Err(failure));
    }
    switchboard.account()
}

/// A connection and the bytes that it still has to move.
struct Call {
    socket: Socket,
    connected: bool,
    to_send: usize,
    missing: usize,
    answered: bool,
    /// There is no response but the end of the stream.
    closed_there: bool,
}

/// One flow.
struct Caller {
    call: Option<Call>,
    stamp: Stamp,
    trouble: Trouble,
    left: u64,
    schedule: Option<FlowSchedule>,
    ended: bool,
}

/// How far a connection has come.
enum Turn {
    Wait,
    /// Its response is complete, and the server has yet to close.
    Answered,
    /// It may be closed.
    Over,
}

struct Switchboard<'a> {
    worker: &'a Worker<'a>,
    meeting: &'a ConnectionSetup,
    dial: &'a Connector,
    sizes: Sizes,
    multiplex: Multiplex,
    message: Buffer,
    buffer: Buffer,
    callers: Vec<Caller>,
    /// Flows without a connection, by the time at which they open one.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    open: usize,
    book: Book,
}

impl Switchboard<'_> {
    fn start(&mut self) {
        for flow in 0..self.callers.len() {
            first_step(self.worker, flow);
            let schedule = self.callers[flow].schedule.as_ref();
            let at = schedule.map_or_else(Instant::now, FlowSchedule::next);
            self.due.push(Reverse((at, flow)));
        }
    }

    fn run(&mut self) -> Result<(), Failure> {
        let spin = self.worker.wait().spins();
        let mut batch = Vec::with_capacity(self.callers.len());
        while self.open > 0 {
            let poll = self.call_what_is_due()?;
            batch.clear();
            let ready = self
                .multiplex
                .wait(poll || spin)
                .map_err(|error| Failure { operation: "wait for", error })?;
            batch.extend(ready.map(|ready| (ready.flow, ready.send)));
            for &(flow, writable) in &batch {
                self.go_on(flow, writable);
            }
            if self.worker.gate().stopped() {
                self.end_idle();
            }
        }
        Ok(())
    }

    /// Opens what is due. True: the next is so near that waiting would miss it.
    fn call_what_is_due(&mut self) -> Result<bool, Failure> {
        while let Some(&Reverse((due, flow))) = self.due.peek() {
            let now = Instant::now();
            if due > now {
                let left = due - now;
                if left > SPIN {
                    self.multiplex
                        .wake_in(left - SPIN)
                        .map_err(|error| Failure { operation: "timer for", error })?;
                }
                return Ok(left <= SPIN);
            }
            self.due.pop();
            let caller = &mut self.callers[flow];
            if caller.ended || self.worker.gate().stopped() {
                continue;
            }
            // A flow in trouble goes on with the transaction it has.
            if caller.trouble.since.is_none() {
                caller.stamp = Stamp::closed_loop(now);
                if let Some(schedule) = &mut caller.schedule {
                    caller.stamp.due = schedule.take();
                    self.book.record.sent(self.worker.gate(), schedule, caller.stamp);
                }
            }
            self.dial(flow);
        }
        Ok(false)
    }

    fn dial(&mut self, flow: usize) {
        let opened = self.dial.socket(true).and_then(|socket| {
            match self.dial.connect(&socket) {
                Err(error) if !not_yet(&error) => return Err(error),
                _ => {}
            }
            self.multiplex.add(&socket, flow, Interest::Changes)?;
            Ok(socket)
        });
        match opened {
            Ok(socket) => {
                let Sizes { request: to_send, response: missing } = self.sizes;
                let closed_there = missing == 0 && self.dial.close == Close::Server;
                let (connected, answered) = (false, false);
                let call = Call { socket, connected, to_send, missing, answered, closed_there };
                self.callers[flow].call = Some(call);
            }
            Err(error) => self.troubled(flow, error),
        }
    }

    /// A connection could not be opened: once more after a pause, or never again.
    fn troubled(&mut self, flow: usize, error: io::Error) {
        let caller = &mut self.callers[flow];
        caller.call = None;
        match caller.trouble.pause(&error, &mut self.book.uses) {
            Some(pause) => self.due.push(Reverse((Instant::now() + pause, flow))),
            None => self.end(flow, Err(connecting(error))),
        }
    }

    fn go_on(&mut self, flow: usize, writable: bool) {
        let caller = &mut self.callers[flow];
        let Some(call) = &mut caller.call else { return };
        let gate = self.worker.gate();
        if !call.connected {
            if !writable {
                return;
            }
            if let Ok(Some(error)) | Err(error) = call.socket.take_error() {
                return self.troubled(flow, error);
            }
            call.connected = true;
            caller.trouble.over();
            self.book.connected(gate, caller.stamp.sent, Instant::now());
        }
        let (tally, close) = (self.worker.tally(flow), self.dial.close);
        let mut turn = call.go_on(tally, &self.message, &mut self.buffer);
        if matches!(turn, Ok(Turn::Answered)) {
            self.book.completed(gate, tally, caller.stamp, Instant::now());
            if let Some(schedule) = caller.schedule.as_mut().filter(|_| gate.closed_at().is_none())
            {
                schedule.completed();
            }
            caller.left -= 1;
            call.answered = true;
            turn = if close == Close::Server { Ok(call.farewell()) } else { Ok(Turn::Over) };
        }
        match turn {
            Ok(Turn::Over) => self.next(flow),
            Ok(_) => {}
            Err(failure) => self.end(flow, Err(failure)),
        }
    }

    /// A transaction is over: the connection is closed, and the next one is due.
    fn next(&mut self, flow: usize) {
        let caller = &mut self.callers[flow];
        caller.call = None;
        if caller.left == 0 || self.worker.gate().stopped() {
            return self.end(flow, Ok(()));
        }
        match &caller.schedule {
            Some(schedule) => self.due.push(Reverse((schedule.next(), flow))),
            None => {
                caller.stamp = Stamp::closed_loop(Instant::now());
                self.dial(flow);
            }
        }
    }

    fn end(&mut self, flow: usize, result: Result<(), Failure>) {
        let caller = &mut self.callers[flow];
        if std::mem::replace(&mut caller.ended, true) {
            return;
        }
        caller.call = None;
        self.open -= 1;
        self.worker.ended(flow, result);
    }

    /// After the stop: flows without a connection end, and when the run is cut off, all.
    fn end_idle(&mut self) {
        let cut = self.meeting.is_cut();
        for flow in 0..self.callers.len() {
            if cut || self.callers[flow].call.is_none() {
                self.end(flow, Ok(()));
            }
        }
    }

    fn account(mut self) -> WorkerReport {
        let gate = self.worker.gate();
        for schedule in self.callers.iter().filter_map(|caller| caller.schedule.as_ref()) {
            self.book.record.owed(gate, schedule);
        }
        self.book.account()
    }
}

impl Call {
    fn go_on(&mut self, tally: &Tally, message: &[u8], buffer: &mut [u8]) -> Result<Turn, Failure> {
        while self.to_send > 0 {
            match (&mut &self.socket).write(&message[..self.to_send.min(message.len())]) {
                Ok(bytes) => {
                    tally.sent(bytes);
                    self.to_send -= bytes;
                }
                Err(error) if not_yet(&error) => return Ok(Turn::Wait),
                Err(error) => return Err(Failure::send(error)),
            }
        }
        if self.answered {
            return Ok(self.farewell());
        }
        if self.closed_there {
            return self.end_of_stream();
        }
        while self.missing > 0 {
            let most = self.missing.min(buffer.len());
            match (&mut &self.socket).read(&mut buffer[..most]) {
                Ok(0) => return Err(Failure::receive(ErrorKind::UnexpectedEof.into())),
                Ok(bytes) => {
                    tally.received(bytes);
                    self.missing -= bytes;
                }
                Err(error) if not_yet(&error) => return Ok(Turn::Wait),
                Err(error) => return Err(Failure::receive(error)),
            }
        }
        Ok(Turn::Answered)
    }

    /// Whether the server has closed, in order, which is its answer.
    fn end_of_stream(&self) -> Result<Turn, Failure> {
        let mut scrap = [0; 64];
        loop {
            match (&mut &self.socket).read(&mut scrap) {
                Ok(0) => return Ok(Turn::Answered),
                Ok(_) => {}
                Err(error) if not_yet(&error) => return Ok(Turn::Wait),
                Err(error) => return Err(Failure::receive(error)),
            }
        }
    }

    /// Whether the server has closed.
    fn farewell(&self) -> Turn {
        match (&mut &self.socket).read(&mut [0; 64]) {
            Err(error) if not_yet(&error) => Turn::Wait,
            _ => Turn::Over,
        }
    }
}
