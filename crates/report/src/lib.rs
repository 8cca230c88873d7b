//! What people and programs read: a table ([`text`]), one document ([`json`]), a line an interval
//! ([`live`]), and the tables of a whole run on Kubernetes ([`cluster`]).
//!
//! Enters: a finished run, or an interval of one under way. Leaves: text. Results go to the writer
//! that is given, talk goes to stderr. No figure is taken here, only rounded.

pub mod analysis;
pub mod cluster;
pub mod json;
pub mod live;
pub mod text;
