//! Statistics over results: pure functions, no I/O.
//!
//! Enters: what was planned and the samples that were measured. Leaves: rows with intervals
//! ([`summarise`]), what makes them doubtful ([`warnings`]), and whether two groups of samples
//! differ ([`differs`], by [`ratio`] and [`rank_test`]). Results come from other machines, so no
//! shape of theirs may make any of it panic.

mod bootstrap;
mod compare;
mod cpu;
mod holm;
mod latency;
mod level;
mod noise_floor;
mod rank_test;
mod samples;
mod summarise;
mod warnings;

#[cfg(test)]
mod simulation;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use bootstrap::{RunSamples, estimate, ratio, ratio_of_ratios};
pub use compare::{Better, SIGNIFICANCE, difference, differs, over_tolerance};
pub use holm::holm;
pub use latency::{merged, pooled};
pub(crate) use level::tail;
pub use noise_floor::noise_floor;
pub use rank_test::rank_test;
pub use samples::is_whole;
pub use summarise::summarise;
pub use warnings::warnings;
