//! Data sockets: what the plan asks of them, and what the kernel granted.

use std::io;
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::error::{Error, Kind, Result};
use crate::outcome::run::SocketFacts;
use crate::plan::SocketPlan;
use crate::sys;

/// What listeners use: always there (net/ipv4/tcp_cong.c), allowed to everybody, and it does not
/// pace. See [`before_connect`].
const PLAIN_CONGESTION_CONTROL: &str = "reno";

/// Asks what has to be asked before a connection opens. Buffer sizes and segment size decide what
/// goes into the SYN (tcp(7)). The congestion control is chosen here because one that paces marks
/// the socket for pacing when it starts (`sk_pacing_status`, bbr_init in net/ipv4/tcp_bbr.c), and a
/// later change to one that does not leaves the mark: measured, that costs throughput and brings
/// retransmits of segments that were only out of order.
///
/// # Errors
/// Naming the option the kernel refused.
pub fn before_connect(socket: &Socket, plan: &SocketPlan) -> Result<()> {
    plan.congestion_control.as_ref().map_or(Ok(()), |name| choose(socket, name))?;
    sizes(socket, plan)
}

/// Prepares a listener whose connections may each get a congestion control of their own. They
/// inherit this one; [`accepted`] then chooses theirs. A kernel that refuses changes nothing.
pub fn listening(socket: &Socket) {
    let _ = socket.set_tcp_congestion(PLAIN_CONGESTION_CONTROL.as_bytes());
}

/// Asks of an accepted connection what [`before_connect`] asks on the other end.
///
/// # Errors
/// Naming the option the kernel refused.
pub fn accepted(stream: &TcpStream, plan: &SocketPlan) -> Result<()> {
    let socket = SockRef::from(stream);
    let name = plan.congestion_control.clone().or_else(|| default_congestion_control(stream));
    name.map_or(Ok(()), |name| choose(&socket, &name))?;
    sizes(&socket, plan)
}

/// What a connection gets that asks for nothing: read off a fresh socket, because /proc may be
/// another network namespace's.
fn default_congestion_control(stream: &TcpStream) -> Option<String> {
    let domain = Domain::for_address(stream.local_addr().ok()?);
    let fresh = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).ok()?;
    fresh.tcp_congestion().ok().map(|name| name_of(&name))
}

fn choose(socket: &Socket, name: &str) -> Result<()> {
    set("TCP_CONGESTION", name, socket.set_tcp_congestion(name.as_bytes()))
}

fn sizes(socket: &Socket, plan: &SocketPlan) -> Result<()> {
    if let Some(bytes) = plan.buffer_bytes {
        let bytes = usize::try_from(bytes.0).unwrap_or(usize::MAX);
        set("SO_SNDBUF", bytes, socket.set_send_buffer_size(bytes))?;
        set("SO_RCVBUF", bytes, socket.set_recv_buffer_size(bytes))?;
    }
    if let Some(mss) = plan.mss_bytes {
        set("TCP_MAXSEG", mss, socket.set_tcp_mss(mss))?;
    }
    Ok(())
}

/// Asks the rest of a connected socket, on either end. `sends`: it carries a stream from here, so
/// that pacing applies.
///
/// # Errors
/// Naming the option the kernel refused.
pub fn after_connect(stream: &TcpStream, plan: &SocketPlan, sends: bool) -> Result<()> {
    let socket = SockRef::from(stream);
    if let Some(rate) = plan.pacing_bits_per_second.filter(|_| sends) {
        set(
            "SO_MAX_PACING_RATE",
            rate.0 / 8,
            sys::socket::set_max_pacing_rate(stream, rate.0 / 8),
        )?;
    }
    if let Some(dscp) = plan.dscp {
        // The six upper bits of the former TOS octet (RFC 2474, section 3).
        let octet = u32::from(dscp) << 2;
        let (option, result) = if sends_ipv6(stream) {
            ("IPV6_TCLASS", socket.set_tclass_v6(octet))
        } else {
            ("IP_TOS", socket.set_tos_v4(octet))
        };
        set(option, octet, result)?;
    }
    set("TCP_NODELAY", plan.no_delay, socket.set_tcp_nodelay(plan.no_delay))
}

/// Reads back what the kernel granted. What cannot be read is absent.
#[must_use]
pub fn granted(stream: &TcpStream) -> SocketFacts {
    let socket = SockRef::from(stream);
    let text = |address: io::Result<SocketAddr>| address.map_or_else(|_| String::new(), plain);
    let dscp = if sends_ipv6(stream) { socket.tclass_v6() } else { socket.tos_v4() };
    SocketFacts {
        local: text(stream.local_addr()),
        peer: text(stream.peer_addr()),
        congestion_control: socket.tcp_congestion().ok().map(|name| name_of(&name)),
        send_buffer_bytes: socket.send_buffer_size().ok().map(|bytes| bytes as u64),
        receive_buffer_bytes: socket.recv_buffer_size().ok().map(|bytes| bytes as u64),
        mss_bytes: socket.tcp_mss().ok(),
        pacing_bits_per_second: sys::socket::max_pacing_rate(stream)
            .ok()
            .filter(|&rate| rate != u64::MAX)
            .map(|rate| rate.saturating_mul(8)),
        dscp: dscp.ok().and_then(|octet| u8::try_from(octet >> 2).ok()),
        no_delay: socket.tcp_nodelay().ok(),
    }
}

/// Whether the packets are IPv6. Those of a dual-stack socket to an IPv4 peer are IPv4, and take
/// their octet from IP_TOS.
fn sends_ipv6(stream: &TcpStream) -> bool {
    stream.local_addr().is_ok_and(|address| address.ip().to_canonical().is_ipv6())
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

fn set(option: &str, value: impl std::fmt::Display, result: io::Result<()>) -> Result<()> {
    result.map_err(|error| {
        let failed = Error::new(Kind::Unmeasured, format!("set {option} to {value}"), &error);
        if option == "TCP_CONGESTION" {
            failed.with_remedy(
                "choose one of net.ipv4.tcp_allowed_congestion_control on that end, \
                 or load its module there",
            )
        } else {
            failed
        }
    })
}
