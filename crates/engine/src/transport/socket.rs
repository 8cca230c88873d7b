//! Data sockets: what the plan asks of them, and what the kernel granted.

use std::io;
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use podperf_model::error::{Context, During, Error, Kind, Result};
use podperf_model::plan::{FlowRole, Plan, Role, SocketPlan, Wait};
use podperf_model::result::run::SocketFacts;
use podperf_sys as sys;

/// What listeners use: always there (net/ipv4/tcp_cong.c), allowed to everybody, and it does not
/// pace. See [`before_connect`].
const PLAIN_CONGESTION_CONTROL: &str = "reno";

/// Sets the options that have to be set before a connection opens. Buffer sizes and segment size
/// decide what goes into the SYN (tcp(7)). The congestion control is chosen here because one that
/// paces marks the socket for pacing when it starts (`sk_pacing_status`, bbr_init in
/// net/ipv4/tcp_bbr.c), and a later change to one that does not leaves the mark: measured, that
/// costs throughput and brings retransmits of segments that were only out of order.
///
/// # Errors
/// Naming the option the kernel refused.
pub fn before_connect(socket: &Socket, plan: &SocketPlan) -> Result<()> {
    plan.congestion_control.as_ref().map_or(Ok(()), |name| choose(socket, name))?;
    sizes(socket, plan)
}

/// Prepares a listener whose connections may each get a congestion control of their own. They
/// inherit this one; [`accepted`] then chooses theirs. Their SYNs are kept for [`syn_timestamp`]. A
/// kernel that refuses changes nothing.
///
/// [`syn_timestamp`]: super::syn::syn_timestamp
pub fn listening(socket: &Socket) {
    let _ = sys::option::set_save_syn(socket);
    let _ = socket.set_tcp_congestion(PLAIN_CONGESTION_CONTROL.as_bytes());
}

/// Sets on an accepted connection what [`before_connect`] sets on the other end.
///
/// # Errors
/// Naming the option the kernel refused.
pub fn accepted(stream: &TcpStream, plan: &SocketPlan) -> Result<()> {
    let socket = SockRef::from(stream);
    let name = plan.congestion_control.clone().or_else(|| default_congestion_control(stream));
    name.map_or(Ok(()), |name| choose(&socket, &name))?;
    sizes(&socket, plan)
}

/// The congestion control of a connection that asks for none, read from a fresh socket, because
/// /proc may be another network namespace's.
fn default_congestion_control(stream: &TcpStream) -> Option<String> {
    let domain = Domain::for_address(stream.local_addr().ok()?);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).ok()?;
    socket.tcp_congestion().ok().map(|name| name_of(&name))
}

fn choose(socket: &Socket, name: &str) -> Result<()> {
    set("TCP_CONGESTION", name, socket.set_tcp_congestion(name.as_bytes()))
}

/// Buffer and segment sizes.
pub(super) fn sizes(socket: &Socket, plan: &SocketPlan) -> Result<()> {
    if let Some(bytes) = plan.buffer_bytes {
        let bytes = bytes.as_usize();
        set("SO_SNDBUF", bytes, socket.set_send_buffer_size(bytes))?;
        set("SO_RCVBUF", bytes, socket.set_recv_buffer_size(bytes))?;
    }
    if let Some(mss) = plan.mss_bytes {
        set("TCP_MAXSEG", mss, socket.set_tcp_mss(mss))?;
    }
    Ok(())
}

/// Tunes the connected streams of `plan` at `end`, in the order of their flows; with what was
/// granted to each.
///
/// # Errors
/// Naming the option the kernel refused, and the stream.
pub fn tune_all(
    streams: Vec<Socket>,
    plan: &Plan,
    end: Role,
) -> Result<(Vec<Socket>, Vec<SocketFacts>)> {
    let tune = |id, stream: &TcpStream| {
        if end == Role::Server {
            accepted(stream, &plan.socket)?;
        }
        after_connect(stream, &plan.socket, plan.flow_role(end, id))?;
        busy_poll(&SockRef::from(stream), plan.end(end).wait)
    };
    let tuned = (0..).zip(streams).map(|(id, stream)| {
        let stream = TcpStream::from(stream);
        tune(id, &stream).with_stream(id)?;
        let granted = granted(&stream);
        Ok((stream.into(), granted))
    });
    tuned.collect()
}

/// Sets the other options of a connected socket, on either end, whose part on the flow is `role`:
/// what sends is paced, and streams may be corked.
fn after_connect(stream: &TcpStream, plan: &SocketPlan, role: FlowRole) -> Result<()> {
    let socket = SockRef::from(stream);
    if role != FlowRole::Receive {
        pace(&socket, plan)?;
    }
    if plan.cork && role == FlowRole::Send {
        set("TCP_CORK", 1, socket.set_tcp_cork(true))?;
    }
    if plan.quick_ack {
        set("TCP_QUICKACK", 1, socket.set_tcp_quickack(true))?;
    }
    mark(&socket, plan, sends_ipv6(&socket))
}

/// Sets what holds for every packet of a TCP socket, connected or not; `ipv6`: its packets are.
///
/// # Errors
/// Naming the option the kernel refused.
pub fn mark(socket: &Socket, plan: &SocketPlan, ipv6: bool) -> Result<()> {
    set_dscp(socket, plan, ipv6)?;
    set("TCP_NODELAY", plan.no_delay, socket.set_tcp_nodelay(plan.no_delay))
}

/// Has the kernel pace what a socket sends.
fn pace(socket: &Socket, plan: &SocketPlan) -> Result<()> {
    let Some(rate) = plan.pacing_bits_per_second else { return Ok(()) };
    let bytes = rate.0 / 8;
    set("SO_MAX_PACING_RATE", bytes, sys::option::set_max_pacing_rate(socket, bytes))
}

/// Marks what a socket sends; `ipv6`: its packets are.
pub(super) fn set_dscp(socket: &Socket, plan: &SocketPlan, ipv6: bool) -> Result<()> {
    let Some(dscp) = plan.dscp else { return Ok(()) };
    // The six upper bits of the former TOS octet (RFC 2474, section 3).
    let octet = u32::from(dscp) << 2;
    if ipv6 {
        set("IPV6_TCLASS", octet, socket.set_tclass_v6(octet))
    } else {
        set("IP_TOS", octet, socket.set_tos_v4(octet))
    }
}

/// Lets each receive call poll the device first, where `wait` says so. What belongs to it and needs
/// more than the kernel grants is left out; it is read back.
///
/// # Errors
/// When the kernel refuses.
pub fn busy_poll(socket: &Socket, wait: Wait) -> Result<()> {
    let Some(us) = wait.busy_poll_us() else { return Ok(()) };
    sys::option::set_busy_poll_us(socket, us)
        .during(format!("set SO_BUSY_POLL to {us} µs"))
        .with_remedy(
            "before Linux 6.7 it needs CAP_NET_ADMIN on that end, or net.core.busy_read as high; \
             or wait by block or spin",
        )?;
    let _ = sys::option::set_prefer_busy_poll(socket);
    Ok(())
}

/// A TCP socket for `address`, or one of Multipath TCP.
///
/// # Errors
/// What socket(2) returns.
pub fn open(address: SocketAddr, mptcp: bool, kind: Type) -> io::Result<Socket> {
    let protocol = if mptcp { Protocol::MPTCP } else { Protocol::TCP };
    Socket::new(Domain::for_address(address), kind.cloexec(), Some(protocol))
}

/// Whether the kernel refuses Multipath TCP as such: built without it, or net.mptcp.enabled is 0.
#[must_use]
pub fn lacks_mptcp(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EPROTONOSUPPORT | libc::ENOPROTOOPT | libc::EPROTOTYPE | libc::EINVAL)
    )
}

/// A listening socket for `address`, of Multipath TCP where that was asked for and the kernel has
/// it: one such serves TCP as well.
///
/// # Errors
/// What socket(2) returns.
pub fn open_listener(address: SocketAddr, mptcp: bool) -> io::Result<Socket> {
    match open(address, mptcp, Type::STREAM) {
        Err(error) if mptcp && lacks_mptcp(&error) => open(address, false, Type::STREAM),
        other => other,
    }
}

/// Reads back what the kernel granted. What cannot be read is absent.
#[must_use]
pub fn granted(stream: &TcpStream) -> SocketFacts {
    granted_to(&SockRef::from(stream))
}

/// Reads back what the kernel granted to any socket; one that listens has no peer.
#[must_use]
pub fn granted_to(socket: &Socket) -> SocketFacts {
    let text = |address: io::Result<SockAddr>| {
        let address = address.ok().and_then(|address| address.as_socket());
        address.map_or_else(String::new, plain)
    };
    let dscp = if sends_ipv6(socket) { socket.tclass_v6() } else { socket.tos_v4() };
    let busy_poll_us = sys::option::busy_poll_us(socket).ok();
    let polled = busy_poll_us.is_some_and(|us| us > 0);
    SocketFacts {
        local: text(socket.local_addr()),
        peer: text(socket.peer_addr()),
        congestion_control: socket.tcp_congestion().ok().map(|name| name_of(&name)),
        send_buffer_bytes: socket.send_buffer_size().ok().map(|bytes| bytes as u64),
        receive_buffer_bytes: socket.recv_buffer_size().ok().map(|bytes| bytes as u64),
        mss_bytes: socket.tcp_mss().ok(),
        pacing_bits_per_second: sys::option::max_pacing_rate(socket)
            .ok()
            .filter(|&rate| rate != u64::MAX)
            .map(|rate| rate.saturating_mul(8)),
        dscp: dscp.ok().and_then(|octet| u8::try_from(octet >> 2).ok()),
        no_delay: socket.tcp_nodelay().ok(),
        cork: socket.tcp_cork().ok(),
        quick_ack: socket.tcp_quickack().ok(),
        mptcp: Some(sys::option::speaks_mptcp(socket)),
        prefer_busy_poll: sys::option::prefer_busy_poll(socket).ok().filter(|_| polled),
        napi_id: sys::option::incoming_napi_id(socket).ok().filter(|_| polled),
        busy_poll_us,
        path_mtu_bytes: sys::datagram::path_mtu(socket, sends_ipv6(socket)).ok(),
    }
}

/// Whether the packets are IPv6. Those of a dual-stack socket to an IPv4 peer are IPv4, and take
/// their octet from IP_TOS.
pub(super) fn sends_ipv6(socket: &Socket) -> bool {
    let address = socket.local_addr().ok().and_then(|address| address.as_socket());
    address.is_some_and(|address| address.ip().to_canonical().is_ipv6())
}

/// An address as people write it: IPv4 peers of a dual-stack socket as IPv4.
#[must_use]
pub fn plain(address: SocketAddr) -> String {
    SocketAddr::new(address.ip().to_canonical(), address.port()).to_string()
}

/// A socket option's name: the kernel pads it with zeroes.
fn name_of(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

pub(super) fn set(
    option: &str,
    value: impl std::fmt::Display,
    result: io::Result<()>,
) -> Result<()> {
    result.map_err(|error| {
        let failed = Error::system(Kind::Unmeasured, format!("set {option} to {value}"), &error);
        match error.raw_os_error() {
            _ if option == "TCP_CONGESTION" => failed.with_remedy(
                "choose one of net.ipv4.tcp_allowed_congestion_control on that end, \
                 or load its module there",
            ),
            Some(libc::EOPNOTSUPP | libc::ENOPROTOOPT) => failed.with_remedy(
                "this kernel has it not, or not for Multipath TCP: leave it or --mptcp out",
            ),
            _ => failed,
        }
    })
}
