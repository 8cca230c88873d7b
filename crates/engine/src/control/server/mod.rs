//! The listening end: one port, many clients at once.
//!
//! One thread accepts connections, shakes hands with all clients and reads their plans (`accept`),
//! so that a silent or slow peer costs a descriptor for a few seconds and nothing else. A client
//! whose plan is here gets a thread (`serve_client`), and once it is accepted the engine's (`run`).

mod accept;
mod background;
mod counts;
mod data_channel;
mod flows;
mod overlap;
mod policy_check;
mod refusal;
mod run;
mod run_request;
mod serve_client;

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use socket2::Socket;

use crate::control::timing::{MAX_PEER_TIMEOUT, START_TIMEOUT};
use crate::net::{
    LinesLeftOut, ListeningPort, Log, MemoryAccount, Reservations, RunSink, ScrapePort, listen,
    wildcard,
};
use crate::policy::{PolicyFile, Token};
pub use background::BackgroundServer;
use counts::RunCounts;
use flows::{FlowPort, SessionFlows};
use overlap::Overlap;
use podperf_model::During as _;
use podperf_model::error::{Kind, Result};
use podperf_model::plan::ClientPermissions;
use podperf_model::plan::limits::Limits;
use podperf_model::units::Bytes;

/// Where any port will do, so many are tried for one that is free for TCP and UDP.
const MAX_PORT_ATTEMPTS: u32 = 8;

/// Sockets that somebody else has opened for this server, as a service manager does.
#[derive(Debug, Clone, Default)]
pub struct PassedSockets {
    /// The listener.
    pub tcp: Option<Arc<TcpListener>>,
    /// Of the same port, for flows of datagrams; without it the server opens it.
    pub udp: Option<Arc<UdpSocket>>,
}

/// How to serve.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Address to listen on; absent: all, IPv6 and IPv4.
    pub bind: Option<IpAddr>,
    /// Port of control and data; 0: any free one.
    pub port: u16,
    /// Port of connections that do not last; 0: any free one, another each time.
    pub data_port: u16,
    /// Accept Multipath TCP beside TCP.
    pub mptcp: bool,
    /// The shared secret; absent: anybody may measure.
    pub token: Option<Token>,
    /// Who may come and how much each may have, instead of the token; absent: whoever knows the
    /// token, and all of it.
    pub policy: Option<PolicyFile>,
    /// Brings word that the policy's file is to be read again, if there is one.
    pub reload: Option<Receiver<()>>,
    /// Sockets that are open already, which take the place of `bind` and `port`.
    pub passed: PassedSockets,
    /// End after one session.
    pub once: bool,
    /// What a client may ask.
    pub limits: Limits,
    /// What a client that is not on this machine may choose of this end.
    pub permissions: ClientPermissions,
    /// Memory of all runs together; absent: what follows from the limits of this process.
    pub max_memory: Option<Bytes>,
    /// This process is its only client, so that a run may take the whole of it.
    pub in_process: bool,
    /// The longest silence after which a client counts as lost: it may ask for less.
    pub peer_timeout: Duration,
    /// From a run that is ready to its client's start.
    pub start_timeout: Duration,
    /// How long runs under way may go on when the server is to end.
    pub drain: Duration,
    /// Where scrapers read what the server has counted; absent: nowhere.
    pub metrics: Option<SocketAddr>,
    /// What the log leaves out, which is counted too.
    pub lines_left_out: Option<LinesLeftOut>,
}

impl ServeOptions {
    /// Serves on `address` (port 0: any free one) whoever reaches it, many at once, within the
    /// widest limits; its end is that of its runs.
    #[must_use]
    pub fn on(address: SocketAddr) -> Self {
        Self {
            bind: Some(address.ip()),
            port: address.port(),
            data_port: 0,
            mptcp: false,
            token: None,
            policy: None,
            reload: None,
            passed: PassedSockets::default(),
            once: false,
            limits: Limits::default(),
            permissions: ClientPermissions::default(),
            max_memory: None,
            in_process: false,
            peer_timeout: MAX_PEER_TIMEOUT,
            start_timeout: START_TIMEOUT,
            drain: Duration::ZERO,
            metrics: None,
            lines_left_out: None,
        }
    }
}

/// What the sessions of one port share.
struct PortContext<'a> {
    options: &'a ServeOptions,
    reservations: Reservations<Socket, SessionFlows>,
    flows: &'a Result<FlowPort>,
    memory: &'a MemoryAccount,
    log: Log<'a>,
    runs: RunSink<'a>,
    counts: RunCounts,
    overlap: Overlap,
    /// Disconnected when no new run begins.
    draining: Receiver<()>,
    /// Disconnected when runs under way end.
    closed: Receiver<()>,
}

/// A server with its port open.
pub struct Server {
    port: ListeningPort,
    /// Where flows of datagrams are set up; one that is taken leaves TCP serving alone.
    flows: Result<FlowPort>,
    memory: MemoryAccount,
    scrapes: Option<ScrapePort>,
    address: SocketAddr,
    options: ServeOptions,
}

impl Server {
    /// Opens the port.
    ///
    /// # Errors
    /// Naming address and port, when it is taken or not this host's.
    pub fn bind(options: ServeOptions) -> Result<Self> {
        let asked = SocketAddr::new(options.bind.unwrap_or_else(wildcard), options.port);
        let is_free = options.passed.tcp.is_none() && asked.port() == 0;
        let mut tries = if is_free { MAX_PORT_ATTEMPTS } else { 1 };
        loop {
            tries -= 1;
            let port = match &options.passed.tcp {
                Some(listener) => ListeningPort::passed(listener)?,
                None => listen(asked, options.mptcp)?,
            };
            let address = port.local_addr().during("look up the listening port")?;
            let flows = match &options.passed.udp {
                Some(socket) => FlowPort::passed(socket, address),
                None => FlowPort::bind(address),
            };
            if tries == 0 || flows.is_ok() {
                let one_at_a_time =
                    options.in_process || options.once || options.limits.sessions == 1;
                let memory = MemoryAccount::open(options.max_memory, one_at_a_time);
                let scrapes = options.metrics.map(ScrapePort::open).transpose()?;
                return Ok(Self { port, flows, memory, scrapes, address, options });
            }
        }
    }

    /// Opens the port, and says to `log` where it is and what holds for those who come.
    ///
    /// # Errors
    /// As of [`Self::bind`].
    pub fn open(options: ServeOptions, log: Log<'_>) -> Result<Self> {
        let server = Self::bind(options)?;
        let (address, options) = (server.address, &server.options);
        let passed =
            if options.passed.tcp.is_some() { ", passed by the service manager" } else { "" };
        log(&format!("listening on {address}, podperf {}{passed}", env!("CARGO_PKG_VERSION")));
        log(&format!("runs share {}", server.memory.budget()));
        if let Some(scrapes) = &server.scrapes {
            log(&format!("counts at {}", scrapes.url()));
        }
        if let Err(error) = &server.flows {
            log(&format!("warning: runs of datagrams are refused: {error}"));
        }
        if options.token.is_none() && options.policy.is_none() && !address.ip().is_loopback() {
            log("warning: anybody who reaches this port can make it send and receive; \
                 set a token with --token-file or PODPERF_TOKEN");
        }
        Ok(server)
    }

    /// The address that it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` says otherwise, or after one session with `once`. Returns the kind of
    /// the signal that ended it, if one did. Every session has ended by then.
    ///
    /// # Errors
    /// When the listening socket breaks.
    pub fn run(
        &self,
        log: Log<'_>,
        runs: RunSink<'_>,
        stop: &Receiver<Kind>,
    ) -> Result<Option<Kind>> {
        let Some(policy) = &self.options.policy else {
            return accept::run(self, (log, runs), stop);
        };
        std::thread::scope(|scope| {
            let (ending, ended) = bounded(0);
            let keep = move || policy.keep(self.options.reload.as_ref(), &ended, log);
            Builder::new()
                .name("podperf-policy".into())
                .spawn_scoped(scope, keep)
                .during("start the policy's thread")?;
            let served = accept::run(self, (log, runs), stop);
            // Every session has ended, so that what is written then is all.
            drop::<Sender<()>>(ending);
            served
        })
    }
}
