//! Loss: packets that come in to a host are dropped by lot. Needs nft.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{set_up, undo};

/// Packets dropped by lot as they come in.
#[derive(Debug)]
pub(crate) struct Loss {
    place: String,
    table: String,
}

impl Loss {
    /// So many of a thousand packets that come to `place` and fit `matches` (of nft). Firewalls see
    /// packets before they are cut into segments: see [`SmallPackets`].
    pub(crate) fn of(place: &str, matches: &str, per_thousand: u32) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let loss = Self { place: place.to_owned(), table: format!("inet loss{number}") };
        let table = &loss.table;
        set_up(place, "nft", &format!("add table {table}"));
        let hook = "{ type filter hook prerouting priority 0 ; }";
        set_up(place, "nft", &format!("add chain {table} in {hook}"));
        let lot = format!("numgen random mod 1000 < {per_thousand}");
        set_up(place, "nft", &format!("add rule {table} in {matches} {lot} drop"));
        loss
    }
}

impl Drop for Loss {
    fn drop(&mut self) {
        undo(&self.place, "nft", &format!("delete table {}", self.table));
    }
}

/// A device through which TCP sends a segment a packet, as on a wire.
#[derive(Debug)]
pub(crate) struct SmallPackets {
    place: String,
    device: String,
}

impl SmallPackets {
    pub(crate) fn on(place: &str, device: &str) -> Self {
        set_up(place, "ip", &format!("link set dev {device} gso_max_segs 1"));
        Self { place: place.to_owned(), device: device.to_owned() }
    }
}

impl Drop for SmallPackets {
    fn drop(&mut self) {
        undo(&self.place, "ip", &format!("link set dev {} gso_max_segs 65535", self.device));
    }
}
