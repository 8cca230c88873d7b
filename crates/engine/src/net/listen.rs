//! Listening sockets, of one address or of all of this host.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use socket2::SockRef;

use crate::transport::socket;
use podperf_model::During as _;
use podperf_model::error::{Error, Kind, Result};

/// Connections that may wait for being accepted: more than any plan opens at once.
const BACKLOG_CONNECTIONS: i32 = 4096;

/// What the listener is called among what its epoll reports; the others are connections.
pub(super) const LISTENER_EVENT: u64 = u64::MAX;

/// An open port: a listener whose accepts do not block, and what watches it and its connections.
#[derive(Debug)]
pub struct ListeningPort {
    pub(super) listener: TcpListener,
    pub(super) epoll: Epoll,
}

impl ListeningPort {
    fn new(listener: TcpListener) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER_EVENT))?;
        Ok(Self { listener, epoll })
    }

    /// A listener that somebody else has opened.
    ///
    /// # Errors
    /// When it cannot be made this process's own, or does not listen.
    pub fn passed(listener: &TcpListener) -> Result<Self> {
        let open = || {
            let listener = listener.try_clone()?;
            listener.set_nonblocking(true)?;
            let socket = SockRef::from(&listener);
            socket::listening(&socket);
            // One that listens already gets the backlog.
            socket.listen(BACKLOG_CONNECTIONS)?;
            Self::new(listener)
        };
        open().during("take the listener that was passed")
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What getsockname(2) returns.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The address that stands for every address of this host: IPv6 and IPv4 where both can be had.
#[must_use]
pub fn wildcard() -> IpAddr {
    // IPv6 may be left out of the kernel, or turned off.
    let dual_stack = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok();
    if dual_stack { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
}

/// Opens a port.
///
/// # Errors
/// Naming the address, when it is taken or not this host's.
pub fn listen(address: SocketAddr, mptcp: bool) -> Result<ListeningPort> {
    let open = || {
        // A listener of Multipath TCP serves TCP too, but to io_uring's zero-copy sends on what it
        // accepts the kernel answers EOPNOTSUPP (seen with Linux 6.18): only where it is asked for.
        let socket = socket::open(address, mptcp, socket2::Type::STREAM)?;
        // A restart does not wait for old connections; two servers on one port stay impossible,
        // because SO_REUSEPORT is not set.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        socket.bind(&address.into())?;
        socket::listening(&socket);
        socket.listen(BACKLOG_CONNECTIONS)?;
        socket.set_nonblocking(true)?;
        ListeningPort::new(TcpListener::from(socket))
    };
    open().map_err(|error: io::Error| {
        let remedy = if mptcp && socket::lacks_mptcp(&error) {
            "set net.mptcp.enabled=1 on a kernel built with it, or leave --mptcp out"
        } else {
            "choose another port with -p, or an address of this host with --bind"
        };
        Error::system(Kind::Unmeasured, "listen on", &error).with_peer(address).with_remedy(remedy)
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use podperf_model::error::Code;

    use super::*;

    #[test]
    fn the_wildcard_takes_both_families_and_a_port_is_taken_once() {
        let listener = listen(SocketAddr::new(wildcard(), 0), false).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        if wildcard().is_ipv6() {
            assert!(TcpStream::connect((Ipv6Addr::LOCALHOST, port)).is_ok());
        }
        let error = listen(SocketAddr::new(wildcard(), port), false).unwrap_err();
        assert_eq!(error.code, Code::AddressUnavailable);
        assert!(error.remedy.is_some());
    }
}
