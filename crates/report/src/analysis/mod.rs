//! Statistics over results: pure functions, no I/O.
//!
//! Enters: what was planned and the samples that were measured. Leaves: rows with intervals
//! ([`summarise`]), and what makes them doubtful ([`warnings`]). Results come from other machines,
//! so no shape of theirs may make any of it panic.

mod bootstrap;
mod compare;
mod cpu;
mod latency;
mod level;
mod samples;
mod summarise;
mod warnings;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use bootstrap::{estimate, ratio};
pub use compare::{Better, difference, over_tolerance};
pub use summarise::summarise;
pub use warnings::warnings;
