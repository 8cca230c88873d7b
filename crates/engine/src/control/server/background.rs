//! A server in a thread of this process: for runs without a host, and for programs that measure
//! between two ends of their own.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};

use super::{ServeOptions, Server};
use podperf_model::During as _;
use podperf_model::error::{Kind, Result};

/// A server in a thread of its own. It ends, with every run that it has, when it is dropped.
#[derive(Debug)]
pub struct BackgroundServer {
    address: SocketAddr,
    stop: Sender<Kind>,
    thread: Option<JoinHandle<()>>,
}

impl BackgroundServer {
    /// Opens the port and starts the thread.
    ///
    /// # Errors
    /// When the port is taken or not this host's, or when there is no thread to be had.
    pub fn start(options: ServeOptions) -> Result<Self> {
        let server = Server::bind(options)?;
        let address = server.address();
        let (stop, stopped) = bounded(1);
        let thread = std::thread::Builder::new()
            .name("podperf-serve".into())
            // What goes wrong there reaches the client over the connection.
            .spawn(move || _ = server.run(&|_: &str| {}, None, &stopped))
            .during("start the server's thread")?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for BackgroundServer {
    fn drop(&mut self) {
        let _ = self.stop.try_send(Kind::Terminated);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
