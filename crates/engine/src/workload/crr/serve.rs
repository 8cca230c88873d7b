//! The server's workers: each accepts connections and takes every one to its end.
//!
//! With one flow, a worker serves one connection at a time, by calls that block (or spin). With
//! several it serves many, by epoll; they share the listener, and the kernel wakes one of them for
//! a connection. Nobody proves who he is on a connection that carries payload alone, so what keeps
//! a worker waiting may be a stranger on the client's host: a worker of the first kind then becomes
//! one of the second, and so does whoever shares the listener with it.

use std::io::{self, ErrorKind, Read as _, Write as _};

use socket2::Socket;

use super::ConnectionSetup;
use crate::transport::buffer::Buffer;
use crate::transport::short_lived::{AcceptedConnection, SessionListener, not_yet};
use crate::workload::multiplex::{self, Interest, Multiplex};
use crate::workload::sizes::Sizes;
use crate::workload::tally::Tally;
use crate::workload::{Failure, Worker, WorkerReady, WorkerReport};
use podperf_model::error::{Error, Kind};
use podperf_model::plan::{Close, CrrPlan};
use podperf_model::result::end_result::ConnectionUse;
use podperf_model::result::run::Multiplexing;

/// The listener's place among the connections.
const LISTENER: usize = usize::MAX - 1;
/// Connections taken in a row before those that are open get their turn.
const AT_ONCE: usize = 16;
/// Most bytes taken by one receive call, and handed over by one send call.
const CHUNK: usize = 256 << 10;
/// Calls that a spinning worker makes in vain before it looks after others too: some tenths of a
/// second. One that blocks waits for 100 ms in a single call.
const LOOKS: u32 = 1 << 20;

/// Serves one connection at a time until the stop, or until one keeps the worker waiting; from then
/// on many.
pub(super) fn respond(
    worker: &Worker<'_>,
    plan: &CrrPlan,
    listener: &SessionListener,
    sizes: Sizes,
) -> WorkerReport {
    let Some(meeting) = &worker.shared.meeting else { return WorkerReport::default() };
    let mut tables = Tables::new(worker, plan, sizes);
    let prepared = listener
        .socket()
        .set_nonblocking(worker.wait().spins())
        .map(|()| ((), WorkerReady::by(Multiplexing::Blocking)))
        .map_err(|error| Error::new(Kind::Unmeasured, "prepare the listener of the run", error));
    if worker.stand(prepared).is_none() {
        return WorkerReport::default();
    }
    let result = match tables.one_by_one(worker, listener) {
        Ok(Next::Nothing) => Ok(()),
        Ok(Next::Many { waiting }) => {
            watch(worker, listener).map_err(watching).and_then(|(multiplex, _)| {
                let tables = &mut tables;
                let mut room =
                    Room { worker, meeting, listener, multiplex, tables, listening: true };
                waiting.map_or(Ok(()), |(place, interest)| room.take_over(place, interest))?;
                room.run()
            })
        }
        Err(failure) => Err(failure),
    };
    tables.account(worker, result)
}

/// Serves many connections until the stop, and those that are open then to their end.
pub(super) fn respond_to_many(
    worker: &Worker<'_>,
    plan: &CrrPlan,
    listener: &SessionListener,
    sizes: Sizes,
) -> WorkerReport {
    let Some(meeting) = &worker.shared.meeting else { return WorkerReport::default() };
    let mut tables = Tables::new(worker, plan, sizes);
    let prepared =
        watch(worker, listener).map_err(multiplex::refused).map(|(multiplex, fallback)| {
            (multiplex, WorkerReady { fallback, ..WorkerReady::by(Multiplexing::Epoll) })
        });
    let Some(multiplex) = worker.stand(prepared) else { return WorkerReport::default() };
    let room = &mut tables;
    let result = Room { worker, meeting, listener, multiplex, tables: room, listening: true }.run();
    tables.account(worker, result)
}

/// Watches the listener, which no longer blocks anybody; with the reason where devices are not
/// polled as asked.
fn watch(worker: &Worker<'_>, listener: &SessionListener) -> io::Result<(Multiplex, Option<String>)> {
    listener.socket().set_nonblocking(true)?;
    let multiplex = Multiplex::empty(worker.share.flows.len() + 1)?;
    multiplex.add(listener.socket(), LISTENER, Interest::Accept)?;
    let fallback = multiplex.busy_poll(worker.wait());
    Ok((multiplex, fallback))
}

/// For `map_err`: accepting.
const fn accepting(error: io::Error) -> Failure {
    Failure { operation: "accept a connection from", error }
}

/// For `map_err`: watching sockets.
const fn watching(error: io::Error) -> Failure {
    Failure { operation: "epoll on", error }
}

/// A worker with its listener and its connections.
struct Room<'a, 'b> {
    worker: &'a Worker<'a>,
    meeting: &'a ConnectionSetup,
    listener: &'a SessionListener,
    multiplex: Multiplex,
    tables: &'b mut Tables<'a>,
    listening: bool,
}

impl Room<'_, '_> {
    fn run(&mut self) -> Result<(), Failure> {
        let spin = self.worker.wait().spins();
        let mut batch = Vec::with_capacity(self.worker.share.flows.len());
        while self.listening || self.tables.busy() {
            batch.clear();
            let ready = self
                .multiplex
                .wait(spin)
                .map_err(|error| Failure { operation: "wait for", error })?;
            batch.extend(ready.map(|ready| ready.flow));
            for &place in &batch {
                if place == LISTENER {
                    self.accept()?;
                } else {
                    self.go_on(place)?;
                }
            }
            if self.worker.gate().stopped() {
                self.listening = false;
                self.tables.dismiss();
            }
            if self.meeting.is_cut() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Goes on with a connection that has kept a worker waiting in a call.
    fn take_over(&mut self, place: usize, interest: Interest) -> Result<(), Failure> {
        let Some(table) = &self.tables.open[place] else { return Ok(()) };
        table.socket.set_nonblocking(true).map_err(watching)?;
        self.multiplex.add(&table.socket, place, interest).map_err(watching)
    }

    fn go_on(&mut self, place: usize) -> Result<(), Failure> {
        let waits_to_send = self.tables.serve(place) == Some(Interest::Changes);
        match &self.tables.open[place] {
            Some(table) if waits_to_send => {
                self.multiplex.watch(&table.socket, place, Interest::Changes).map_err(watching)
            }
            _ => Ok(()),
        }
    }

    fn accept(&mut self) -> Result<(), Failure> {
        for _ in 0..AT_ONCE {
            match self.listener.accept(true) {
                Ok(AcceptedConnection::FromClient(socket)) => {
                    let place = self.tables.seat(socket);
                    // The request often is there already.
                    if let Some(interest) = self.tables.serve(place)
                        && let Some(table) = &self.tables.open[place]
                    {
                        self.multiplex.add(&table.socket, place, interest).map_err(watching)?;
                    }
                }
                Ok(AcceptedConnection::FromElsewhere) => self.tables.uses.strangers += 1,
                Err(_) if self.worker.gate().stopped() => {
                    self.multiplex.forget(self.listener.socket());
                    return Ok(());
                }
                Err(error) if not_yet(&error) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(accepting(error)),
            }
        }
        Ok(())
    }
}

/// One open connection and the bytes it still has to move.
struct Table {
    socket: Socket,
    missing: usize,
    to_send: usize,
    /// It has its whole response.
    answered: bool,
}

/// How far a connection has come.
enum Turn {
    Wait(Interest),
    Over,
}

struct Tables<'a> {
    tallies: Vec<&'a Tally>,
    message: Buffer,
    buffer: Buffer,
    close: Close,
    sizes: Sizes,
    open: Vec<Option<Table>>,
    free: Vec<usize>,
    uses: ConnectionUse,
}

/// What a worker that served one connection at a time does next.
enum Next {
    Nothing,
    /// Serves many: one keeps it waiting, or has done so to another worker.
    Many {
        waiting: Option<(usize, Interest)>,
    },
}

impl<'a> Tables<'a> {
    fn new(worker: &Worker<'a>, plan: &CrrPlan, sizes: Sizes) -> Self {
        let flows = worker.share.flows.len();
        Self {
            tallies: worker.tallies(),
            message: worker.outgoing(sizes.response.min(CHUNK)),
            buffer: Buffer::touched(sizes.request.min(CHUNK)),
            close: plan.close,
            sizes,
            open: Vec::with_capacity(flows),
            free: Vec::with_capacity(flows),
            uses: ConnectionUse::default(),
        }
    }

    /// Ends the worker's flows, of which only the first can have failed.
    fn account(self, worker: &Worker<'_>, result: Result<(), Failure>) -> WorkerReport {
        let mut failure = result.err();
        for flow in 0..worker.share.flows.len() {
            worker.ended(flow, failure.take().map_or(Ok(()), Err));
        }
        WorkerReport { connections: Some(self.uses), ..WorkerReport::default() }
    }

    /// Accepts a connection, takes it to its end, and so on.
    fn one_by_one(&mut self, worker: &Worker<'_>, listener: &SessionListener) -> Result<Next, Failure> {
        let spin = worker.wait().spins();
        let looks = if spin { LOOKS } else { 1 };
        loop {
            match listener.accept(spin) {
                Ok(AcceptedConnection::FromClient(socket)) => {
                    let place = self.seat(socket);
                    if let Some(interest) = self.serve_awhile(place, looks) {
                        self.uses.held += 1;
                        return Ok(Next::Many { waiting: Some((place, interest)) });
                    }
                }
                Ok(AcceptedConnection::FromElsewhere) => self.uses.strangers += 1,
                Err(_) if worker.gate().stopped() => return Ok(Next::Nothing),
                Err(error) if not_yet(&error) => {
                    std::hint::spin_loop();
                    if !spin && listener.socket().nonblocking().unwrap_or(true) {
                        return Ok(Next::Many { waiting: None });
                    }
                }
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(accepting(error)),
            }
        }
    }

    /// Goes on with one connection for so many calls in vain; what it then still waits for.
    fn serve_awhile(&mut self, place: usize, looks: u32) -> Option<Interest> {
        let mut waits_for = None;
        for _ in 0..looks {
            waits_for = Some(self.serve(place)?);
            std::hint::spin_loop();
        }
        waits_for
    }

    /// The client has all its responses and opens nothing more: who still has none is a stranger.
    fn dismiss(&mut self) {
        for (place, seat) in self.open.iter_mut().enumerate() {
            if let Some(table) = seat.take_if(|table| !table.answered) {
                self.uses.broken += u64::from(table.missing < self.sizes.request);
                self.free.push(place);
            }
        }
    }

    fn busy(&self) -> bool {
        self.free.len() < self.open.len()
    }

    fn seat(&mut self, socket: Socket) -> usize {
        let Sizes { request: missing, response: to_send } = self.sizes;
        let table = Some(Table { socket, missing, to_send, answered: false });
        match self.free.pop() {
            Some(place) => {
                self.open[place] = table;
                place
            }
            None => {
                self.open.push(table);
                self.open.len() - 1
            }
        }
    }

    /// Goes on with one connection as far as it can; what it waits for, if it has not ended.
    fn serve(&mut self, place: usize) -> Option<Interest> {
        let table = self.open.get_mut(place)?.as_mut()?;
        let tally = self.tallies[place % self.tallies.len()];
        let untouched = table.missing == self.sizes.request;
        let waiting = !table.answered;
        let turn = table.go_on(tally, &mut self.buffer, &self.message, self.close);
        // A connection that asks nothing only showed that the way is open.
        let asked = !untouched || table.missing < self.sizes.request;
        match turn {
            Ok(turn) => {
                table.answered = table.missing == 0 && table.to_send == 0;
                self.uses.connections += u64::from(waiting && table.answered);
                // Without payload nothing else would tell how far the run has come.
                if waiting && table.answered && self.sizes.request + self.sizes.response == 0 {
                    tally.transaction(0);
                }
                if let Turn::Wait(interest) = turn {
                    return Some(interest);
                }
            }
            Err(_) => self.uses.broken += u64::from(asked && waiting),
        }
        self.open[place] = None;
        self.free.push(place);
        None
    }
}

impl Table {
    fn go_on(
        &mut self,
        tally: &Tally,
        buffer: &mut [u8],
        message: &[u8],
        close: Close,
    ) -> io::Result<Turn> {
        while self.missing > 0 {
            let most = self.missing.min(buffer.len());
            match (&mut &self.socket).read(&mut buffer[..most]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => {
                    tally.received(bytes);
                    self.missing -= bytes;
                }
                Err(error) if not_yet(&error) => return Ok(Turn::Wait(Interest::Arrivals)),
                Err(error) => return Err(error),
            }
        }
        while self.to_send > 0 {
            match (&mut &self.socket).write(&message[..self.to_send.min(message.len())]) {
                Ok(bytes) => {
                    tally.sent(bytes);
                    self.to_send -= bytes;
                }
                Err(error) if not_yet(&error) => return Ok(Turn::Wait(Interest::Changes)),
                Err(error) => return Err(error),
            }
        }
        if close == Close::Server {
            return Ok(Turn::Over);
        }
        match (&mut &self.socket).read(buffer) {
            Err(error) if not_yet(&error) => Ok(Turn::Wait(Interest::Arrivals)),
            // The end, a reset, or more than was agreed.
            _ => Ok(Turn::Over),
        }
    }
}
