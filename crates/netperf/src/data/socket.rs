//! Data sockets as netperf's options ask for them, and what the kernel granted.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

pub use crate::figures::GrantedSocket;
use crate::options::Buffers;
use podperf_engine::metrics::flow;
use podperf_sys as sys;

/// Workers of datagrams look up from a call this often.
const DATAGRAM_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// What is asked of a data socket. Absent: the system's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SocketRequest {
    /// SO_SNDBUF and SO_RCVBUF.
    pub buffers: Buffers,
    /// TCP_NODELAY.
    pub no_delay: bool,
    /// TCP_CORK.
    pub cork: bool,
    /// TCP_MAXSEG.
    pub mss: Option<u32>,
    /// TCP_CONGESTION; one that is refused is left, as netperf does: the result tells.
    pub congestion_control: Option<String>,
    /// IP_TOS or IPV6_TCLASS.
    pub tos: Option<u8>,
    /// SO_PRIORITY.
    pub priority: Option<u32>,
    /// SO_KEEPALIVE.
    pub keepalive: bool,
    /// SO_MAX_PACING_RATE.
    pub pacing_bytes_per_second: Option<u64>,
    /// SO_DONTROUTE: only hosts on a network of this host's own are reached.
    pub dont_route: bool,
    /// Datagrams are not fragmented.
    pub dont_fragment: bool,
}

/// A TCP socket for an address of this family.
///
/// # Errors
/// What the kernel refuses.
pub fn tcp(family: IpAddr, ask: &SocketRequest) -> io::Result<Socket> {
    let address = SocketAddr::new(family, 0);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    tune_tcp(&socket, family, ask)?;
    Ok(socket)
}

/// Asks of a TCP socket what has to be asked before it connects or listens.
///
/// # Errors
/// What the kernel refuses.
pub fn tune_tcp(socket: &Socket, family: IpAddr, ask: &SocketRequest) -> io::Result<()> {
    if let Some(name) = &ask.congestion_control {
        // Not an error with netperf either; what is in force stands in the result.
        let _ = socket.set_tcp_congestion(name.as_bytes());
    }
    if let Some(mss) = ask.mss {
        socket.set_tcp_mss(mss)?;
    }
    if ask.no_delay {
        socket.set_tcp_nodelay(true)?;
    }
    if ask.cork {
        socket.set_tcp_cork(true)?;
    }
    common(socket, family, ask)
}

/// A UDP socket for an address of this family.
///
/// # Errors
/// What the kernel refuses.
pub fn udp(family: IpAddr, ask: &SocketRequest) -> io::Result<Socket> {
    let address = SocketAddr::new(family, 0);
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if ask.dont_fragment {
        sys::datagram::set_fragmentation(&socket, family.is_ipv6(), false)?;
    }
    socket.set_read_timeout(Some(DATAGRAM_POLL_INTERVAL))?;
    socket.set_write_timeout(Some(DATAGRAM_POLL_INTERVAL))?;
    common(&socket, family, ask)?;
    Ok(socket)
}

fn common(socket: &Socket, family: IpAddr, ask: &SocketRequest) -> io::Result<()> {
    if let Some(bytes) = ask.buffers.send {
        socket.set_send_buffer_size(bytes as usize)?;
    }
    if let Some(bytes) = ask.buffers.receive {
        socket.set_recv_buffer_size(bytes as usize)?;
    }
    if let Some(tos) = ask.tos.map(u32::from) {
        if family.is_ipv6() { socket.set_tclass_v6(tos)? } else { socket.set_tos_v4(tos)? }
    }
    if let Some(priority) = ask.priority {
        setsockopt(socket, sockopt::Priority, &priority.cast_signed())?;
    }
    if ask.keepalive {
        socket.set_keepalive(true)?;
    }
    if let Some(rate) = ask.pacing_bytes_per_second {
        sys::option::set_max_pacing_rate(socket, rate)?;
    }
    if ask.dont_route {
        setsockopt(socket, sockopt::DontRoute, &true)?;
    }
    Ok(())
}

/// What the kernel granted. What cannot be read is absent.
#[must_use]
pub fn granted(socket: &Socket) -> GrantedSocket {
    let size = |bytes: io::Result<usize>| bytes.ok().and_then(|bytes| u32::try_from(bytes).ok());
    let ipv6 = socket
        .local_addr()
        .ok()
        .and_then(|address| address.as_socket())
        .is_some_and(|address| address.ip().to_canonical().is_ipv6());
    let tos = if ipv6 { socket.tclass_v6() } else { socket.tos_v4() };
    let name = |bytes: Vec<u8>| {
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    let priority = getsockopt(socket, sockopt::Priority).ok();
    GrantedSocket {
        send_buffer: size(socket.send_buffer_size()),
        receive_buffer: size(socket.recv_buffer_size()),
        mss: socket.tcp_mss().ok(),
        congestion_control: socket.tcp_congestion().ok().map(name),
        tos: tos.ok(),
        priority: priority.and_then(|priority| u32::try_from(priority).ok()),
        no_delay: socket.tcp_nodelay().unwrap_or(false),
        cork: socket.tcp_cork().unwrap_or(false),
        retransmits: flow::read(socket.as_fd()).map(|info| info.retransmits),
    }
}
