//! netserver: one port, clients of netperf's own wire and of podperf's.
//!
//! Enters: options, and a channel that says when to end. Leaves: nothing but what it logs. One
//! thread accepts and reads first messages (`accept`); a client that has sent one gets a thread
//! (`session`), and a test the engine's workers (`run_test`). Every wait has a deadline but that
//! for a test whose client has set none, and that one ends with its client.

mod accept;
mod control;
mod data_reservation;
mod data_socket;
mod order;
mod run_test;
mod session;
mod start;
mod wait_for_data;
mod watch;

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use crossbeam_channel::Receiver;

pub use super::options::ServerOptions;
use data_reservation::DataReservations;
use podperf_engine::net::{Log, listen, wildcard};
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::{AddressFamily, During as _};
use session::ServerContext;
pub use start::start;

/// A server with its port open.
#[derive(Debug)]
pub struct NetperfServer<'a> {
    listener: TcpListener,
    options: &'a ServerOptions,
}

impl<'a> NetperfServer<'a> {
    /// Opens the port.
    ///
    /// # Errors
    /// Naming the address, when it is taken, not this host's, or not to be found.
    pub fn bind(options: &'a ServerOptions) -> Result<Self> {
        let mut opened = Err(Error::new(Kind::Unmeasured, "listen", "no such address")
            .with_code(Code::NameResolution));
        for address in addresses(options)? {
            opened = listen(address, false);
            if opened.is_ok() {
                break;
            }
        }
        Ok(Self { listener: opened?, options })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` says otherwise; every session has ended then.
    ///
    /// # Errors
    /// When the port breaks.
    pub fn run(&self, stop: &Receiver<Kind>, log: Log<'_>) -> Result<Kind> {
        let (open, closing) = UnixStream::pair().during("prepare to end what is served")?;
        let reservations = DataReservations::new(usize::MAX);
        let context = ServerContext {
            options: self.options,
            log,
            reservations: &reservations,
            closing: closing.as_fd(),
        };
        accept::run(&self.listener, context, stop, || drop(open))
    }
}

/// Serves until `stop` says otherwise; the kind of what ended it.
///
/// # Errors
/// When the port cannot be opened, or breaks.
pub fn serve(options: &ServerOptions, stop: &Receiver<Kind>, log: Log<'_>) -> Result<Kind> {
    NetperfServer::bind(options)?.run(stop, log)
}

/// Looks up addresses to listen on; the first that is to be had is taken.
fn addresses(options: &ServerOptions) -> Result<Vec<SocketAddr>> {
    let any = match (options.family, &options.host) {
        (Some(AddressFamily::V4), None) => "0.0.0.0",
        (Some(AddressFamily::V6), None) => "::",
        (None, None) => return Ok(vec![SocketAddr::new(wildcard(), options.port)]),
        (_, Some(host)) => host,
    };
    let found =
        (any, options.port).to_socket_addrs().during(format!("look up the own address '{any}'"))?;
    let of_family =
        |address: &SocketAddr| options.family.is_none_or(|family| family.has(address.ip()));
    Ok(found.filter(of_family).collect())
}
