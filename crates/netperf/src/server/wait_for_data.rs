//! Waits between the answer and the first byte: for the client's data connections or its first
//! datagram, beside the control connection.
//!
//! Enters: where the data comes from. Leaves: sockets for the engine, or why there are none.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use socket2::Socket;

use super::control::{ControlChannel, WaitOutcome};
use super::data_reservation::DataReservation;
use crate::data::socket::{SocketRequest, tune_tcp};
use crate::wire::native::ClientMessage;
use podperf_engine::net::{Progress, StreamSlots};
use podperf_engine::policy::Refusal;
use podperf_engine::transport::socket::accepted;
use podperf_model::error::Error;
use podperf_model::plan::SocketPlan;
use podperf_sys::accept::accept;

/// Whom to wait for beside the data, and how long.
pub(super) struct TestContext<'a> {
    pub(super) control: &'a mut ControlChannel,
    pub(super) closing: BorrowedFd<'a>,
    /// By when the data has to have come.
    pub(super) deadline: SetupDeadline,
    /// How long nothing may move once it has begun.
    pub(super) patience: Patience,
    /// One line an event, and for each peer that is not the client.
    pub(super) log: &'a dyn Fn(&str),
}

/// How long nothing may move in a test before its client is taken for stopped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Over connections.
    pub(super) stall: Duration,
    /// Between a request of datagrams and the next: real clients wait for one that is lost for the
    /// rest of the test.
    pub(super) datagrams: Duration,
}

/// For a test's data to come, however long the test is to be: more than a client waits before it
/// (`netperf -s`), and little enough that tests which never begin do not keep others out.
const SETUP_TIMEOUT: Duration = Duration::from_secs(60);
/// What each data connection adds to that at the most: a client opens them one after the other.
const CONNECTION_TIMEOUT: Duration = Duration::from_millis(250);

/// By when the data has to have come: soon after the answer or the last connection, and all of it
/// in a time that is known from the start.
#[derive(Debug, Clone, Copy)]
pub(super) struct SetupDeadline {
    /// From one arrival to the next.
    patience: Duration,
    next: Instant,
    last: Instant,
}

impl SetupDeadline {
    /// Of a test that is answered now. `idle`: how long a client may be silent without one.
    pub(super) fn of(streams: u32, idle: Duration) -> Self {
        let (now, patience) = (Instant::now(), SETUP_TIMEOUT.min(idle));
        let next = now + patience;
        Self { patience, next, last: next + CONNECTION_TIMEOUT * streams }
    }

    /// Notes that data came.
    fn arrived(&mut self) {
        self.next = (Instant::now() + self.patience).min(self.last);
    }
}

/// Why a test came to no totals.
#[derive(Debug)]
pub(super) enum NoTotals {
    /// The client says that it is over, before it began.
    Ended,
    /// Nobody is there to be told: the client is gone, or the server comes to its end.
    Gone,
    /// Its data did not come in time.
    Late,
    /// Nothing moved any more.
    Stalled,
    /// The control connection broke.
    Broken(Error),
    /// It went beyond a limit of the policy.
    Refused(Refusal),
    /// The errno to tell, and why.
    Failed(i32, String),
}

impl NoTotals {
    /// The data or the engine failed.
    pub(super) fn failed(error: &Error) -> Self {
        Self::Failed(error.errno.unwrap_or(libc::EIO), error.to_string())
    }
}

impl From<Error> for NoTotals {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl From<io::Error> for NoTotals {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.raw_os_error().unwrap_or(libc::EIO), error.to_string())
    }
}

impl TestContext<'_> {
    /// Accepts so many connections.
    pub(super) fn accept(
        &mut self,
        listener: &Socket,
        from: Option<IpAddr>,
        streams: u32,
    ) -> Result<Vec<Socket>, NoTotals> {
        let mut sockets = Vec::with_capacity(streams.min(64) as usize);
        while sockets.len() < streams as usize {
            self.readable(listener)?;
            match accept(listener, false) {
                Ok((socket, peer)) if from.is_none_or(|from| peer.ip().to_canonical() == from) => {
                    sockets.push(socket);
                    self.deadline.arrived();
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

    /// Takes so many connections that come over the control port.
    pub(super) fn take_reserved(
        &mut self,
        reservation: &DataReservation,
        streams: u32,
        ask: &SocketRequest,
    ) -> Result<Vec<Socket>, NoTotals> {
        let mut slots = StreamSlots::new(streams);
        let mut missing = slots.missing();
        loop {
            reservation.take_arrived(&mut slots);
            if slots.missing() == 0 {
                break;
            }
            if slots.missing() < missing {
                missing = slots.missing();
                self.deadline.arrived();
            }
            self.readable(reservation)?;
        }
        let tuned = slots.into_streams().into_iter().map(|one| tune_reserved(one, ask));
        Ok(tuned.collect::<io::Result<_>>()?)
    }

    /// The sender of the first datagram, which stays where it is; the socket is its own from now
    /// on.
    pub(super) fn datagram(
        &mut self,
        socket: &Socket,
        from: Option<IpAddr>,
    ) -> Result<(), NoTotals> {
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
    pub(super) fn readable(&mut self, data: &impl AsFd) -> Result<(), NoTotals> {
        loop {
            match self.control.wait(Some(data.as_fd()), self.closing, Some(self.deadline.next)) {
                WaitOutcome::Other => return Ok(()),
                WaitOutcome::Late => return Err(NoTotals::Late),
                WaitOutcome::Closing => return Err(NoTotals::Gone),
                WaitOutcome::Control => self.read()?,
            }
        }
    }

    /// What the client says meanwhile. Other messages are kept for later.
    fn read(&mut self) -> Result<(), NoTotals> {
        match self.control.read()? {
            Progress::Incomplete => Ok(()),
            Progress::Closed => Err(NoTotals::Gone),
            Progress::Complete(message)
                if ClientMessage::read(&message) == Some(ClientMessage::End) =>
            {
                Err(NoTotals::Ended)
            }
            Progress::Complete(message) => Ok(self.control.keep(message)?),
        }
    }
}

/// A connection that came over the control port gets what one to a port of its own inherits.
fn tune_reserved(stream: TcpStream, ask: &SocketRequest) -> io::Result<Socket> {
    stream.set_nonblocking(false)?;
    // The control port's listener has a congestion control for all.
    accepted(&stream, &SocketPlan::default())
        .map_err(|error| io::Error::other(error.to_string()))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_arrival_gives_more_time_up_to_a_bound_that_grows_with_the_streams() {
        let began = Instant::now();
        let mut one = SetupDeadline::of(1, Duration::from_secs(300));
        assert!(one.next >= began + SETUP_TIMEOUT);
        assert!(one.last <= Instant::now() + SETUP_TIMEOUT + CONNECTION_TIMEOUT);
        let first = one.next;
        one.arrived();
        assert!(one.next >= first && one.next <= one.last);
        one.last = began;
        one.arrived();
        assert_eq!(one.next, began);
        let idle = SetupDeadline::of(10_000, Duration::from_secs(1));
        assert!(idle.next <= Instant::now() + Duration::from_secs(1));
        assert!(idle.last <= Instant::now() + Duration::from_secs(2_501));
    }
}
