//! What people and programs read: a table ([`text`]), one document ([`json`]), a line an interval
//! ([`live`]).
//!
//! Enters: a finished run, or an interval of one under way. Leaves: text. Results go to the writer
//! that is given, talk goes to stderr. No figure is taken here, only rounded.

pub mod json;
pub mod live;
pub mod text;
