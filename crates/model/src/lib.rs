//! Plain data that both ends and every tool share: units, errors, the checked plan, what is read
//! on each end, the result's schema and the pure functions that make it.
//!
//! Enters: values. Leaves: values. No I/O, no clock, and nothing of podperf below it.

pub mod address;
pub mod error;
pub mod facts;
pub mod latency;
pub mod memory_budget;
pub mod open_metrics;
pub mod plan;
pub mod reading;
pub mod result;
pub mod run_log;
pub mod run_record;
pub mod schedule;
pub mod units;

pub use address::{AddressFamily, on_link_of};
pub use error::{Code, Context, During, Error, Kind, Result};
