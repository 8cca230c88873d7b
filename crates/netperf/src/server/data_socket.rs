//! The socket that the data of a test comes in or goes out by, opened before the request is
//! answered.
//!
//! Enters: an order and the control connection's addresses. Leaves: a [`DataSocket`], or what the
//! system refused.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use socket2::Socket;

use super::data_reservation::DataReservation;
use super::order::Order;
use crate::data::socket::{GrantedSocket, granted, tcp, udp};
use crate::test_kind::Protocol;
use podperf_engine::transport::short_lived::set_call_timeouts;
use podperf_model::{AddressFamily, on_link_of};

/// Connections that may wait for being accepted, of those that do not last.
const BACKLOG_CONNECTIONS: i32 = 4096;

/// A data socket that the client is told of.
#[derive(Debug)]
pub(super) struct DataSocket {
    pub(super) source: DataSource,
    pub(super) port: u16,
    /// What the kernel granted so far.
    pub(super) granted: GrantedSocket,
    /// Who may come; absent: anybody.
    pub(super) from: Option<IpAddr>,
}

/// Where the data comes from.
#[derive(Debug)]
pub(super) enum DataSource {
    /// Over connections to a port of their own.
    Listening(Socket),
    /// As datagrams.
    Datagrams(Socket),
    /// Over connections to the control port.
    Reserved(DataReservation),
}

/// Opens it: on the address that the client reached this server by, or the one that it named.
///
/// # Errors
/// What the system says.
pub(super) fn open(
    order: &Order,
    (local, peer): (SocketAddr, SocketAddr),
    ports: Option<&RangeInclusive<u16>>,
) -> io::Result<DataSocket> {
    let mut made = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in addresses(order, local) {
        made = on_port(address, order.request.data_port, ports, &|address| make(order, address));
        // An address that is named may be a Service's, or that of a router before this host.
        if !made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable) {
            break;
        }
    }
    let socket = made?;
    let port = socket.local_addr()?.as_socket().map_or(0, |address| address.port());
    let granted = granted(&socket);
    let source = match order.shape.protocol {
        Protocol::Tcp => DataSource::Listening(socket),
        Protocol::Udp => {
            if order.sends_first() {
                socket.connect(&receiver(order, peer)?.into())?;
            }
            DataSource::Datagrams(socket)
        }
    };
    Ok(DataSocket { source, port, granted, from: from(order, peer) })
}

/// Makes a data socket of connections to the control port, with what such sockets are granted.
///
/// # Errors
/// What the system says.
pub(super) fn reserved(
    order: &Order,
    local: SocketAddr,
    reservation: DataReservation,
) -> io::Result<DataSocket> {
    let granted = granted(&tcp(local.ip().to_canonical(), &order.ask)?);
    Ok(DataSocket {
        source: DataSource::Reserved(reservation),
        port: local.port(),
        granted,
        from: None,
    })
}

/// A socket that listens, or waits for datagrams.
fn make(order: &Order, address: SocketAddr) -> io::Result<Socket> {
    let listens = order.shape.protocol == Protocol::Tcp;
    let socket =
        if listens { tcp(address.ip(), &order.ask)? } else { udp(address.ip(), &order.ask)? };
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if listens {
        // Connections of the last test may still be in TIME-WAIT.
        socket.set_reuse_address(true)?;
        if order.shape.direction.lasts() {
            socket.set_nonblocking(true)?;
        } else {
            set_call_timeouts(&socket)?;
        }
    }
    socket.bind(&address.into())?;
    if listens {
        socket.listen(BACKLOG_CONNECTIONS)?;
    }
    Ok(socket)
}

/// On the port that is asked for, on one of `ports`, or on any.
fn on_port(
    mut address: SocketAddr,
    wanted: u16,
    ports: Option<&RangeInclusive<u16>>,
    make: &dyn Fn(SocketAddr) -> io::Result<Socket>,
) -> io::Result<Socket> {
    let Some(ports) = ports.filter(|ports| wanted == 0 && !ports.is_empty()) else {
        address.set_port(wanted);
        return make(address);
    };
    let (first, count) = (*ports.start(), usize::from(ports.end() - ports.start()) + 1);
    // Tests that begin at once do not all try the same ones.
    let begin = fastrand::usize(..count);
    let mut tried = Err(io::ErrorKind::AddrInUse.into());
    for step in 0..count {
        let offset = u16::try_from((begin + step) % count).unwrap_or(0);
        address.set_port(first + offset);
        tried = make(address);
        if !tried.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
            break;
        }
    }
    tried
}

/// Own addresses to be tried, the best first.
fn addresses(order: &Order, local: SocketAddr) -> Vec<SocketAddr> {
    let own = local.ip().to_canonical();
    let family = order.request.family.unwrap_or_else(|| AddressFamily::of(own));
    let best = order.request.server_address.or(Some(own)).filter(|&address| family.has(address));
    let all = best.into_iter().chain([family.unspecified()]);
    all.map(|address| on_link_of(address, local)).collect()
}

/// Where the client's data comes from: the address of its control connection, unless either end
/// named others for the data, which the routes then choose among. Datagrams are answered to that
/// address alone: no other has proved to be the client's.
fn from(order: &Order, peer: SocketAddr) -> Option<IpAddr> {
    let peer = peer.ip().to_canonical();
    if order.answers_datagrams() {
        return Some(peer);
    }
    let family = order.request.family.is_none_or(|family| family.has(peer));
    let named = order.request.server_address.or(order.request.client_address);
    (family && named.is_none()).then_some(peer)
}

/// Where datagrams go that nobody has asked for by a datagram: to the client alone, so that no one
/// can have a third host flooded.
fn receiver(order: &Order, peer: SocketAddr) -> io::Result<SocketAddr> {
    let own = peer.ip().to_canonical();
    if order.request.client_address.is_some_and(|address| address != own) {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    if order.request.client_port == 0 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut to = on_link_of(own, peer);
    to.set_port(order.request.client_port);
    Ok(to)
}

#[cfg(test)]
mod tests;
