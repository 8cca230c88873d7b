//! The result: what each end brings ([`end_result`]), and the one document both become ([`run`]).
//!
//! Enters: two [`end_result::EndResult`]s, the plan, and what went wrong. Leaves: [`run::Run`],
//! schema `podperf.run/v1`; held against what podperf itself can do ([`calibration`]). Everything
//! here is a pure function over readings and reports; nothing is measured here. Results come from a
//! peer, so no shape of theirs may make any of it panic.

pub mod allowed_cpus;
pub mod calibration;
pub mod cluster;
pub mod end_result;
pub mod intervals;
mod losses;
pub mod merge;
pub mod run;
pub mod saturation;
#[cfg(feature = "schema")]
pub mod schema;
pub mod transient;
pub mod verdict;

pub mod cpu;
mod latency;
mod packets;
mod placement;
mod socket;
mod span;
mod standstill;
mod status;
mod streams;
mod transport;
pub mod udp;
mod warnings;
pub mod wording;

#[cfg(any(test, feature = "testing"))]
pub mod proptest_inputs;
#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use merge::{Input, merge};
