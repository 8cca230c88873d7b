//! netperf's data sockets: made and tuned before netserver is asked, connected when its port is
//! known.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::Socket;

use super::control::cause;
use super::diagnosis;
use crate::data::DataConnections;
use crate::data::socket::{self, GrantedSocket, SocketRequest};
use crate::options::ExitMessage;
use crate::test_kind::{Protocol, TestShape};
use crate::wire::native::{ClientMessage, ConnectionToken};
use podperf_engine::transport::short_lived::{Connector, PortRange};
use podperf_model::AddressFamily;
use podperf_model::plan::{Close, SocketPlan, Wait};
use podperf_model::units::Bytes;

/// For each data connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections to itself that are given up for another port.
const MAX_CONNECT_ATTEMPTS: u32 = 16;

/// Where data comes from and goes to.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// Own address, with port 0; absent: left to the system.
    pub(super) own: Option<SocketAddr>,
    /// Own port; 0: any.
    pub(super) own_port: u16,
    /// netserver's address, and its link where it is one only there. Its port says nothing.
    pub(super) peer: SocketAddr,
    /// Own ports of connections that do not last.
    pub(super) ports: Option<(u16, u16)>,
}

/// Sockets that are there before netserver is asked: of datagrams the one that is used, of
/// connections one that shows what the kernel grants.
#[derive(Debug)]
pub(super) struct PreparedSockets {
    sockets: Vec<Socket>,
    /// What they were granted.
    pub(super) granted: GrantedSocket,
    /// Where datagrams come from.
    pub(super) local: Option<SocketAddr>,
}

/// Makes and tunes the sockets.
pub(super) fn prepare(
    shape: TestShape,
    streams: u32,
    route: &Route,
    ask: &SocketRequest,
) -> Result<PreparedSockets, ExitMessage> {
    let make = || -> io::Result<PreparedSockets> {
        let count = if shape.direction.lasts() { streams } else { 1 };
        let mut sockets = Vec::new();
        for _ in 0..count {
            sockets.push(match shape.protocol {
                Protocol::Tcp => socket::tcp(route.peer.ip(), ask)?,
                Protocol::Udp => {
                    let socket = socket::udp(route.peer.ip(), ask)?;
                    socket.bind(&route.from().into())?;
                    socket
                }
            });
        }
        let local = match shape.protocol {
            Protocol::Udp => sockets[0].local_addr()?.as_socket(),
            Protocol::Tcp => None,
        };
        Ok(PreparedSockets { granted: socket::granted(&sockets[0]), sockets, local })
    };
    make().map_err(|error| failed("create_data_socket", &error))
}

impl PreparedSockets {
    /// Connects them to netserver's data port; or, with a token, to the port of the control
    /// connection, where each says first whose it is.
    pub(super) fn connect(
        self,
        shape: TestShape,
        route: &Route,
        (port, token): (u16, Option<ConnectionToken>),
        ask: &SocketRequest,
    ) -> Result<DataConnections, ExitMessage> {
        if port == 0 {
            return Err(ExitMessage::because("send_omni: the peer names no port for the data"));
        }
        let mut peer = route.peer;
        peer.set_port(port);
        if !shape.direction.lasts() {
            return Ok(DataConnections::Dial(route.dial(peer, ask)));
        }
        let mut connected = Vec::with_capacity(self.sockets.len());
        for (stream, socket) in (0..).zip(self.sockets) {
            let socket = match (shape.protocol, token) {
                (Protocol::Udp, _) => socket.connect(&peer.into()).map(|()| socket),
                (Protocol::Tcp, None) => connect(socket, route, peer, ask),
                (Protocol::Tcp, Some(token)) => {
                    connect(socket, route, peer, ask).and_then(|socket| {
                        ClientMessage::Join { token, stream }.write().write(&mut &socket)?;
                        Ok(socket)
                    })
                }
            };
            connected.push(socket.map_err(|error| match token {
                None => not_connected(peer, &error),
                Some(_) => failed("connect_data_socket", &error),
            })?);
        }
        Ok(DataConnections::Connected(connected))
    }
}

impl Route {
    fn from(&self) -> SocketAddr {
        let any = || SocketAddr::new(AddressFamily::of(self.peer.ip()).unspecified(), 0);
        let mut from = self.own.unwrap_or_else(any);
        from.set_port(self.own_port);
        from
    }

    fn dial(&self, to: SocketAddr, ask: &SocketRequest) -> Connector {
        let buffers = ask.buffers;
        let plan = SocketPlan {
            congestion_control: ask.congestion_control.clone(),
            // One figure for both here; netperf's lone value is one for both as well.
            buffer_bytes: buffers.send.max(buffers.receive).map(|bytes| Bytes(bytes.into())),
            mss_bytes: ask.mss,
            dscp: ask.tos.map(|octet| octet >> 2),
            no_delay: ask.no_delay,
            ..SocketPlan::default()
        };
        let ports = self.ports.map(|(low, high)| Arc::new(PortRange::new(low..=high)));
        let bind = self.own.map(|own| own.ip());
        Connector { to, bind, plan, wait: Wait::Block, close: Close::Server, ports }
    }
}

/// Connects from the own port that was asked for. On one host a lone port is both ends': then the
/// server has it, and another one is taken; and where the system gives both ends one port, so that
/// a connection would be to itself, another one is tried.
fn connect(
    socket: Socket,
    route: &Route,
    peer: SocketAddr,
    ask: &SocketRequest,
) -> io::Result<Socket> {
    let mut socket = socket;
    let mut from = route.from();
    for _ in 0..MAX_CONNECT_ATTEMPTS {
        if from.port() != 0 || route.own.is_some() {
            socket.set_reuse_address(true)?;
            match bind(&socket, from) {
                Err(error)
                    if error.kind() == ErrorKind::AddrInUse && from.port() == peer.port() =>
                {
                    from.set_port(0);
                    bind(&socket, from)?;
                }
                other => other?,
            }
        }
        let connected = socket.connect_timeout(&peer.into(), CONNECT_TIMEOUT);
        let itself =
            socket.local_addr().ok().and_then(|own| own.as_socket()).is_some_and(|own| own == peer);
        if !itself {
            connected?;
            return Ok(socket);
        }
        from.set_port(0);
        socket = socket::tcp(peer.ip(), ask)?;
    }
    Err(io::Error::other("every connection was to itself"))
}

fn bind(socket: &Socket, from: SocketAddr) -> io::Result<()> {
    if from.port() == 0 {
        return podperf_engine::transport::short_lived::bind_address(socket, from);
    }
    socket.bind(&from.into())
}

/// A data connection that cannot be opened; where nobody answers, the control port did.
fn not_connected(peer: SocketAddr, error: &io::Error) -> ExitMessage {
    let failure = failed("connect_data_socket", error);
    let nobody = [ErrorKind::ConnectionRefused, ErrorKind::TimedOut, ErrorKind::HostUnreachable];
    if !nobody.contains(&error.kind()) {
        return failure;
    }
    let err = format!("{}netperf: {peer}: {}\n", failure.err, diagnosis::DATA_PORT);
    ExitMessage { err, ..failure }
}

/// A data socket that is not to be had.
fn failed(step: &str, error: &io::Error) -> ExitMessage {
    ExitMessage::because(format!("send_omni: {step} failed: {}", cause(error)))
}
