//! The server inside this process, for runs without a host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};

use super::Target;
use crate::control::server::{ServeOptions, Server};
use podperf_model::AddressFamily;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::plan::limits::Limits;

/// A server on a free loopback port; dropped, it ends.
#[derive(Debug)]
pub(super) struct LocalServer {
    pub(super) address: SocketAddr,
    stop: Sender<Kind>,
    thread: Option<JoinHandle<()>>,
}

impl LocalServer {
    /// Starts it with the target's token and timeouts, for Multipath TCP if the run is to use it.
    pub(super) fn start(target: &Target, mptcp: bool) -> Result<Self> {
        let loopback = match target.family {
            Some(AddressFamily::V6) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let server = Server::bind(ServeOptions {
            bind: Some(loopback),
            port: 0,
            data_port: 0,
            mptcp,
            token: target.token.clone(),
            once: false,
            limits: Limits::default(),
            peer_timeout: target.peer_timeout,
        })?;
        let address = server.address();
        let (stop, stopped) = bounded(1);
        let thread = std::thread::Builder::new()
            .name("podperf-serve".into())
            // What goes wrong there reaches the client over the connection.
            .spawn(move || _ = server.run(&|_: &str| {}, &stopped))
            .map_err(|error| Error::new(Kind::Unmeasured, "start the server's thread", error))?;
        Ok(Self { address, stop, thread: Some(thread) })
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        let _ = self.stop.try_send(Kind::Terminated);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
