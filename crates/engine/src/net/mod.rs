//! Where connections come in: one acceptor for every server of podperf.
//!
//! Enters: an address to listen on, and how a protocol's first message is read. Leaves: connections
//! whose first message is whole, and lines for the log about those that have none. One thread
//! accepts and reads without ever blocking on one connection, so that a silent, slow or noisy peer
//! costs a descriptor until its deadline and nothing else; how many of them there may be is bounded
//! by address and in all ([`PendingLimits`]). Whoever has proved itself gets a thread
//! ([`ClientThreads`]); a data connection goes to the session that has reserved it
//! ([`Reservations`]).

mod acceptor;
mod acceptor_counts;
mod address_limits;
mod client_threads;
mod first_message;
mod listen;
mod log_writer;
mod memory_account;
mod pending;
mod reservation;
mod scrape_port;
mod server_end;
mod wrong_proofs;

pub use acceptor::{Accepted, Acceptor};
pub use acceptor_counts::AcceptorCounts;
pub use address_limits::{AddressLimits, ReachedLimit};
pub(crate) use address_limits::{address_of, prefix_of};
pub use client_threads::{ClientPlace, ClientThreads};
pub use first_message::{FirstMessage, PendingStage, Progress};
pub use listen::{ListeningPort, listen, wildcard};
pub use log_writer::{LinesLeftOut, LogFormat, LogWriter};
pub use memory_account::{MemoryAccount, MemoryReservation};
pub use pending::PendingLimits;
pub use reservation::{Reservations, SessionId, StreamReservation, StreamSlots, WaitingSession};
pub use scrape_port::ScrapePort;
pub use server_end::{ServerEnd, ending_refusal};
pub use wrong_proofs::WrongProofs;

use podperf_model::run_record::RunRecord;

/// Where a server tells what happens: one line an event. It must not wait for a reader: where there
/// may be one, lines go by [`LogWriter`].
pub type Log<'a> = &'a (dyn Fn(&str) + Sync);

/// Where a server tells what came of each run, by itself instead of by lines of its log; absent:
/// by these.
pub type RunSink<'a> = Option<&'a (dyn Fn(&RunRecord) + Sync)>;
