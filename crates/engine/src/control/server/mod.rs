//! The listening end: one port, many clients at once.
//!
//! One thread accepts and reads preambles of all who knock (`lobby`), so that silent or slow
//! strangers cost a descriptor for two seconds and nothing else. A client that has named itself
//! gets a thread (`reception`), and once its plan is accepted the engine's (`conduct`).

mod background;
mod conduct;
mod data_port;
mod entrance;
mod flows;
mod lobby;
mod reception;
mod registry;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use crossbeam_channel::Receiver;

use crate::control::PEER_TIMEOUT;
use crate::control::token::Token;
use crate::transport::socket;
pub use background::BackgroundServer;
use flows::Flows;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::plan::limits::Limits;

/// Connections that may wait for being accepted; more than any plan opens at once.
const BACKLOG: i32 = 4096;

/// Where any port will do, so many are tried for one that is free for TCP and UDP.
const PORTS_TRIED: u32 = 8;

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
    /// End after one session.
    pub once: bool,
    /// What a client may ask.
    pub limits: Limits,
    /// Silence after which a client counts as lost.
    pub peer_timeout: Duration,
}

impl ServeOptions {
    /// Serves on `address` (port 0: any free one) whoever reaches it, many at once, within the
    /// widest limits.
    #[must_use]
    pub fn on(address: SocketAddr) -> Self {
        Self {
            bind: Some(address.ip()),
            port: address.port(),
            data_port: 0,
            mptcp: false,
            token: None,
            once: false,
            limits: Limits::default(),
            peer_timeout: PEER_TIMEOUT,
        }
    }
}

/// Where the server tells what happens: one line an event.
pub type Log<'a> = &'a (dyn Fn(&str) + Sync);

/// A server with its port open.
pub struct Server {
    listener: TcpListener,
    flows: Flows,
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
        let mut tries = if asked.port() == 0 { PORTS_TRIED } else { 1 };
        loop {
            tries -= 1;
            let listener = listen(asked, options.mptcp)?;
            let address = listener.local_addr().map_err(|error| {
                Error::new(Kind::Unmeasured, "look up the listening port", error)
            })?;
            let flows = Flows::bind(address);
            if tries == 0 || flows.available().is_ok() {
                return Ok(Self { listener, flows, address, options });
            }
        }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` says otherwise, or after one session with `once`. Returns the kind of
    /// the signal that ended it, if one did. Every session has ended by then.
    ///
    /// # Errors
    /// When the listening socket breaks.
    pub fn run(&self, log: Log<'_>, stop: &Receiver<Kind>) -> Result<Option<Kind>> {
        lobby::run(&self.listener, &self.flows, &self.options, log, stop)
    }
}

/// Serves until `stop` says otherwise (or after one session with `once`); `log` gets one line an
/// event. Returns the kind of the signal that ended it, if one did.
///
/// # Errors
/// When the port cannot be opened.
pub fn serve(options: &ServeOptions, log: Log<'_>, stop: &Receiver<Kind>) -> Result<Option<Kind>> {
    let server = Server::bind(options.clone())?;
    let address = server.address();
    log(&format!("listening on {address}, podperf {}", env!("CARGO_PKG_VERSION")));
    if let Err(error) = server.flows.available() {
        log(&format!("warning: runs of datagrams are refused: {error}"));
    }
    if options.token.is_none() && !address.ip().is_loopback() {
        log("warning: anybody who reaches this port can make it send and receive; \
             set a token with --token-file or PODPERF_TOKEN");
    }
    server.run(log, stop)
}

/// Every address of this host.
pub fn wildcard() -> IpAddr {
    if has_ipv6() { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) }
}

/// Whether a dual-stack wildcard can be had: IPv6 may be left out of the kernel, or turned off.
fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}

/// Opens a port, without waiting in any of its accepts.
///
/// # Errors
/// Naming it, when it is taken or not this host's.
pub fn listen(address: SocketAddr, mptcp: bool) -> Result<TcpListener> {
    let open = || {
        // A listener of Multipath TCP serves TCP too, but to io_uring's zero-copy sends on what it
        // accepts the kernel answers EOPNOTSUPP (seen with Linux 6.18): only where it is asked for.
        let socket = socket::open(address, mptcp, socket2::Type::STREAM)?;
        // A restart does not wait for old connections; two servers on one port stay impossible,
        // because SO_REUSEPORT is not set.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            let wildcard = address.ip().is_unspecified();
            socket.set_only_v6(!wildcard)?;
        }
        socket.bind(&address.into())?;
        socket::listening(&socket);
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(TcpListener::from(socket))
    };
    open().map_err(|error: std::io::Error| {
        let remedy = if mptcp && socket::lacks_mptcp(&error) {
            "set net.mptcp.enabled=1 on a kernel built with it, or leave --mptcp out"
        } else {
            "choose another port with -p, or an address of this host with --bind"
        };
        Error::new(Kind::Unmeasured, "listen on", error).with_peer(address).with_remedy(remedy)
    })
}
