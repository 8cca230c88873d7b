//! Waits between the answer and the first byte: for the client's data connections or its first
//! datagram, beside the control connection.
//!
//! Enters: where the data comes from. Leaves: the ends for the engine, or why there are none.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use socket2::Socket;

use super::control::{ControlChannel, ReadOutcome, WaitOutcome, wait};
use super::data_socket::DataSource;
use crate::data::socket::{SocketRequest, tune_tcp};
use crate::wire::native::ClientMessage;
use podperf_engine::net::StreamSlots;
use podperf_engine::transport::socket::accepted;
use podperf_model::error::Error;
use podperf_model::plan::SocketPlan;
use podperf_sys::accept::accept;

/// Whom to wait for beside the data, and how long.
pub(super) struct DataWait<'a> {
    pub(super) control: &'a mut ControlChannel,
    pub(super) closing: BorrowedFd<'a>,
    pub(super) deadline: Instant,
    /// One line for each peer that is not the client.
    pub(super) log: &'a dyn Fn(&str),
}

/// Why nothing came.
#[derive(Debug)]
pub(super) enum DataWaitError {
    /// The client says that the test is over.
    Ended,
    Late,
    /// The client is gone, or the server comes to its end.
    Gone,
    /// The control connection broke.
    Broken(Error),
    /// The data's socket did.
    Refused(io::Error),
    /// The engine could not be.
    Unprepared(Error),
}

impl From<Error> for DataWaitError {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl From<io::Error> for DataWaitError {
    fn from(error: io::Error) -> Self {
        Self::Refused(error)
    }
}

impl DataWait<'_> {
    /// Sockets of a TCP test whose connections last.
    pub(super) fn connections(
        &mut self,
        source: &DataSource,
        from: Option<std::net::IpAddr>,
        (streams, ask): (u32, &SocketRequest),
    ) -> Result<Vec<Socket>, DataWaitError> {
        let listener = match source {
            DataSource::Listening(listener) => listener,
            DataSource::Reserved(reservation) => {
                let mut slots = StreamSlots::new(streams);
                loop {
                    reservation.take_arrived(&mut slots);
                    if slots.missing() == 0 {
                        break;
                    }
                    self.readable(reservation)?;
                }
                let tuned = slots.into_streams().into_iter().map(|one| tune_reserved(one, ask));
                return Ok(tuned.collect::<io::Result<_>>()?);
            }
            DataSource::Datagrams(_) => return Err(io::Error::from(ErrorKind::Unsupported).into()),
        };
        let mut sockets = Vec::with_capacity(streams.min(64) as usize);
        while sockets.len() < streams as usize {
            self.readable(listener)?;
            match accept(listener, false) {
                Ok((socket, peer)) if from.is_none_or(|from| peer.ip().to_canonical() == from) => {
                    sockets.push(socket);
                }
                Ok((_, peer)) => {
                    (self.log)(&format!("{}: not the client of this test; closed", peer.ip()));
                }
                Err(error) if passes(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(sockets)
    }

    /// The sender of the first datagram, which stays where it is; the socket is its own from now
    /// on.
    pub(super) fn datagram(
        &mut self,
        socket: &Socket,
        from: Option<std::net::IpAddr>,
    ) -> Result<(), DataWaitError> {
        loop {
            self.readable(socket)?;
            let sender = match socket.peek_sender() {
                Ok(sender) => sender.as_socket(),
                Err(error) if passes(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            match sender {
                Some(sender) if from.is_none_or(|from| sender.ip().to_canonical() == from) => {
                    return Ok(socket.connect(&sender.into())?);
                }
                _ => self.throw_away(socket, sender),
            }
        }
    }

    fn throw_away(&self, socket: &Socket, sender: Option<SocketAddr>) {
        let _ = socket.recv(&mut [std::mem::MaybeUninit::uninit()]);
        if let Some(sender) = sender {
            (self.log)(&format!("{}: not the client of this test; passed over", sender.ip()));
        }
    }

    /// Waits until there is something to be taken from a socket.
    pub(super) fn readable(&mut self, data: &impl AsFd) -> Result<(), DataWaitError> {
        loop {
            let fds = (Some(self.control.fd()), Some(data.as_fd()));
            match wait(fds.0, fds.1, self.closing, Some(self.deadline)) {
                WaitOutcome::Other => return Ok(()),
                WaitOutcome::Late => return Err(DataWaitError::Late),
                WaitOutcome::Closing => return Err(DataWaitError::Gone),
                WaitOutcome::Control => self.read()?,
            }
        }
    }

    /// What the client says meanwhile. Other messages are kept for later.
    fn read(&mut self) -> Result<(), DataWaitError> {
        match self.control.read()? {
            ReadOutcome::NotYet => Ok(()),
            ReadOutcome::End => Err(DataWaitError::Gone),
            ReadOutcome::Message(message)
                if ClientMessage::read(&message) == Some(ClientMessage::End) =>
            {
                Err(DataWaitError::Ended)
            }
            ReadOutcome::Message(message) => Ok(self.control.keep(message)?),
        }
    }
}

/// A connection that came over the control port gets what one to a port of its own inherits.
fn tune_reserved(stream: std::net::TcpStream, ask: &SocketRequest) -> io::Result<Socket> {
    stream.set_nonblocking(false)?;
    // The control port's listener has a congestion control for all.
    let other = |error: podperf_model::error::Error| io::Error::other(error.to_string());
    accepted(&stream, &SocketPlan::default()).map_err(other)?;
    let address = stream.local_addr()?.ip().to_canonical();
    let socket = Socket::from(stream);
    tune_tcp(&socket, address, ask)?;
    Ok(socket)
}

/// Somebody who was there and is gone, or nothing after all.
fn passes(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock
            | ErrorKind::Interrupted
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionRefused
    )
}
