//! Connect, request, response, close, and again: the client's flows connect, the server's workers
//! accept from one listener.
//!
//! Enters: how to connect, or where to accept. Leaves: transactions in the flows' tallies, latency
//! from before the connection to the last byte of the response, and counts of the connections.
//! One flow a worker runs calls that block (or spin), several share a worker by epoll. The server
//! does not know which flow a connection is of: the bytes of one worker's connections go to its
//! own flows in turn, so that only sums over all flows compare with the client's.

mod blocking;
mod call;
mod epoll;
mod serve;
mod server_connection;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::transport::short_lived::{self, Connector, SessionListener};
use crate::workload::gate::Gate;
use crate::workload::schedule::nanoseconds;
use crate::workload::sizes::Sizes;
use crate::workload::tally::Tally;
use crate::workload::transactions::{Stamp, TransactionStats};
use crate::workload::transient::TransientLog;
use crate::workload::{FlowFailure, Worker, WorkerReport};
use podperf_model::error::{Context, Result};
use podperf_model::latency::Latencies;
use podperf_model::plan::{CrrPlan, FlowRole};
use podperf_model::result::end_result::ConnectionUse;
use podperf_sys::tcp_info::tcp_info;

/// The first pause after a connection that could not be opened.
const MIN_PAUSE: Duration = Duration::from_millis(1);
/// The longest pause; each is twice the one before.
const MAX_PAUSE: Duration = Duration::from_millis(100);

/// A connection that took less had no SYN sent again: the kernel waits a second before it does
/// (TCP_TIMEOUT_INIT, RFC 6298), other kernels no less than half.
const MIN_SYN_TIMEOUT: Duration = Duration::from_millis(500);

/// How the connections of one end come about.
#[derive(Debug)]
pub enum ConnectionSource {
    /// The client opens them.
    Connect(Connector),
    /// The server accepts them.
    Listen(SessionListener),
}

/// How the ends of a run set up connections that do not last.
#[derive(Debug)]
pub struct ConnectionSetup {
    source: ConnectionSource,
    peer: SocketAddr,
    /// Set when whatever still waits has to give up.
    cut: AtomicBool,
    /// Each worker has one flow.
    one_flow_per_worker: bool,
}

impl ConnectionSetup {
    /// Connections with `peer`. `one_flow_per_worker`: each worker of this end has one flow.
    #[must_use]
    pub const fn new(
        source: ConnectionSource,
        peer: SocketAddr,
        one_flow_per_worker: bool,
    ) -> Self {
        Self { source, peer, cut: AtomicBool::new(false), one_flow_per_worker }
    }

    /// The other end's address.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Ends accepting, when the run is over.
    pub fn close(&self) {
        if let ConnectionSource::Listen(listener) = &self.source {
            listener.shut();
        }
    }

    /// Makes whatever still waits give up within 100 ms.
    pub fn cut_off(&self) {
        self.cut.store(true, Ordering::Relaxed);
        self.close();
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

/// Connects or accepts, by the role of the worker.
#[must_use]
pub fn run(worker: &Worker<'_>, plan: &CrrPlan) -> WorkerReport {
    let Some(setup) = &worker.shared.connections else { return WorkerReport::default() };
    let sizes = Sizes::of(plan.request_bytes, plan.response_bytes);
    match (&setup.source, worker.flows.role, setup.one_flow_per_worker) {
        (ConnectionSource::Connect(connector), FlowRole::Request, true) => {
            blocking::request(worker, plan, connector, sizes)
        }
        (ConnectionSource::Connect(connector), FlowRole::Request, false) => {
            epoll::request(worker, plan, connector, sizes)
        }
        (ConnectionSource::Listen(listener), _, true) => {
            serve::respond(worker, plan, listener, sizes)
        }
        (ConnectionSource::Listen(listener), ..) => {
            serve::respond_to_many(worker, plan, listener, sizes)
        }
        // A client has no other roles.
        (ConnectionSource::Connect(_), ..) => WorkerReport::default(),
    }
}

/// What one client worker records of its transactions and connections.
struct CrrStats<'a> {
    transactions: TransactionStats,
    connect_time: Latencies,
    uses: ConnectionUse,
    transients: TransientLog<'a>,
}

impl<'a> CrrStats<'a> {
    fn open(worker: &'a Worker<'a>, plan: &CrrPlan) -> Self {
        Self {
            transients: TransientLog::new(worker),
            transactions: TransactionStats::new(plan.rate_per_second.is_some()),
            connect_time: Latencies::new(),
            uses: ConnectionUse::default(),
        }
    }

    /// Records that a connection begun at `begun` stands since `now`.
    fn connected(&mut self, gate: &Gate, socket: &Socket, begun: Instant, now: Instant) {
        // No SYN is sent again sooner, so that nobody else is asked.
        if now - begun >= MIN_SYN_TIMEOUT {
            let again = tcp_info(socket.as_fd()).map_or(0, |info| info.total_retrans);
            self.uses.syn_retransmits += u64::from(again);
        }
        if gate.counting() {
            self.connect_time.record(nanoseconds(now - begun));
        }
    }

    /// The last byte of a response came at `now`.
    fn completed(&mut self, gate: &Gate, tally: &Tally, stamp: Stamp, now: Instant) {
        self.transactions.completed(gate, tally, stamp, now);
        self.uses.connections += 1;
    }

    /// A connection of the worker's flow number `flow` could not be opened, or broke before its
    /// response was there: the pause before the flow tries again.
    ///
    /// # Errors
    /// The failure, where trying again does not help, or has not for too long.
    #[cold]
    #[inline(never)]
    fn broken(
        &mut self,
        flow: usize,
        backoff: &mut Backoff,
        broken: BrokenConnection,
    ) -> Result<Duration, FlowFailure> {
        let BrokenConnection { failure, opening } = broken;
        let since = *backoff.since.get_or_insert_with(Instant::now);
        match failure.errno() {
            // No port is free, for this peer or at all. Trying again frees none that others hold.
            Some(libc::EADDRNOTAVAIL) if opening => self.uses.no_port += 1,
            Some(libc::EAGAIN) if opening => self.uses.failed += 1,
            errno => {
                // A full accept queue resets connections, and may do so from the first one on.
                let queue = [libc::ECONNRESET, libc::ECONNABORTED, libc::ETIMEDOUT].map(Some);
                let before_any = opening && queue.contains(&errno);
                let moved = self.uses.connections.max(u64::from(before_any));
                self.transients.outlive(flow, failure, moved)?;
                self.uses.failed += u64::from(opening);
                return Ok(backoff.next());
            }
        }
        if self.transients.is_too_long(since) { Err(failure) } else { Ok(backoff.next()) }
    }

    fn report(self) -> WorkerReport {
        WorkerReport {
            connect_time: Some(self.connect_time),
            connections: Some(self.uses),
            transient_errors: self.transients.into_counts(),
            ..self.transactions.report()
        }
    }
}

/// A connection that came to nothing, and why.
#[derive(Debug)]
struct BrokenConnection {
    failure: FlowFailure,
    /// It did not come about.
    opening: bool,
}

impl BrokenConnection {
    /// For `map_err`: it could not be opened.
    fn opening(error: io::Error) -> Self {
        Self { failure: short_lived::open_error("connect to", error).into(), opening: true }
    }
}

impl From<FlowFailure> for BrokenConnection {
    /// It stood.
    fn from(failure: FlowFailure) -> Self {
        Self { failure, opening: false }
    }
}

/// Pauses between the attempts of one flow to carry out a transaction.
#[derive(Debug, Default)]
struct Backoff {
    since: Option<Instant>,
    pause: Duration,
}

impl Backoff {
    fn next(&mut self) -> Duration {
        self.pause = (self.pause * 2).clamp(MIN_PAUSE, MAX_PAUSE);
        self.pause
    }

    fn over(&mut self) {
        *self = Self::default();
    }
}

/// Opens a socket as each connection will have, so that what the kernel refuses is known before the
/// start.
fn open_trial_socket(connector: &Connector) -> Result<Socket> {
    let failed = |error| short_lived::open_error("prepare a connection to", error);
    connector.socket(true).map_err(failed).with_peer(connector.to)
}
