//! Accepts connections and reads the first message of each, without ever blocking on one of them.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Log;
use crate::transport::socket::plain;
use podperf_model::During as _;
use podperf_model::error::{Code, Error, Kind, Result};

/// After a failed accept: descriptors may come free.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Reads a protocol's first message from a connection, which it owns and which never blocks. "First
/// message" is all that is exchanged before a connection is worth a thread.
pub trait FirstMessage: AsFd {
    /// What a whole first message says.
    type Message;

    /// Reads on without waiting.
    ///
    /// # Errors When the connection breaks, or brings something else than the protocol's first
    /// message. It is logged and the connection closed.
    fn read(&mut self) -> Result<Progress<Self::Message>>;

    /// By when what it waits for has to be there; absent: it may wait for ever.
    fn deadline(&self) -> Option<Instant>;

    /// Until when it is not to be read from; absent: it may be at once.
    fn paused_until(&self) -> Option<Instant> {
        None
    }
}

/// What reading on brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress<M> {
    /// More has to come.
    Incomplete,
    /// The message is whole.
    Complete(M),
    /// The peer has closed the connection, and there is nothing to say about it.
    Closed,
}

/// A connection whose first message is whole.
#[derive(Debug)]
pub struct Accepted<C: FirstMessage> {
    /// As its reader left it.
    pub connection: C,
    /// What it said.
    pub message: C::Message,
    /// Who is there.
    pub peer: SocketAddr,
}

/// Accepts from one listener and holds the connections that are pending.
pub struct Acceptor<'a, C> {
    listener: &'a TcpListener,
    /// Pending at one time; past it, new ones wait in the listen queue.
    max_pending: usize,
    /// Makes a reader of a connection, which does not block any more.
    open: &'a dyn Fn(TcpStream) -> io::Result<C>,
    log: Log<'a>,
    /// Those whose first message is not whole, with the address of each peer.
    pending: Vec<(C, SocketAddr)>,
}

impl<'a, C: FirstMessage> Acceptor<'a, C> {
    /// Accepts from `listener`, whose accepts do not block; `open` makes a reader of each
    /// connection. At most `max_pending` wait at one time, the others in the listen queue.
    pub const fn new(
        listener: &'a TcpListener,
        max_pending: usize,
        open: &'a dyn Fn(TcpStream) -> io::Result<C>,
        log: Log<'a>,
    ) -> Self {
        Self { listener, max_pending, open, log, pending: Vec::new() }
    }

    /// Waits for at most `timeout` until a connection comes or says more, or `beside` becomes
    /// readable; then accepts and reads all that is there. Returns those whose first message is
    /// whole.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn poll(
        &mut self,
        beside: Option<BorrowedFd<'_>>,
        timeout: Duration,
    ) -> Result<Vec<Accepted<C>>> {
        self.wait(beside, timeout).during("wait on the listening port")?;
        self.accept();
        Ok(self.read())
    }

    fn wait(&self, beside: Option<BorrowedFd<'_>>, timeout: Duration) -> io::Result<()> {
        let now = Instant::now();
        let mut until = now + timeout;
        let mut fds = Vec::with_capacity(self.pending.len() + 2);
        for (connection, _) in &self.pending {
            match connection.paused_until() {
                Some(pause) => until = until.min(pause),
                None => fds.push(PollFd::new(connection.as_fd(), PollFlags::POLLIN)),
            }
        }
        let listener = self.has_room().then(|| self.listener.as_fd());
        fds.extend(listener.into_iter().chain(beside).map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let left = until.saturating_duration_since(now);
        match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether another connection may be accepted beside those that are pending.
    const fn has_room(&self) -> bool {
        self.pending.len() < self.max_pending
    }

    fn accept(&mut self) {
        while self.has_room() {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    // One that cannot be set up is gone.
                    let connection =
                        stream.set_nonblocking(true).and_then(|()| (self.open)(stream));
                    self.pending.extend(connection.ok().map(|connection| (connection, peer)));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // That one is gone; others may wait.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    (self.log)(&format!("accept a connection: {error}; trying again"));
                    std::thread::sleep(ACCEPT_RETRY_DELAY);
                    return;
                }
            }
        }
    }

    /// Reads on from each connection; those that need more stay pending.
    fn read(&mut self) -> Vec<Accepted<C>> {
        let mut accepted = Vec::new();
        for (mut connection, peer) in std::mem::take(&mut self.pending) {
            match read_on(&mut connection) {
                Ok(Progress::Incomplete) => self.pending.push((connection, peer)),
                Ok(Progress::Complete(message)) => {
                    accepted.push(Accepted { connection, message, peer });
                }
                Ok(Progress::Closed) => {}
                Err(error) => (self.log)(&format!("{}; dropped", error.with_peer(plain(peer)))),
            }
        }
        accepted
    }
}

/// Reads on from one connection, if it is time to; past its deadline it has to be through.
fn read_on<C: FirstMessage>(connection: &mut C) -> Result<Progress<C::Message>> {
    let now = Instant::now();
    if connection.paused_until().is_some_and(|pause| now < pause) {
        return Ok(Progress::Incomplete);
    }
    let progress = connection.read()?;
    let late = connection.deadline().is_some_and(|deadline| now >= deadline);
    if late && matches!(progress, Progress::Incomplete) {
        let cause = "it was not whole in time";
        let error = Error::new(Kind::Unmeasured, "read the first message of", cause);
        return Err(error.with_code(Code::Timeout));
    }
    Ok(progress)
}

#[cfg(test)]
mod tests;
