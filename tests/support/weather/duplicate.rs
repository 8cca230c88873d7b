//! Packets of which copies come too. Needs nft with dup.

use super::undo;
use crate::support::namespaces::within;

/// Packets that are copied until it is dropped.
#[derive(Debug)]
pub(crate) struct Duplicate {
    place: String,
}

impl Duplicate {
    /// One in `one_in` of the packets that leave `place` and fit `matches` (of nft) goes to `to`
    /// twice; absent: this kernel copies none.
    pub(crate) fn leaving(place: &str, matches: &str, one_in: u32, to: &str) -> Option<Self> {
        let duplicate = Self { place: place.to_owned() };
        let rule = format!(
            "add rule ip duplicate copied {matches} numgen random mod {one_in} 0 dup to {to}"
        );
        let done = |command: &str| {
            let output = within(Some(place), "nft").args(command.split_whitespace()).output();
            output.expect("nft runs").status.success()
        };
        let all = done("add table ip duplicate")
            && done("add chain ip duplicate copied { type filter hook output priority 0 ; }")
            && done(&rule);
        all.then_some(duplicate)
    }
}

impl Drop for Duplicate {
    fn drop(&mut self) {
        undo(&self.place, "nft", "delete table ip duplicate");
    }
}
