//! The server of a run, as its client has it: what goes to it, what comes from it, and what ends
//! the wait for it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Select, at, select};
use socket2::Socket;

use super::cancellation::Cancellation;
use super::{claims, other_server};
use crate::control::link::Link;
use crate::control::message::FromServer;
use podperf_model::error::{Code, Error, Kind, Result};

/// For what a server says of the streams that it has closed: it is under way.
const REASON_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two looks at streams on which nothing may come before the start.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);

/// A server that has welcomed this client.
pub(super) struct ServerPeer<'a> {
    pub(super) link: Link,
    pub(super) incoming: Receiver<Result<FromServer>>,
    pub(super) address: SocketAddr,
    /// How long it may be silent.
    pub(super) peer_timeout: Duration,
    pub(super) cancellation: Cancellation<'a>,
}

impl ServerPeer<'_> {
    /// Waits until it answers what `wanted` takes, before the run starts.
    ///
    /// # Errors
    /// Naming `step`, when it refuses, says another thing or nothing before `deadline`, is gone, or
    /// a signal comes.
    pub(super) fn wait_for<T>(
        &self,
        step: &str,
        deadline: Instant,
        wanted: impl FnOnce(FromServer) -> Option<T>,
    ) -> Result<T> {
        let failed = |code, cause: &str| {
            Error::new(Kind::Unmeasured, step, cause).with_code(code).with_peer(self.address)
        };
        select! {
            recv(self.incoming) -> message => match message {
                Ok(Ok(FromServer::Refused(error))) => Err(self.refused(error)),
                Ok(Ok(message)) => {
                    let other = || failed(Code::Protocol, "it sent another message");
                    wanted(message).ok_or_else(other)
                }
                Ok(Err(error)) => {
                    Err(Error { operation: step.into(), ..error }.with_kind(Kind::Unmeasured))
                }
                Err(_) => Err(failed(Code::ConnectionLost, "the control connection is gone")),
            },
            recv(self.cancellation.stop) -> signal => {
                let kind = signal.unwrap_or(Kind::Interrupted);
                Err(failed(Code::Signal, "a signal ended the run").with_kind(kind))
            }
            recv(at(deadline)) -> _ => {
                let late = failed(Code::Timeout, "no answer in time");
                Err(late.with_remedy("raise --connect-timeout if the path is slow"))
            }
        }
    }

    /// Watches streams until the server says something, a signal comes or `deadline` is over.
    ///
    /// # Errors
    /// When anything comes on one of them.
    pub(super) fn watch(&self, streams: &[Socket], deadline: Instant) -> Result<()> {
        let mut wait = Select::new();
        wait.recv(&self.incoming);
        wait.recv(self.cancellation.stop);
        while Instant::now() < deadline && wait.ready_timeout(WATCH_INTERVAL).is_err() {
            other_server::check(streams, self.address)?;
        }
        Ok(())
    }

    /// Says how the server broke the protocol.
    pub(super) fn broke_protocol(&self, cause: impl std::fmt::Display) -> Error {
        Error::new(Kind::Incomplete, "follow the control protocol", cause)
            .with_code(Code::Protocol)
            .with_peer(self.address)
    }

    /// The server's own reason, where a stream was lost that it has closed; where the server is
    /// there and says nothing, somebody else has closed it.
    pub(super) fn reason_for(&self, error: Error) -> Error {
        let lost = [libc::ENOTCONN, libc::ECONNRESET, libc::EPIPE, libc::ECONNREFUSED];
        if !error.errno.is_some_and(|errno| lost.contains(&errno)) {
            return error;
        }
        match self.incoming.recv_timeout(REASON_TIMEOUT) {
            Ok(Ok(FromServer::Refused(refusal))) => self.refused(refusal),
            Err(RecvTimeoutError::Timeout) => other_server::broken(error),
            _ => error,
        }
    }

    /// Names the server that refuses in its error.
    fn refused(&self, error: Error) -> Error {
        let error = claims::shortened(error);
        let (remedy, errno) = (error.remedy.clone(), error.errno);
        let code = if error.code == Code::Other { Code::Refused } else { error.code };
        let cause = Error { remedy: None, ..error }.to_string();
        let refused = Error::new(Kind::Unmeasured, "prepare the run at", cause);
        Error { remedy, errno, code, ..refused.with_peer(self.address) }
    }
}
