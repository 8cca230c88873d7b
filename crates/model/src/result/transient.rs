//! Errors that a run outlived: what each end's workers counted, and what of it stands in the
//! document.
//!
//! Counts are by stream and error number. A list is short whatever happens: past [`MAX_ENTRIES`] it
//! no longer tells streams apart.

use serde::{Deserialize, Serialize};

use crate::plan::Role;

/// Entries of one end that tell of a single stream.
pub const MAX_ENTRIES: usize = 256;

/// Errors with one number on one stream, as an end counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransientCount {
    /// Flow id; absent: of streams that have no entry of their own.
    pub stream: Option<u32>,
    /// The system's error number.
    pub errno: i32,
    /// How many.
    pub count: u64,
    /// When the first came, in nanoseconds since this end's workers were released.
    pub first_ns: u64,
    /// When the last came.
    pub last_ns: u64,
}

impl TransientCount {
    /// Adds it to a list.
    pub fn add_to(mut self, list: &mut Vec<Self>) {
        let known = |own: &Self, list: &[Self]| {
            list.iter().position(|one| (one.stream, one.errno) == (own.stream, own.errno))
        };
        let mut place = known(&self, list);
        if place.is_none() && self.stream.is_some() && list.len() >= MAX_ENTRIES {
            self.stream = None;
            place = known(&self, list);
        }
        match place {
            Some(place) => {
                let one = &mut list[place];
                one.count = one.count.saturating_add(self.count);
                one.first_ns = one.first_ns.min(self.first_ns);
                one.last_ns = one.last_ns.max(self.last_ns);
            }
            None => list.push(self),
        }
    }
}

/// Errors with one number on one stream at one end that the run outlived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TransientError {
    /// The end whose system reported them.
    pub end: Role,
    /// The stream; null: streams that are not told apart, past 256 entries of an end.
    pub stream: Option<u32>,
    /// The system's error number (errno(3), as Linux counts).
    pub errno: i32,
    /// What it means, in the system's words.
    pub cause: String,
    /// How many there were, warm-up included.
    pub count: u64,
    /// When the first came, in seconds since the window opened, negative in the warm-up; null when
    /// it never opened.
    pub first_seconds: Option<f64>,
    /// When the last came, likewise.
    pub last_seconds: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn one(stream: u32, errno: i32, at: u64) -> TransientCount {
        TransientCount { stream: Some(stream), errno, count: 1, first_ns: at, last_ns: at }
    }

    #[test]
    fn errors_are_counted_by_stream_and_number() {
        let mut list = Vec::new();
        for (stream, errno, at) in [(0, 101, 7), (0, 101, 9), (1, 101, 8), (0, 1, 3), (0, 101, 2)] {
            one(stream, errno, at).add_to(&mut list);
        }
        let counts = list.iter().map(|own| (own.stream, own.errno, own.count));
        let expected = [(Some(0), 101, 3), (Some(1), 101, 1), (Some(0), 1, 1)];
        assert_eq!(counts.collect::<Vec<_>>(), expected);
        assert_eq!((list[0].first_ns, list[0].last_ns), (2, 9));
    }

    #[test]
    fn a_list_stays_short() {
        let mut list = Vec::new();
        (0..10_000).for_each(|stream| one(stream, 101, u64::from(stream)).add_to(&mut list));
        assert_eq!(list.len(), MAX_ENTRIES + 1);
        let last = list.last().unwrap();
        assert_eq!((last.stream, last.count), (None, 10_000 - MAX_ENTRIES as u64));
        assert_eq!(list.iter().map(|own| own.count).sum::<u64>(), 10_000);
    }
}
