//! Several flows in one client worker: each opens a connection that does not block, and goes on
//! whenever epoll reports a change.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::time::Instant;

use socket2::Socket;

use super::{Backoff, BrokenConnection, ConnectionSetup, CrrStats, open_trial_socket};
use crate::transport::buffer::Buffer;
use crate::transport::short_lived::{Connector, not_yet};
use crate::workload::multiplex::{self, Interest, Multiplex};
use crate::workload::schedule::FlowSchedule;
use crate::workload::send_timer::SendTimer;
use crate::workload::sizes::{MAX_CALL_BYTES, Sizes};
use crate::workload::tally::Tally;
use crate::workload::transactions::{Stamp, first_step};
use crate::workload::{FlowFailure, Worker, WorkerReady, WorkerReport};
use podperf_model::plan::{Close, CrrPlan};
use podperf_model::result::run::Multiplexing;
use podperf_sys::socket;

/// Transactions on every flow until the stop or until its budget is used up.
pub(super) fn request(
    worker: &Worker<'_>,
    plan: &CrrPlan,
    connector: &Connector,
    sizes: Sizes,
) -> WorkerReport {
    let stats = CrrStats::open(worker, plan);
    let Some(setup) = &worker.shared.connections else { return stats.report() };
    let flows = worker.flows.ids.len();
    let prepared = open_trial_socket(connector).and_then(|_| {
        let opened = Multiplex::empty(flows).and_then(Multiplex::with_timer);
        let multiplex = opened.map_err(multiplex::refused)?;
        let fallback = multiplex.busy_poll(worker.wait());
        let message = worker.outgoing(sizes.request.min(MAX_CALL_BYTES))?;
        let buffer = Buffer::touched(sizes.response.min(MAX_CALL_BYTES))?;
        let ready = WorkerReady { fallback, ..WorkerReady::by(Multiplexing::Epoll) };
        Ok(((multiplex, message, buffer), ready))
    });
    let Some((multiplex, message, buffer)) = worker.wait_for_start(prepared) else {
        return stats.report();
    };
    let client_flows = (0..flows).map(|flow| ClientFlow {
        connection: None,
        stamp: Stamp::closed_loop(Instant::now()),
        backoff: Backoff::default(),
        left: worker.budget(flow),
        schedule: plan.rate_per_second.map(|rate| FlowSchedule::of(worker, rate, flow)),
        ended: false,
    });
    let mut client = ClientLoop {
        worker,
        setup,
        connector,
        sizes,
        multiplex,
        message,
        buffer,
        flows: client_flows.collect(),
        due: BinaryHeap::with_capacity(flows),
        open: flows,
        timer: SendTimer::of_all(worker, plan.rate_per_second),
        stats,
    };
    client.start();
    if let Err(failure) = client.run() {
        worker.ended(0, Err(failure));
    }
    client.report()
}

/// A connection and the bytes that it still has to move.
struct ClientConnection {
    socket: Socket,
    connected: bool,
    to_send: usize,
    missing: usize,
    answered: bool,
    /// There is no response but the end of the stream.
    ends_by_close: bool,
}

/// One flow.
struct ClientFlow {
    connection: Option<ClientConnection>,
    stamp: Stamp,
    backoff: Backoff,
    left: u64,
    schedule: Option<FlowSchedule>,
    ended: bool,
}

/// How far a connection has come.
enum ClientProgress {
    Wait,
    /// Its response is complete, and the server has yet to close.
    Answered,
    /// It may be closed.
    Over,
}

struct ClientLoop<'a> {
    worker: &'a Worker<'a>,
    setup: &'a ConnectionSetup,
    connector: &'a Connector,
    sizes: Sizes,
    multiplex: Multiplex,
    message: Buffer,
    buffer: Buffer,
    flows: Vec<ClientFlow>,
    /// Flows without a connection, by the time at which they open one.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    open: usize,
    timer: SendTimer,
    stats: CrrStats<'a>,
}

impl ClientLoop<'_> {
    fn start(&mut self) {
        for flow in 0..self.flows.len() {
            first_step(self.worker, flow);
            let schedule = self.flows[flow].schedule.as_ref();
            let at = schedule.map_or_else(Instant::now, FlowSchedule::next);
            self.due.push(Reverse((at, flow)));
        }
    }

    fn run(&mut self) -> Result<(), FlowFailure> {
        let spin = self.worker.wait().spins();
        let mut batch = Vec::with_capacity(self.flows.len());
        while self.open > 0 {
            let poll = self.open_what_is_due()?;
            batch.clear();
            let ready = self.multiplex.wait(poll || spin).map_err(FlowFailure::of("wait for"))?;
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

    /// Opens the connections that are due. True: the next is so near that waiting would miss it.
    fn open_what_is_due(&mut self) -> Result<bool, FlowFailure> {
        while let Some(&Reverse((due, flow))) = self.due.peek() {
            let now = Instant::now();
            if due > now {
                let Some(sleep) = self.timer.before(self.worker.gate(), now, due) else {
                    return Ok(true);
                };
                self.multiplex.wake_in(sleep).map_err(FlowFailure::of("timer for"))?;
                return Ok(false);
            }
            self.due.pop();
            let own = &mut self.flows[flow];
            if own.ended || self.worker.gate().stopped() {
                continue;
            }
            // A flow that backs off goes on with the transaction it has.
            if own.backoff.since.is_none() {
                own.stamp = Stamp::closed_loop(now);
                if let Some(schedule) = &mut own.schedule {
                    own.stamp.due = schedule.take();
                    self.stats.transactions.sent(self.worker.gate(), schedule, own.stamp);
                }
            }
            self.connect(flow);
        }
        Ok(false)
    }

    fn connect(&mut self, flow: usize) {
        let opened = self.connector.socket(true).and_then(|socket| {
            match self.connector.connect(&socket) {
                Err(error) if !not_yet(&error) => return Err(error),
                _ => {}
            }
            self.multiplex.add(&socket, flow, Interest::Changes)?;
            Ok(socket)
        });
        match opened {
            Ok(socket) => {
                let Sizes { request: to_send, response: missing } = self.sizes;
                let ends_by_close = missing == 0 && self.connector.close == Close::Server;
                let (connected, answered) = (false, false);
                let connection = ClientConnection {
                    socket,
                    connected,
                    to_send,
                    missing,
                    answered,
                    ends_by_close,
                };
                self.flows[flow].connection = Some(connection);
            }
            Err(error) => self.back_off(flow, BrokenConnection::opening(error)),
        }
    }

    /// A connection came to nothing: once more after a pause, or never again.
    fn back_off(&mut self, flow: usize, broken: BrokenConnection) {
        let own = &mut self.flows[flow];
        own.connection = None;
        if self.worker.gate().stopped() {
            return self.end(flow, Err(broken.failure));
        }
        match self.stats.broken(flow, &mut own.backoff, broken) {
            Ok(pause) => self.due.push(Reverse((Instant::now() + pause, flow))),
            Err(failure) => self.end(flow, Err(failure)),
        }
    }

    fn go_on(&mut self, flow: usize, writable: bool) {
        let own = &mut self.flows[flow];
        let Some(connection) = &mut own.connection else { return };
        let gate = self.worker.gate();
        if !connection.connected {
            if !writable {
                return;
            }
            if let Ok(Some(error)) | Err(error) = connection.socket.take_error() {
                return self.back_off(flow, BrokenConnection::opening(error));
            }
            connection.connected = true;
            self.stats.connected(gate, &connection.socket, own.stamp.sent, Instant::now());
        }
        let (tally, close) = (self.worker.tally(flow), self.connector.close);
        let mut progress = connection.go_on(tally, &self.message, &mut self.buffer);
        if matches!(progress, Ok(ClientProgress::Answered)) {
            self.stats.completed(gate, tally, own.stamp, Instant::now());
            if let Some(schedule) = own.schedule.as_mut().filter(|_| gate.closed_at().is_none()) {
                schedule.completed();
            }
            own.left -= 1;
            own.backoff.over();
            connection.answered = true;
            progress = if close == Close::Server {
                Ok(connection.server_closed())
            } else {
                Ok(ClientProgress::Over)
            };
        }
        match progress {
            Ok(ClientProgress::Over) => self.next(flow),
            Ok(_) => {}
            Err(failure) => self.back_off(flow, failure.into()),
        }
    }

    /// A transaction is over: the connection is closed, and the next one is due.
    fn next(&mut self, flow: usize) {
        let own = &mut self.flows[flow];
        own.connection = None;
        if own.left == 0 || self.worker.gate().stopped() {
            return self.end(flow, Ok(()));
        }
        match &own.schedule {
            Some(schedule) => self.due.push(Reverse((schedule.next(), flow))),
            None => {
                own.stamp = Stamp::closed_loop(Instant::now());
                self.connect(flow);
            }
        }
    }

    fn end(&mut self, flow: usize, result: Result<(), FlowFailure>) {
        let own = &mut self.flows[flow];
        if std::mem::replace(&mut own.ended, true) {
            return;
        }
        own.connection = None;
        self.open -= 1;
        self.worker.ended(flow, result);
    }

    /// Ends the flows without a connection, after the stop; all of them when the run is cut off.
    fn end_idle(&mut self) {
        let cut = self.setup.is_cut();
        for flow in 0..self.flows.len() {
            if cut || self.flows[flow].connection.is_none() {
                self.end(flow, Ok(()));
            }
        }
    }

    fn report(mut self) -> WorkerReport {
        let gate = self.worker.gate();
        for schedule in self.flows.iter().filter_map(|own| own.schedule.as_ref()) {
            self.stats.transactions.owed(gate, schedule);
        }
        self.stats.transactions.paced_by(&self.timer);
        self.stats.report()
    }
}

impl ClientConnection {
    fn go_on(
        &mut self,
        tally: &Tally,
        message: &[u8],
        buffer: &mut [u8],
    ) -> Result<ClientProgress, FlowFailure> {
        while self.to_send > 0 {
            match socket::send(&self.socket, &message[..self.to_send.min(message.len())]) {
                Ok(bytes) => {
                    tally.sent(bytes);
                    self.to_send -= bytes;
                }
                Err(error) if not_yet(&error) => return Ok(ClientProgress::Wait),
                Err(error) => return Err(FlowFailure::send(error)),
            }
        }
        if self.answered {
            return Ok(self.server_closed());
        }
        if self.ends_by_close {
            return self.end_of_stream();
        }
        while self.missing > 0 {
            let most = self.missing.min(buffer.len());
            match socket::receive(&self.socket, &mut buffer[..most]) {
                Ok(0) => return Err(FlowFailure::receive(ErrorKind::UnexpectedEof.into())),
                Ok(bytes) => {
                    tally.received(bytes);
                    self.missing -= bytes;
                }
                Err(error) if not_yet(&error) => return Ok(ClientProgress::Wait),
                Err(error) => return Err(FlowFailure::receive(error)),
            }
        }
        Ok(ClientProgress::Answered)
    }

    /// Whether the server has closed, in order, which is its answer.
    fn end_of_stream(&self) -> Result<ClientProgress, FlowFailure> {
        let mut discarded = [0; 64];
        loop {
            match socket::receive(&self.socket, &mut discarded) {
                Ok(0) => return Ok(ClientProgress::Answered),
                Ok(_) => {}
                Err(error) if not_yet(&error) => return Ok(ClientProgress::Wait),
                Err(error) => return Err(FlowFailure::receive(error)),
            }
        }
    }

    /// Whether the server has closed.
    fn server_closed(&self) -> ClientProgress {
        match socket::receive(&self.socket, &mut [0; 64]) {
            Err(error) if not_yet(&error) => ClientProgress::Wait,
            _ => ClientProgress::Over,
        }
    }
}
