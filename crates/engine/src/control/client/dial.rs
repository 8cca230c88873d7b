//! Opens the connections of a run: the control connection, and all streams at once.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{SockAddr, Socket, Type};

use super::{DataTarget, Target};
use crate::control::framing;
use crate::control::preamble::Preamble;
use crate::transport::{short_lived, socket};
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::plan::SocketPlan;
use podperf_model::{AddressFamily, During as _, on_link_of};

/// Connections that are opened at once: enough that a long path costs a round trip and not a
/// round trip each, few enough for a server's backlog.
const MAX_CONCURRENT_CONNECTS: usize = 128;

/// Looks up the addresses of the host that `target` names, as far as it allows them.
///
/// # Errors
/// When the name has none.
pub(super) fn resolve(target: &Target) -> Result<Vec<SocketAddr>> {
    let host = target.host.as_deref().unwrap_or_default();
    let failed = |error: Error| error.with_code(Code::NameResolution).with_peer(host);
    let found = (host, target.port).to_socket_addrs().during("resolve").map_err(failed)?;
    let found: Vec<SocketAddr> = found.collect();
    let allows = |address: &SocketAddr| {
        let family = if address.is_ipv4() { AddressFamily::V4 } else { AddressFamily::V6 };
        target.family.is_none_or(|wanted| wanted == family)
            && target.bind.is_none_or(|bind| bind.is_ipv4() == address.is_ipv4())
    };
    let allowed: Vec<SocketAddr> = found.iter().copied().filter(allows).collect();
    if allowed.is_empty() {
        let family = match target.family {
            Some(AddressFamily::V4) => "IPv4",
            Some(AddressFamily::V6) => "IPv6",
            None => "usable",
        };
        let seen: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
        let (port, seen) = (target.port, seen.join(", "));
        let cause = format!("{host}:{port} has no {family} address, only [{seen}]");
        return Err(failed(Error::new(Kind::Unmeasured, "resolve", cause)));
    }
    Ok(allowed)
}

/// Opens a control connection.
///
/// # Errors
/// When it cannot be opened in time.
pub(super) fn control(
    address: SocketAddr,
    bind: Option<IpAddr>,
    deadline: Instant,
) -> Result<TcpStream> {
    let left = deadline.saturating_duration_since(Instant::now());
    let attempt = || {
        let socket = open(address, bind, false)?;
        socket.connect_timeout(&SockAddr::from(address), left.max(Duration::from_millis(1)))?;
        socket.set_nonblocking(false)?;
        socket.set_tcp_nodelay(true)?;
        Ok(TcpStream::from(socket))
    };
    attempt().map_err(|error: io::Error| {
        Error::system(Kind::Unmeasured, "connect control connection to", &error)
            .with_peer(address)
            .with_remedy(remedy(&error))
    })
}

/// Connects `count` streams, many at once, and names each by its preamble.
///
/// # Errors
/// When one cannot be opened, or not all are there in time. None is left open then.
pub(super) fn streams(to: &DataTarget, plan: &SocketPlan, count: u32) -> Result<Vec<Socket>> {
    let &DataTarget { peer, bind, session, deadline, .. } = to;
    let failed = |id, error: io::Error| {
        let remedy = remedy(&error);
        failed(&error, plan, peer, remedy).with_stream(id)
    };
    let begin = |id| {
        let socket = open(peer, bind, plan.mptcp).map_err(|error| failed(id, error))?;
        socket::before_connect(&socket, plan)?;
        let connecting =
            socket.set_nonblocking(true).and_then(|()| socket.connect(&SockAddr::from(peer)));
        match connecting {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(failed(id, error)),
            _ => Ok((id, socket)),
        }
    };
    let join = |id, socket: Socket| {
        wait_connected(&socket, deadline)?;
        socket.set_nonblocking(false)?;
        let stream = TcpStream::from(socket);
        let preamble = Preamble::Data { session, stream: id }.encode();
        framing::write_bytes(&stream, &preamble, deadline)?;
        stream.set_write_timeout(None)?;
        Ok(stream.into())
    };
    let mut streams = Vec::with_capacity(count as usize);
    let ids: Vec<u32> = (0..count).collect();
    for batch in ids.chunks(MAX_CONCURRENT_CONNECTS) {
        let opening: Result<Vec<(u32, Socket)>> = batch.iter().map(|&id| begin(id)).collect();
        for (id, socket) in opening? {
            streams.push(join(id, socket).map_err(|error| failed(id, error))?);
        }
    }
    Ok(streams)
}

/// A TCP socket for `address`, with the own address `bind`.
pub(super) fn open(address: SocketAddr, bind: Option<IpAddr>, mptcp: bool) -> io::Result<Socket> {
    let socket = socket::open(address, mptcp, Type::STREAM)?;
    let bind = bind.map(|bind| on_link_of(bind, address));
    bind.map_or(Ok(()), |bind| short_lived::bind_address(&socket, bind))?;
    Ok(socket)
}

/// Any own address from which `peer` is reached.
pub(super) const fn any_address(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(AddressFamily::of(peer.ip()).unspecified(), 0)
}

/// Names a data connection that cannot be opened, with what helps: `remedy`, unless the kernel
/// lacks what was asked.
pub(super) fn failed(
    error: &io::Error,
    plan: &SocketPlan,
    address: SocketAddr,
    remedy: &str,
) -> Error {
    let (operation, remedy) = if plan.mptcp && socket::lacks_mptcp(error) {
        (
            "make a socket of Multipath TCP to",
            "set net.mptcp.enabled=1 on a kernel built with it, or leave --mptcp out",
        )
    } else {
        ("connect to", remedy)
    };
    Error::system(Kind::Unmeasured, operation, error).with_peer(address).with_remedy(remedy)
}

/// Waits until a connection that is being opened is open.
pub(super) fn wait_connected(socket: &Socket, deadline: Instant) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(ErrorKind::TimedOut, "no answer in time"));
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut wait = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut wait, timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return socket.take_error()?.map_or(Ok(()), Err),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Suggests what helps against a connection that cannot be opened.
pub(super) fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => "start `podperf serve` there, or name its port with -p",
        Some(libc::EADDRNOTAVAIL) => "give an address of this host to --bind, or use fewer streams",
        Some(libc::EMFILE | libc::ENFILE) => "raise the limit on open files (ulimit -n)",
        _ => "check that the address is right and that no firewall drops the port",
    }
}
