//! Many connections in one worker of the server, by epoll. Several workers share the listener; the
//! kernel wakes one of them for a connection.

use std::io::{self, ErrorKind, Read as _, Write as _};

use socket2::Socket;

use super::Meeting;
use crate::error::{Error, Kind};
use crate::outcome::half::ConnectionUse;
use crate::outcome::run::Multiplexing;
use crate::plan::{Close, CrrPlan};
use crate::transport::buffer::Buffer;
use crate::transport::fresh::{Knock, Listener, not_yet};
use crate::workload::multiplex::{self, Interest, Multiplex};
use crate::workload::sizes::Sizes;
use crate::workload::tally::Tally;
use crate::workload::{Account, Failure, Stand, Worker};

/// The listener's place among the connections.
const LISTENER: usize = usize::MAX - 1;
/// Connections taken in a row before those that are open get their turn.
const AT_ONCE: usize = 16;
/// Most bytes taken by one receive call, and handed over by one send call.
const CHUNK: usize = 256 << 10;

/// For `map_err`: the listener could not be prepared.
pub(super) fn unprepared(error: io::Error) -> Error {
    Error::new(Kind::Unmeasured, "prepare the listener of the run", error)
}

/// For `map_err`: accepting.
pub(super) const fn accepting(error: io::Error) -> Failure {
    Failure { operation: "accept a connection from", error }
}

/// Accepts, answers and ends connections until the stop, and those that are open then to their end.
pub(super) fn respond(
    worker: &Worker<'_>,
    plan: &CrrPlan,
    listener: &Listener,
    sizes: Sizes,
) -> Account {
    let Some(meeting) = &worker.shared.meeting else { return Account::default() };
    let flows = worker.share.flows.len();
    let spin = worker.wait().spins();
    let prepared = listener.socket().set_nonblocking(true).map_err(unprepared).and_then(|()| {
        let multiplex = Multiplex::empty(flows + 1).map_err(multiplex::refused)?;
        let watch = multiplex.add(listener.socket(), LISTENER, Interest::Accept);
        watch.map_err(multiplex::refused)?;
        let fallback = multiplex.busy_poll(worker.wait());
        Ok((multiplex, Stand { fallback, ..Stand::by(Multiplexing::Epoll) }))
    });
    let tables = Tables {
        tallies: worker.tallies(),
        message: Buffer::patterned(sizes.response.min(CHUNK)),
        buffer: Buffer::touched(sizes.request.min(CHUNK)),
        close: plan.close,
        sizes,
        open: Vec::with_capacity(flows),
        free: Vec::with_capacity(flows),
        uses: ConnectionUse::default(),
    };
    let Some(multiplex) = worker.stand(prepared) else { return Account::default() };
    let mut room = Room { worker, meeting, listener, multiplex, tables, listening: true };
    let result = room.run(spin);
    let mut failure = result.err();
    for flow in 0..flows {
        worker.ended(flow, failure.take().map_or(Ok(()), Err));
    }
    Account { connections: Some(room.tables.uses), ..Account::default() }
}

/// A worker with its listener and its connections.
struct Room<'a> {
    worker: &'a Worker<'a>,
    meeting: &'a Meeting,
    listener: &'a Listener,
    multiplex: Multiplex,
    tables: Tables<'a>,
    listening: bool,
}

impl Room<'_> {
    fn run(&mut self, spin: bool) -> Result<(), Failure> {
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
            }
            if self.meeting.is_cut() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn go_on(&mut self, place: usize) -> Result<(), Failure> {
        let waits_to_send = self.tables.serve(place) == Some(Interest::Changes);
        match &self.tables.open[place] {
            Some(table) if waits_to_send => self
                .multiplex
                .watch(&table.socket, place, Interest::Changes)
                .map_err(|error| Failure { operation: "epoll on", error }),
            _ => Ok(()),
        }
    }

    fn accept(&mut self) -> Result<(), Failure> {
        for _ in 0..AT_ONCE {
            match self.listener.accept(true) {
                Ok(Knock::Guest(socket)) => {
                    let place = self.tables.seat(socket);
                    // The request often is there already.
                    if let Some(interest) = self.tables.serve(place)
                        && let Some(table) = &self.tables.open[place]
                    {
                        self.multiplex
                            .add(&table.socket, place, interest)
                            .map_err(|error| Failure { operation: "epoll on", error })?;
                    }
                }
                Ok(Knock::Stranger) => self.tables.uses.strangers += 1,
                Err(_) if self.worker.gate().stopped() => {
                    self.listening = false;
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

impl Tables<'_> {
    fn busy(&self) -> bool {
        self.free.len() < self.open.len()
    }

    fn seat(&mut self, socket: Socket) -> usize {
        let Sizes { request: missing, response: to_send } = self.sizes;
        let table = Some(Table { socket, missing, to_send });
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
        let fresh = table.missing == self.sizes.request;
        let waiting = table.to_send > 0;
        let turn = table.go_on(tally, &mut self.buffer, &self.message, self.close);
        // A connection that asks nothing only showed that the way is open.
        let asked = !fresh || table.missing < self.sizes.request;
        match turn {
            Ok(turn) => {
                self.uses.connections += u64::from(waiting && table.to_send == 0);
                if let Turn::Wait(interest) = turn {
                    return Some(interest);
                }
            }
            Err(_) => self.uses.broken += u64::from(asked && table.to_send > 0),
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
