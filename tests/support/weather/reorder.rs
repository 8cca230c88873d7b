//! Packets that overtake each other: some wait in a slow queue beside the fast one. Needs nft.

use super::{set_up, undo};

/// Packets that are overtaken until it is dropped.
#[derive(Debug)]
pub(crate) struct Reorder {
    place: String,
    device: String,
}

impl Reorder {
    /// One in `one_in` of the packets that leave `place` by `device` and fit `matches` (of nft)
    /// waits in a queue that carries `bits_per_second`.
    pub(crate) fn leaving(
        (place, device): (&str, &str),
        matches: &str,
        one_in: u32,
        bits_per_second: u64,
    ) -> Self {
        let reorder = Self { place: place.to_owned(), device: device.to_owned() };
        let tc = |words: &str| set_up(place, "tc", words);
        // Whatever nobody gave a class takes the second one.
        tc(&format!("qdisc replace dev {device} root handle 1: htb default 2"));
        let rates = [(1, format!("{bits_per_second}bit")), (2, "10gbit".to_owned())];
        for (class, rate) in rates {
            tc(&format!(
                "class add dev {device} parent 1: classid 1:{class} htb rate {rate} ceil {rate} \
                 burst 1600 cburst 1600 quantum 1600"
            ));
        }
        let nft = |words: &str| set_up(place, "nft", words);
        nft("add table ip reorder");
        nft("add chain ip reorder slow { type filter hook postrouting priority 0 ; }");
        nft(&format!(
            "add rule ip reorder slow {matches} numgen random mod {one_in} 0 meta priority set 1:1"
        ));
        reorder
    }
}

impl Drop for Reorder {
    fn drop(&mut self) {
        undo(&self.place, "nft", "delete table ip reorder");
        undo(&self.place, "tc", &format!("qdisc delete dev {} root", self.device));
    }
}
