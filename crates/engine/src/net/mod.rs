//! Where connections come in: one acceptor for every server of podperf.
//!
//! Enters: an address to listen on, and how a protocol's first message is read. Leaves: connections
//! whose first message is whole, and lines for the log about those that have none. One thread
//! accepts and reads without ever blocking on one connection, so that a silent, slow or noisy peer
//! costs a descriptor until its deadline and nothing else. Whoever has proved itself gets a thread
//! ([`ClientThreads`]); a data connection goes to the session that has reserved it
//! ([`Reservations`]).

mod acceptor;
mod client_threads;
mod listen;
mod reservation;

pub use acceptor::{Accepted, Acceptor, FirstMessage, Progress};
pub use client_threads::ClientThreads;
pub use listen::{listen, wildcard};
pub use reservation::{Reservations, SessionId, StreamReservation, StreamSlots, WaitingSession};

/// Where a server tells what happens: one line an event.
pub type Log<'a> = &'a (dyn Fn(&str) + Sync);
