//! The server's workers: each accepts connections and takes every one to its end.
//!
//! With one flow, a worker serves one connection at a time, by calls that block (or spin). With
//! several it serves many, by epoll; they share the listener, and the kernel wakes one of them for
//! a connection. Nothing on a connection of payload alone proves who opened it, so what keeps
//! a worker waiting may be another program on the client's host: a worker of the first kind then
//! becomes one of the second, and so does whoever shares the listener with it.

use std::io::{self, ErrorKind};

use socket2::Socket;

use super::ConnectionSetup;
use super::server_connection::{ServerConnection, ServerProgress};
use crate::transport::buffer::Buffer;
use crate::transport::short_lived::{AcceptedConnection, SessionListener, not_yet};
use crate::workload::multiplex::{self, Interest, Multiplex};
use crate::workload::sizes::{MAX_CALL_BYTES, Sizes};
use crate::workload::tally::Tally;
use crate::workload::transient::TransientLog;
use crate::workload::{FlowFailure, Worker, WorkerReady, WorkerReport};
use podperf_model::error::{During, Result};
use podperf_model::plan::{Close, CrrPlan};
use podperf_model::result::end_result::ConnectionUse;
use podperf_model::result::run::Multiplexing;

/// The listener's place among the connections.
const LISTENER_SLOT: usize = usize::MAX - 1;
/// Connections taken in a row before those that are open get their turn.
const MAX_ACCEPTS_PER_WAKEUP: usize = 16;
/// Calls without progress that a spinning worker makes before it serves others too: some tenths of
/// a second. One that blocks waits for 100 ms in a single call.
const MAX_IDLE_CALLS: u32 = 1_048_576;

/// Serves one connection at a time until the stop, or until one keeps the worker waiting; from then
/// on many.
pub(super) fn respond(
    worker: &Worker<'_>,
    plan: &CrrPlan,
    listener: &SessionListener,
    sizes: Sizes,
) -> WorkerReport {
    let Some(setup) = &worker.shared.connections else { return WorkerReport::default() };
    let prepared = ServerConnections::new(worker, plan, sizes).and_then(|connections| {
        let set = listener.socket().set_nonblocking(worker.wait().spins());
        set.during("prepare the listener of the run")?;
        Ok((connections, WorkerReady::by(Multiplexing::Blocking)))
    });
    let Some(mut connections) = worker.wait_for_start(prepared) else {
        return WorkerReport::default();
    };
    let result = match connections.one_by_one(worker, listener) {
        Ok(NextMode::Nothing) => Ok(()),
        Ok(NextMode::Many { waiting }) => {
            watch(worker, listener).map_err(watch_failure).and_then(|(multiplex, _)| {
                let connections = &mut connections;
                let mut server =
                    ServerLoop { worker, setup, listener, multiplex, connections, listening: true };
                waiting
                    .map_or(Ok(()), |(slot, interest)| server.watch_connection(slot, interest))?;
                server.run()
            })
        }
        Err(failure) => Err(failure),
    };
    connections.report(worker, result)
}

/// Serves many connections until the stop, and those that are open then to their end.
pub(super) fn respond_to_many(
    worker: &Worker<'_>,
    plan: &CrrPlan,
    listener: &SessionListener,
    sizes: Sizes,
) -> WorkerReport {
    let Some(setup) = &worker.shared.connections else { return WorkerReport::default() };
    let prepared = ServerConnections::new(worker, plan, sizes).and_then(|connections| {
        let (multiplex, fallback) = watch(worker, listener).map_err(multiplex::refused)?;
        let ready = WorkerReady { fallback, ..WorkerReady::by(Multiplexing::Epoll) };
        Ok(((connections, multiplex), ready))
    });
    let Some((mut connections, multiplex)) = worker.wait_for_start(prepared) else {
        return WorkerReport::default();
    };
    let mut server = ServerLoop {
        worker,
        setup,
        listener,
        multiplex,
        connections: &mut connections,
        listening: true,
    };
    let result = server.run();
    connections.report(worker, result)
}

/// Watches the listener, which no longer blocks anybody; with the reason where devices are not
/// polled as asked.
fn watch(
    worker: &Worker<'_>,
    listener: &SessionListener,
) -> io::Result<(Multiplex, Option<String>)> {
    listener.socket().set_nonblocking(true)?;
    let multiplex = Multiplex::empty(worker.flows.ids.len() + 1)?;
    multiplex.add(listener.socket(), LISTENER_SLOT, Interest::Accept)?;
    let fallback = multiplex.busy_poll(worker.wait());
    Ok((multiplex, fallback))
}

/// For `map_err`: watching sockets.
fn watch_failure(error: io::Error) -> FlowFailure {
    FlowFailure::of("epoll on")(error)
}

/// A worker with its listener and its connections.
struct ServerLoop<'a, 'b> {
    worker: &'a Worker<'a>,
    setup: &'a ConnectionSetup,
    listener: &'a SessionListener,
    multiplex: Multiplex,
    connections: &'b mut ServerConnections<'a>,
    listening: bool,
}

impl ServerLoop<'_, '_> {
    fn run(&mut self) -> Result<(), FlowFailure> {
        let spin = self.worker.wait().spins();
        let mut batch = Vec::with_capacity(self.worker.flows.ids.len());
        while self.listening || self.connections.busy() {
            batch.clear();
            let ready = self.multiplex.wait(spin).map_err(FlowFailure::of("wait for"))?;
            batch.extend(ready.map(|ready| ready.flow));
            for &slot in &batch {
                if slot == LISTENER_SLOT {
                    self.accept()?;
                } else {
                    self.go_on(slot)?;
                }
            }
            if self.worker.gate().stopped() {
                self.listening = false;
                self.connections.drop_unanswered();
            }
            if self.setup.is_cut() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Goes on with a connection that has kept a worker waiting in a call.
    fn watch_connection(&mut self, slot: usize, interest: Interest) -> Result<(), FlowFailure> {
        let Some(connection) = &self.connections.open[slot] else { return Ok(()) };
        connection.socket.set_nonblocking(true).map_err(watch_failure)?;
        self.multiplex.add(&connection.socket, slot, interest).map_err(watch_failure)
    }

    fn go_on(&mut self, slot: usize) -> Result<(), FlowFailure> {
        let waits_to_send = self.connections.serve(slot) == Some(Interest::Changes);
        let connection = self.connections.open[slot].as_ref().filter(|_| waits_to_send);
        let Some(connection) = connection else { return Ok(()) };
        self.multiplex.watch(&connection.socket, slot, Interest::Changes).map_err(watch_failure)
    }

    fn accept(&mut self) -> Result<(), FlowFailure> {
        for _ in 0..MAX_ACCEPTS_PER_WAKEUP {
            match self.listener.accept(true) {
                Ok(AcceptedConnection::FromClient(socket)) => {
                    let slot = self.connections.add(socket);
                    // The request often is there already.
                    if let Some(interest) = self.connections.serve(slot)
                        && let Some(connection) = &self.connections.open[slot]
                    {
                        self.multiplex
                            .add(&connection.socket, slot, interest)
                            .map_err(watch_failure)?;
                    }
                }
                Ok(AcceptedConnection::FromElsewhere) => self.connections.uses.foreign += 1,
                Err(_) if self.worker.gate().stopped() => {
                    self.multiplex.forget(self.listener.socket());
                    return Ok(());
                }
                Err(error) if not_yet(&error) => return Ok(()),
                Err(error) => self.connections.refused(error)?,
            }
        }
        Ok(())
    }
}

struct ServerConnections<'a> {
    tallies: Vec<&'a Tally>,
    message: Buffer,
    buffer: Buffer,
    close: Close,
    sizes: Sizes,
    open: Vec<Option<ServerConnection>>,
    free: Vec<usize>,
    uses: ConnectionUse,
    transients: TransientLog<'a>,
}

/// What a worker that served one connection at a time does next.
enum NextMode {
    Nothing,
    /// Serves many: one keeps it waiting, or has done so to another worker.
    Many {
        waiting: Option<(usize, Interest)>,
    },
}

impl<'a> ServerConnections<'a> {
    fn new(worker: &'a Worker<'a>, plan: &CrrPlan, sizes: Sizes) -> Result<Self> {
        let flows = worker.flows.ids.len();
        Ok(Self {
            tallies: worker.tallies(),
            message: worker.outgoing(sizes.response.min(MAX_CALL_BYTES))?,
            buffer: Buffer::touched(sizes.request.min(MAX_CALL_BYTES))?,
            close: plan.close,
            sizes,
            open: Vec::with_capacity(flows),
            free: Vec::with_capacity(flows),
            uses: ConnectionUse::default(),
            transients: TransientLog::new(worker),
        })
    }

    /// Ends the worker's flows, of which only the first can have failed.
    fn report(self, worker: &Worker<'_>, result: Result<(), FlowFailure>) -> WorkerReport {
        let open = self.open.iter().flatten();
        open.for_each(|connection| connection.drop_unread(self.sizes));
        let mut failure = result.err();
        for flow in 0..worker.flows.ids.len() {
            worker.ended(flow, failure.take().map_or(Ok(()), Err));
        }
        WorkerReport {
            connections: Some(self.uses),
            transient_errors: self.transients.into_counts(),
            ..WorkerReport::default()
        }
    }

    /// Accepting failed: what is wrong with one connection that waited (accept(2)) is no fault of
    /// the listener.
    #[cold]
    fn refused(&mut self, error: io::Error) -> Result<(), FlowFailure> {
        if error.kind() == ErrorKind::ConnectionAborted {
            return Ok(());
        }
        let failure = FlowFailure::of("accept a connection from")(error);
        self.transients.outlive(0, failure, self.uses.connections).map(|_| ())
    }

    /// Accepts a connection, takes it to its end, and so on.
    fn one_by_one(
        &mut self,
        worker: &Worker<'_>,
        listener: &SessionListener,
    ) -> Result<NextMode, FlowFailure> {
        let spin = worker.wait().spins();
        let calls = if spin { MAX_IDLE_CALLS } else { 1 };
        loop {
            match listener.accept(spin) {
                Ok(AcceptedConnection::FromClient(socket)) => {
                    let slot = self.add(socket);
                    if let Some(interest) = self.serve_repeatedly(slot, calls) {
                        self.uses.held += 1;
                        return Ok(NextMode::Many { waiting: Some((slot, interest)) });
                    }
                }
                Ok(AcceptedConnection::FromElsewhere) => self.uses.foreign += 1,
                Err(_) if worker.gate().stopped() => return Ok(NextMode::Nothing),
                Err(error) if not_yet(&error) => {
                    std::hint::spin_loop();
                    if !spin && listener.socket().nonblocking().unwrap_or(true) {
                        return Ok(NextMode::Many { waiting: None });
                    }
                }
                Err(error) => self.refused(error)?,
            }
        }
    }

    /// Serves one connection for at most so many calls without progress; returns what it then still
    /// waits for.
    fn serve_repeatedly(&mut self, slot: usize, calls: u32) -> Option<Interest> {
        let mut waits_for = None;
        for _ in 0..calls {
            waits_for = Some(self.serve(slot)?);
            std::hint::spin_loop();
        }
        waits_for
    }

    /// Closes the connections that have no response: the client has all of its own and opens
    /// nothing more, so that they are another program's.
    fn drop_unanswered(&mut self) {
        for (slot, add) in self.open.iter_mut().enumerate() {
            if let Some(connection) = add.take_if(|connection| !connection.answered) {
                connection.drop_unread(self.sizes);
                self.uses.broken += u64::from(connection.missing < self.sizes.request);
                self.free.push(slot);
            }
        }
    }

    fn busy(&self) -> bool {
        self.free.len() < self.open.len()
    }

    fn add(&mut self, socket: Socket) -> usize {
        let connection = Some(ServerConnection::new(socket, self.sizes));
        match self.free.pop() {
            Some(slot) => {
                self.open[slot] = connection;
                slot
            }
            None => {
                self.open.push(connection);
                self.open.len() - 1
            }
        }
    }

    /// Goes on with one connection as far as it can; what it waits for, if it has not ended.
    fn serve(&mut self, slot: usize) -> Option<Interest> {
        let connection = self.open.get_mut(slot)?.as_mut()?;
        let tally = self.tallies[slot % self.tallies.len()];
        let untouched = connection.missing == self.sizes.request;
        let waiting = !connection.answered;
        let progress = connection.go_on(tally, &mut self.buffer, &self.message, self.close);
        // A connection that asks nothing only showed that the way is open.
        let asked = !untouched || connection.missing < self.sizes.request;
        match progress {
            Ok(progress) => {
                connection.answered = connection.missing == 0 && connection.to_send == 0;
                self.uses.connections += u64::from(waiting && connection.answered);
                // Without payload nothing else would tell how far the run has come.
                if waiting && connection.answered && self.sizes.request + self.sizes.response == 0 {
                    tally.transaction(0);
                }
                if let ServerProgress::Wait(interest) = progress {
                    return Some(interest);
                }
            }
            Err(_) => self.uses.broken += u64::from(asked && waiting),
        }
        self.open[slot] = None;
        self.free.push(slot);
        None
    }
}
