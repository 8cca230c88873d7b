//! New connections, one after the other: each is tuned before it opens, on either end.
//!
//! Enters: where to connect to or listen, and what the plan asks of sockets. Leaves: sockets. What
//! is asked of a listener holds for the connections it accepts, which inherit it. Nothing here
//! counts, repeats or decides when to stop.

use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::{SockAddr, Socket, Type};

use crate::transport::socket;
use podperf_model::error::{Context, During, Error, Kind, Result};
use podperf_model::plan::{Close, SocketPlan, Wait};
use podperf_model::{AddressFamily, on_link_of};
use podperf_sys as sys;

/// A call that waits longer returns, so that the worker reads whether the run goes on.
const CALL_TIMEOUT: Duration = Duration::from_millis(100);

/// How a client opens connections.
#[derive(Debug, Clone)]
pub struct Connector {
    /// The server's address.
    pub to: SocketAddr,
    /// Own address.
    pub bind: Option<IpAddr>,
    /// What is asked of each socket.
    pub plan: SocketPlan,
    /// How its receive calls wait.
    pub wait: Wait,
    /// How a connection ends.
    pub close: Close,
    /// Own ports, taken in turn; absent: left to the system.
    pub ports: Option<Arc<PortRange>>,
}

/// Ports that connections are opened from, one after the other.
#[derive(Debug)]
pub struct PortRange {
    range: RangeInclusive<u16>,
    /// Ports taken so far, from a random start.
    ports_taken: AtomicU64,
}

impl PortRange {
    /// The ports of `range`.
    #[must_use]
    pub fn new(range: RangeInclusive<u16>) -> Self {
        Self { range, ports_taken: AtomicU64::new(fastrand::u32(..).into()) }
    }

    fn count(&self) -> u64 {
        u64::from(self.range.end().saturating_sub(*self.range.start())) + 1
    }

    fn next(&self) -> u16 {
        let place = self.ports_taken.fetch_add(1, Ordering::Relaxed) % self.count();
        self.range.start().saturating_add(u16::try_from(place).unwrap_or(0))
    }

    /// Binds to the next port of an address that is not in use.
    fn bind(&self, socket: &Socket, mut address: SocketAddr) -> io::Result<()> {
        // Connections of before may still be in TIME-WAIT.
        socket.set_reuse_address(true)?;
        for _ in 0..self.count() {
            address.set_port(self.next());
            match socket.bind(&address.into()) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                other => return other,
            }
        }
        Err(io::Error::from_raw_os_error(libc::EADDRNOTAVAIL))
    }
}

impl Connector {
    /// A socket with everything asked of it. One that blocks does so for 100 ms a call at the most.
    ///
    /// # Errors
    /// What the system reports, naming the option that it refuses.
    pub fn socket(&self, nonblocking: bool) -> io::Result<Socket> {
        let kind = if nonblocking { Type::STREAM.nonblocking() } else { Type::STREAM };
        let socket = socket::open(self.to, self.plan.mptcp, kind)?;
        self.tune(&socket).map_err(io::Error::other)?;
        if !nonblocking {
            set_call_timeouts(&socket)?;
        }
        if self.close == Close::Rst {
            socket.set_linger(Some(Duration::ZERO))?;
        }
        let bind = self.bind.map(|bind| on_link_of(bind, self.to));
        match (&self.ports, bind) {
            (Some(ports), bind) => ports.bind(&socket, bind.unwrap_or_else(|| any(self.to)))?,
            (None, Some(bind)) => bind_address(&socket, bind)?,
            (None, None) => {}
        }
        Ok(socket)
    }

    fn tune(&self, socket: &Socket) -> Result<()> {
        socket::before_connect(socket, &self.plan)?;
        socket::busy_poll(socket, self.wait)?;
        socket::mark(socket, &self.plan, self.to.ip().to_canonical().is_ipv6())
    }

    /// Opens the connection, or goes on opening it.
    ///
    /// # Errors
    /// What connect(2) returns: `InProgress` or EALREADY while it takes longer.
    pub fn connect(&self, socket: &Socket) -> io::Result<()> {
        match socket.connect(&SockAddr::from(self.to)) {
            Err(error) if error.raw_os_error() == Some(libc::EISCONN) => Ok(()),
            other => other,
        }
    }
}

/// A connection could not be opened: the failure of `operation`, or of the option that was refused.
#[must_use]
pub fn open_error(operation: &str, error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(refused) => refused,
        Err(error) => Error::system(Kind::Unmeasured, operation, &error),
    }
}

/// Binds to an address, whose port is 0, and leaves the port to connect(2).
///
/// # Errors
/// What bind(2) returns.
pub fn bind_address(socket: &Socket, bind: SocketAddr) -> io::Result<()> {
    // A kernel before 4.2 takes a port at once; there are fewer of them then.
    let _ = sys::option::set_bind_address_no_port(socket);
    socket.bind(&bind.into())
}

/// Any own address from which `to` is reached.
const fn any(to: SocketAddr) -> SocketAddr {
    SocketAddr::new(AddressFamily::of(to.ip()).unspecified(), 0)
}

/// Limits how long a call may wait, so that the worker reads in time whether the run goes on.
///
/// # Errors
/// What setsockopt(2) returns.
pub fn set_call_timeouts(socket: &Socket) -> io::Result<()> {
    socket.set_read_timeout(Some(CALL_TIMEOUT))?;
    socket.set_write_timeout(Some(CALL_TIMEOUT))
}

/// Whether a call came back because there was nothing yet: at once from a non-blocking socket, else
/// after 100 ms.
#[must_use]
pub fn not_yet(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAGAIN | libc::EINTR | libc::EINPROGRESS | libc::EALREADY)
    )
}

/// A listening socket of one session.
#[derive(Debug)]
pub struct SessionListener {
    socket: Socket,
    /// The only host whose connections are taken; absent: any.
    from: Option<IpAddr>,
}

/// A connection that was accepted.
#[derive(Debug)]
pub enum AcceptedConnection {
    /// From the host of the client.
    FromClient(Socket),
    /// From another host; it is closed.
    FromElsewhere,
}

impl SessionListener {
    /// Listens on `address` for connections from `from`; `flows` of them come at one time.
    ///
    /// # Errors
    /// Naming the address and what is refused.
    pub fn open(
        address: SocketAddr,
        from: IpAddr,
        plan: &SocketPlan,
        wait: Wait,
        flows: u32,
    ) -> Result<Self> {
        const OPERATION: &str = "listen for connections of the run on";
        const REMEDY: &str = "choose another --data-port there, or wait until a run has ended";
        let socket = socket::open_listener(address, plan.mptcp)
            .during(OPERATION)
            .with_peer(address)
            .with_remedy(REMEDY)?;
        socket::before_connect(&socket, plan)?;
        socket::busy_poll(&socket, wait)?;
        socket::mark(&socket, plan, address.is_ipv6())?;
        let backlog = i32::try_from(flows.saturating_mul(2)).unwrap_or(i32::MAX).max(128);
        let listen = || {
            // Connections of the last run may still be in TIME-WAIT.
            socket.set_reuse_address(true)?;
            set_call_timeouts(&socket)?;
            socket.bind(&address.into())?;
            socket.listen(backlog)
        };
        listen().during(OPERATION).with_peer(address).with_remedy(REMEDY)?;
        Ok(Self { socket, from: Some(from.to_canonical()) })
    }

    /// Of a socket that is tuned and listens already, and had its [`set_call_timeouts`] before it
    /// did, which connections inherit; absent `from`: for connections of anybody.
    #[must_use]
    pub fn of(socket: Socket, from: Option<IpAddr>) -> Self {
        Self { socket, from: from.map(|from| from.to_canonical()) }
    }

    /// The socket, to watch or to look at.
    #[must_use]
    pub const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Accepts one connection, which is non-blocking if asked.
    ///
    /// # Errors
    /// What accept4(2) returns; see [`not_yet`].
    pub fn accept(&self, nonblocking: bool) -> io::Result<AcceptedConnection> {
        let (socket, peer) = sys::accept::accept(&self.socket, nonblocking)?;
        let from_client = self.from.is_none_or(|from| peer.ip().to_canonical() == from);
        Ok(if from_client {
            AcceptedConnection::FromClient(socket)
        } else {
            AcceptedConnection::FromElsewhere
        })
    }

    /// Ends accepting, and wakes whoever waits for a connection.
    pub fn shut(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::TcpListener;

    use super::*;

    fn connector(to: SocketAddr, ports: Option<RangeInclusive<u16>>) -> Connector {
        let ports = ports.map(|range| Arc::new(PortRange::new(range)));
        let (plan, wait, close) = (SocketPlan::default(), Wait::Block, Close::Server);
        Connector { to, bind: None, plan, wait, close, ports }
    }

    #[test]
    fn every_port_of_a_range_has_its_turn_and_those_in_use_are_passed_over() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        // A listener holds its port against others, whatever they reuse.
        let ports_taken = TcpListener::bind("0.0.0.0:0").unwrap();
        let middle = ports_taken.local_addr().unwrap().port().clamp(2, u16::MAX - 2);
        let range = middle - 2..=middle + 2;
        let connector = connector(server.local_addr().unwrap(), Some(range.clone()));
        let mut seen = HashSet::new();
        let mut open = Vec::new();
        for _ in 0..4 {
            let socket = match connector.socket(false) {
                Ok(socket) => socket,
                // Somebody else has one of them.
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL));
                    break;
                }
            };
            let port = socket.local_addr().unwrap().as_socket().unwrap().port();
            assert!(range.contains(&port) && port != middle, "{port}");
            // Once around, where somebody else has one: bound again, but not connected again.
            if let Err(error) = connector.connect(&socket) {
                assert_eq!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL));
                break;
            }
            assert!(seen.insert(port), "{port} twice");
            open.push(socket);
        }
        assert!(!seen.is_empty());
    }

    #[test]
    fn without_a_range_the_system_chooses() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let connector = connector(server.local_addr().unwrap(), None);
        let socket = connector.socket(false).unwrap();
        connector.connect(&socket).unwrap();
        assert_ne!(socket.local_addr().unwrap().as_socket().unwrap().port(), 0);
    }
}
