//! A control connection: messages in and out, none of which anybody waits for without end.
//!
//! Enters: a connection, and what else is waited for. Leaves: whole messages. The connection never
//! blocks, so that whoever has it can watch it beside its data sockets.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;

use crate::wire::{MESSAGE_BYTES, WireMessage};
use podperf_engine::net::Progress;
use podperf_engine::transport::socket::plain;
use podperf_model::error::{Code, Error, Kind, Result};

/// For a message that has begun, and for one to be taken.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// What netperf said up to 2.5 was shorter.
const OLD_MESSAGE_BYTES: usize = 256;
/// When a message of the old length is taken for one: nothing follows it.
const OLD_MESSAGE_TIMEOUT: Duration = Duration::from_secs(2);
/// Messages that are kept for later.
const MAX_KEPT_MESSAGES: usize = 16;
/// A longer wait is cut into parts: poll(2) takes milliseconds in 32 bits.
const MAX_POLL_TIME: Duration = Duration::from_secs(3600);

/// One end of a control connection.
#[derive(Debug)]
pub(super) struct ControlChannel {
    stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    bytes: [u8; MESSAGE_BYTES],
    filled: usize,
    /// When the last byte came.
    last: Instant,
    /// By when what has begun has to be there.
    deadline: Option<Instant>,
    kept: VecDeque<WireMessage>,
}

/// What a wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitOutcome {
    Control,
    Other,
    /// The server comes to its end.
    Closing,
    Late,
}

impl ControlChannel {
    /// Of an accepted connection.
    ///
    /// # Errors
    /// When it has no addresses any more or cannot be tuned.
    pub(super) fn new(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        // What goes over it may be hours apart, and routers on the way forget (NAT).
        SockRef::from(&stream).set_keepalive(true)?;
        let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
        Ok(Self {
            stream,
            peer,
            local,
            bytes: [0; MESSAGE_BYTES],
            filled: 0,
            last: Instant::now(),
            deadline: None,
            kept: VecDeque::new(),
        })
    }

    /// Says a last word to a client for which there is no thread, where there is room for it.
    pub(super) fn say(&self, message: &WireMessage) {
        let _ = (&self.stream).write(&message.0);
    }

    /// The peer as people write it.
    pub(super) fn name(&self) -> String {
        plain(self.peer)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// The connection itself: whoever opened it has named it a data connection.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Whether a part of a message is here.
    pub(super) const fn has_begun(&self) -> bool {
        self.filled > 0
    }

    /// By when more has to come, where a message has begun.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.filled == OLD_MESSAGE_BYTES {
            Some(self.last + OLD_MESSAGE_TIMEOUT)
        } else {
            self.deadline
        }
    }

    /// Reads on, without waiting.
    ///
    /// # Errors
    /// When the connection breaks, ends within a message, or has begun one that does not end.
    pub(super) fn read(&mut self) -> Result<Progress<WireMessage>> {
        while self.filled < MESSAGE_BYTES {
            match self.stream.read(&mut self.bytes[self.filled..]) {
                Ok(0) if self.filled == 0 => return Ok(Progress::Closed),
                Ok(0) => return Err(self.broken("the connection ended")),
                Ok(count) => {
                    self.last = Instant::now();
                    self.deadline.get_or_insert(self.last + MESSAGE_TIMEOUT);
                    self.filled += count;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let late = self.due().is_some_and(|due| Instant::now() >= due);
                    return if late {
                        Err(self.broken("no more came"))
                    } else {
                        Ok(Progress::Incomplete)
                    };
                }
                Err(error) => return Err(self.system("read a message from", &error)),
            }
        }
        (self.filled, self.deadline) = (0, None);
        Ok(Progress::Complete(WireMessage(self.bytes)))
    }

    /// A message that is not whole: what it may be.
    fn broken(&self, how: &str) -> Error {
        let filled = self.filled;
        let cause = format!("{how} after {filled} bytes of a message of {MESSAGE_BYTES}");
        let error = self.failed("read a message from", cause).with_code(Code::Protocol);
        if filled == OLD_MESSAGE_BYTES {
            error.with_remedy("netperf before 2.6 speaks so: use 2.6 or later there")
        } else {
            error
        }
    }

    fn system(&self, operation: &str, error: &std::io::Error) -> Error {
        Error::system(Kind::Incomplete, operation, error).with_peer(self.name())
    }

    fn failed(&self, operation: &str, cause: impl std::fmt::Display) -> Error {
        Error::new(Kind::Incomplete, operation, cause).with_peer(self.name())
    }

    /// The next message, or nothing when the peer has ended the connection or the server ends.
    ///
    /// # Errors
    /// As of [`Self::read`]; when none begins within `idle`.
    pub(super) fn next(
        &mut self,
        idle: Duration,
        closing: BorrowedFd<'_>,
    ) -> Result<Option<WireMessage>> {
        if let Some(kept) = self.kept.pop_front() {
            return Ok(Some(kept));
        }
        let silent = Instant::now().checked_add(idle);
        loop {
            match self.read()? {
                Progress::Complete(message) => return Ok(Some(message)),
                Progress::Closed => return Ok(None),
                Progress::Incomplete => {}
            }
            match self.wait(None, closing, self.due().or(silent)) {
                WaitOutcome::Closing => return Ok(None),
                WaitOutcome::Late if self.filled == 0 => {
                    let cause = format!("silent for {} s", idle.as_secs());
                    let silent = self.failed("wait for a message from", cause);
                    return Err(silent.with_code(Code::Timeout));
                }
                WaitOutcome::Control | WaitOutcome::Other | WaitOutcome::Late => {}
            }
        }
    }

    /// Waits until there is something to be read from it or from `other`, or the deadline.
    pub(super) fn wait(
        &self,
        other: Option<BorrowedFd<'_>>,
        closing: BorrowedFd<'_>,
        deadline: Option<Instant>,
    ) -> WaitOutcome {
        loop {
            let left =
                deadline.map_or(MAX_POLL_TIME, |at| at.saturating_duration_since(Instant::now()));
            let watched = [closing, self.stream.as_fd()].into_iter().chain(other);
            let mut fds: Vec<PollFd<'_>> =
                watched.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
            match poll(&mut fds, timeout(left)) {
                Ok(0) | Err(Errno::EINTR) => {}
                // No memory for a poll: what follows finds out.
                Err(_) => return WaitOutcome::Late,
                Ok(_) => {
                    let ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
                    if let Some(place) = fds.iter().position(ready) {
                        return [WaitOutcome::Closing, WaitOutcome::Control, WaitOutcome::Other]
                            [place];
                    }
                }
            }
            if deadline.is_some_and(|at| Instant::now() >= at) {
                return WaitOutcome::Late;
            }
        }
    }

    /// Keeps a message for later.
    ///
    /// # Errors
    /// When there are more of them than any client has to say.
    pub(super) fn keep(&mut self, message: WireMessage) -> Result<()> {
        if self.kept.len() >= MAX_KEPT_MESSAGES {
            return Err(self.failed("keep a message of", "more of them than anybody waits for"));
        }
        self.kept.push_back(message);
        Ok(())
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection breaks, or takes them too slowly.
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> Result<()> {
        let deadline = Instant::now() + MESSAGE_TIMEOUT;
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        let late = self.failed("send a message to", "it does not take it");
                        return Err(late.with_code(Code::Timeout));
                    }
                    let room = PollFd::new(self.stream.as_fd(), PollFlags::POLLOUT);
                    let _ = poll(&mut [room], timeout(left));
                }
                Err(error) => return Err(self.system("send a message to", &error)),
            }
        }
        Ok(())
    }
}

/// At least as long, to the next millisecond.
fn timeout(time: Duration) -> PollTimeout {
    let millis = time.min(MAX_POLL_TIME).as_micros().div_ceil(1000);
    PollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
}

/// Whether there is something to be read, or an end.
pub(super) fn is_readable(fd: BorrowedFd<'_>) -> bool {
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests;
