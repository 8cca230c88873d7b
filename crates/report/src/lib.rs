//! What people and programs read: a table ([`text`]), one document ([`json`]), a line an interval
//! ([`live`]), the tables of a whole run on Kubernetes ([`cluster`]), what several results say of
//! each other ([`comparison`]), what documents say row by row ([`overview`]), also as a page with
//! figures (`page`), their latencies put together ([`merged`]), how many streams fill a path
//! ([`saturation`]), and points for databases of time series ([`points`]).
//!
//! Enters: a finished run, an interval of one under way, or documents that were written before.
//! Leaves: text. Results go to the writer that is given, talk goes to stderr. No figure is taken
//! here, only rounded.

pub mod analysis;
pub mod cluster;
pub mod comparison;
pub mod json;
pub mod live;
pub mod merged;
pub mod overview;
#[cfg(feature = "documents")]
pub mod page;
pub mod points;
pub mod saturation;
pub mod text;
