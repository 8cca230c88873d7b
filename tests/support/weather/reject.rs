//! Packets that are refused: by the host's own firewall, by ICMP from another's, by a reset. Needs
//! nft.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{set_up, undo};

/// Packets that are refused until it is dropped.
#[derive(Debug)]
pub(crate) struct Reject {
    place: String,
    table: String,
}

impl Reject {
    /// One in `one_in` of the packets that leave `place` and fit `matches` (of nft): whoever sends
    /// them gets EPERM.
    pub(crate) fn leaving(place: &str, matches: &str, one_in: u32) -> Self {
        Self::by(place, "output", &format!("{matches} {} drop", some(one_in)))
    }

    /// One in `one_in` of the packets that come to `place` and fit `matches`: ICMP says that nobody
    /// listens.
    pub(crate) fn coming(place: &str, matches: &str, one_in: u32) -> Self {
        let rule = format!("{matches} {} reject with icmp type port-unreachable", some(one_in));
        Self::by(place, "input", &rule)
    }

    /// The same, and a reset answers them.
    pub(crate) fn resetting(place: &str, matches: &str, one_in: u32) -> Self {
        Self::by(place, "input", &format!("{matches} {} reject with tcp reset", some(one_in)))
    }

    fn by(place: &str, hook: &str, rule: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let reject = Self { place: place.to_owned(), table: format!("ip reject{number}") };
        let table = &reject.table;
        set_up(place, "nft", &format!("add table {table}"));
        let hook = format!("{{ type filter hook {hook} priority 0 ; }}");
        set_up(place, "nft", &format!("add chain {table} refused {hook}"));
        set_up(place, "nft", &format!("add rule {table} refused {rule}"));
        reject
    }
}

/// What fits one packet of so many.
fn some(one_in: u32) -> String {
    if one_in == 1 { String::new() } else { format!("numgen random mod {one_in} 0") }
}

impl Drop for Reject {
    fn drop(&mut self) {
        undo(&self.place, "nft", &format!("delete table {}", self.table));
    }
}
