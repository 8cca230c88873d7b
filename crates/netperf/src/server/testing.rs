//! netserver's inner parts for tests of the crates above: a session without the port it came by,
//! and what a request would take.

use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;

use socket2::{Domain, Socket, Type};

use super::control::ControlChannel;
use super::data_reservation::DataReservations;
use super::data_socket::{DataSocket, DataSource};
use super::order::Order;
use super::run_test;
use super::session::{self, ServerContext};
use crate::figures::GrantedSocket;
use crate::options::ServerOptions;
use crate::wire::WireMessage;
use crate::wire::dialect::Dialect;
use crate::wire::native::Extensions;
use podperf_engine::net::{AddressLimits, Log, MemoryAccount};
use podperf_model::During as _;
use podperf_model::error::Result;

/// Serves one client on `stream` until it leaves.
///
/// # Errors
/// As a session's end is logged.
pub fn serve(stream: TcpStream, options: &ServerOptions, log: Log<'_>) -> Result<()> {
    let (_open, closing) = UnixStream::pair().during("prepare to end what is served")?;
    let (_open_drain, draining) = UnixStream::pair().during("prepare to end what is served")?;
    let memory = MemoryAccount::open(options.max_memory, true);
    let context = ServerContext {
        options,
        log,
        runs: None,
        reservations: &DataReservations::new(AddressLimits::NONE),
        memory: &memory,
        draining: draining.as_fd(),
        closing: closing.as_fd(),
        admission: None,
    };
    let mut control = ControlChannel::new(stream).during("take over a connection")?;
    match control.next(options.idle_timeout, closing.as_fd())? {
        Some(first) => session::serve(context, control, first, Ok(None)),
        None => Ok(()),
    }
}

/// What this server would do for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestedTest {
    /// Bytes of its sends, its receives, its requests and its responses.
    pub sizes: [u32; 4],
    /// Bytes of memory at the most.
    pub memory: u64,
}

/// Reads a request for a test.
///
/// # Errors
/// The errno of one that is refused.
pub fn requested(
    dialect: Dialect,
    message: &WireMessage,
    extensions: Extensions,
) -> std::result::Result<RequestedTest, i32> {
    let order = Order::read(dialect, message, extensions)?;
    static SOCKET: OnceLock<DataSocket> = OnceLock::new();
    let data_socket = SOCKET.get_or_init(some_data_socket);
    let [send, receive] = run_test::sizes(&order, data_socket);
    let sizes = [send, receive, order.request_bytes, order.response_bytes];
    Ok(RequestedTest { sizes, memory: run_test::memory_needed(&order, data_socket) })
}

/// Makes a data socket that nobody is told of, and that says nothing of its buffers.
fn some_data_socket() -> DataSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket can be made");
    let source = DataSource::Datagrams(socket);
    DataSocket { source, port: 0, granted: GrantedSocket::default(), from: None }
}
