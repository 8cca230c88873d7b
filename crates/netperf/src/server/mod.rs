//! netserver: one port, clients of netperf's own wire and of podperf's.
//!
//! Enters: options, and a channel that says when to end. Leaves: nothing but what it logs. One
//! thread accepts and reads first messages (`accept`); a client that has sent one gets a thread
//! (`session`), and a test the engine's workers (`run_test`). Every wait has a deadline but that
//! for a test whose client has set none, and that one ends with its client.

mod accept;
mod answers;
mod control;
mod data_reservation;
mod data_socket;
mod order;
mod policy_check;
mod privileges;
mod run_test;
mod session;
mod start;
mod wait_for_data;
mod watch;

#[cfg(feature = "testing")]
pub mod testing;

pub use start::start;
