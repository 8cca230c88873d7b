//! A black hole: packets that reach a host vanish there, and nobody hears of it. Needs nft.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{set_up, undo};

/// Fragments of IPv4, the first ones included.
const FRAGMENTS: &str = "ip frag-off & 0x3fff != 0";
/// Fragments of IPv6.
const FRAGMENTS6: &str = "exthdr frag exists";

/// Packets that vanish as they come in.
#[derive(Debug)]
pub(crate) struct BlackHole {
    place: String,
    table: String,
}

impl BlackHole {
    /// All packets that come to `place` and that all of one of `matches` (of nft) fit.
    pub(crate) fn of(place: &str, matches: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let hole = Self { place: place.to_owned(), table: format!("inet hole{number}") };
        let table = &hole.table;
        set_up(place, "nft", &format!("add table {table}"));
        // Before fragments are put together again (NF_IP_PRI_CONNTRACK_DEFRAG).
        let hook = "{ type filter hook prerouting priority -450 ; }";
        set_up(place, "nft", &format!("add chain {table} in {hook}"));
        for rule in matches {
            set_up(place, "nft", &format!("add rule {table} in {rule} drop"));
        }
        hole
    }

    /// All packets whatsoever.
    pub(crate) fn of_all(place: &str) -> Self {
        Self::of(place, &["meta length > 0"])
    }

    /// Packets of more than so many bytes, IP header included: a path MTU that nobody tells of.
    pub(crate) fn of_larger_than(place: &str, bytes: u32) -> Self {
        Self::of(place, &[&format!("meta length > {bytes}")])
    }

    /// Fragments.
    pub(crate) fn of_fragments(place: &str) -> Self {
        Self::of(place, &[FRAGMENTS, FRAGMENTS6])
    }
}

impl Drop for BlackHole {
    fn drop(&mut self) {
        undo(&self.place, "nft", &format!("delete table {}", self.table));
    }
}
