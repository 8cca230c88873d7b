//! Data connections over the control port: a client is told a token, and its test waits for the
//! connections that come with it.

use std::io;
use std::net::{IpAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::test_kind::MAX_STREAMS;
use crate::wire::native::ConnectionToken;
use podperf_engine::net::{Reservations, SessionId, StreamReservation, StreamSlots};

/// All tests that wait for connections; each has its event written to when one comes.
pub(super) type DataReservations = Reservations<TcpStream, Arc<EventFd>>;

/// The connections of one test; dropped, they are closed and no more come in.
#[derive(Debug)]
pub(super) struct DataReservation {
    streams: StreamReservation<TcpStream, Arc<EventFd>>,
    arrived: Arc<EventFd>,
}

impl DataReservation {
    /// Reserves connections of a client at `ip` under a fresh token.
    ///
    /// # Errors
    /// When the system has no randomness or no descriptor.
    pub(super) fn new(all: &DataReservations, ip: IpAddr) -> io::Result<Self> {
        let id = SessionId::random().map_err(io::Error::other)?;
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let arrived = Arc::new(EventFd::from_value_and_flags(0, flags)?);
        let streams = all.reserve(id, ip, MAX_STREAMS as usize, Arc::clone(&arrived));
        let streams = streams.map_err(|_| io::Error::from(io::ErrorKind::QuotaExceeded))?;
        Ok(Self { streams, arrived })
    }

    /// What the client's connections have to bring.
    pub(super) const fn token(&self) -> ConnectionToken {
        self.streams.id().0
    }

    /// Puts what has come into `slots`. Connections of other numbers are closed.
    pub(super) fn take_arrived(&self, slots: &mut StreamSlots) {
        // Reset first: what comes from now on makes it readable anew.
        let _ = self.arrived.read();
        for (stream, connection) in self.streams.arrivals().try_iter() {
            slots.fill(stream, connection);
        }
    }
}

/// Readable when a connection has come since the last look.
impl AsFd for DataReservation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.arrived.as_fd()
    }
}

/// Hands a connection to its test. False: no test waits for it.
pub(super) fn deliver(
    all: &DataReservations,
    token: ConnectionToken,
    stream: u32,
    connection: TcpStream,
) -> bool {
    let delivered = all.with(SessionId(token), |waiting| {
        // Refused only when it was written to 2^64 - 2 times and never read.
        waiting.deliver(stream, connection) && waiting.state.write(1).is_ok()
    });
    delivered.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use podperf_engine::net::AddressLimits;

    use super::*;

    #[test]
    fn connections_come_by_token_and_number_and_go_with_their_test() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let all = DataReservations::new(AddressLimits::NONE);
        let reservation = DataReservation::new(&all, IpAddr::from([127, 0, 0, 1])).unwrap();
        let token = reservation.token();
        assert!(!deliver(&all, [0; 16], 0, connection()), "nobody's");
        let mut slots = StreamSlots::new(2);
        for stream in [1, 7, 1] {
            assert!(deliver(&all, token, stream, connection()));
            reservation.take_arrived(&mut slots);
            assert_eq!(slots.missing(), 1);
        }
        assert!(deliver(&all, token, 0, connection()));
        reservation.take_arrived(&mut slots);
        assert_eq!((slots.missing(), slots.into_streams().len()), (0, 2));
        drop(reservation);
        assert!(!deliver(&all, token, 0, connection()), "nobody waits");
    }
}
