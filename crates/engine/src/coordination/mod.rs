//! Coordination: several clients on one machine or many measure in turn, without anybody at the
//! keyboard.
//!
//! A *coordinator* (`podperf coordinate`) holds the order of the steps and measures nothing.
//! *Agents* (`podperf agent`) connect to it, prove the token, and carry out a test when it is their
//! turn; what they measured goes to the coordinator, whose log is the run's record. So a launcher
//! needs no way into the pods but their logs, and may go away and come back.
//!
//! Enters: a schedule for the coordinator, an agent config for each agent. Leaves: records of the
//! run log, one a line.
//!
//! An agent connects by the handshake of every control connection (`control::handshake`), names
//! itself, probes its paths, and waits. A step: `prepare` ⇄ `prepared` with both ends of the run
//! at the gate, `go`, intervals as they end, and the whole result. Nothing depends on two clocks
//! being the same.

pub mod agent;
pub mod coordinator;
mod message;

#[cfg(feature = "testing")]
pub mod testing;

/// Port of a coordinator unless another is named.
pub const PORT: u16 = 5209;
