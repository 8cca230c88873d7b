//! Only the control port is open: a firewall in front of a host lets one TCP port through and drops
//! whatever else is sent to it.

use super::{set_up, undo};

/// The firewall; gone when dropped.
#[derive(Debug)]
pub(crate) struct ClosedPorts {
    place: String,
}

impl ClosedPorts {
    /// In the network namespace `place`, packets to other ports than TCP `open` are dropped; what
    /// answers connections that `place` opened itself passes.
    pub(crate) fn but(place: &str, open: u16) -> Self {
        set_up(
            place,
            "nft",
            &format!(
                "table inet closed_ports {{
                     chain in {{
                         type filter hook input priority 0;
                         meta iifname lo accept;
                         ct state established,related accept;
                         meta l4proto tcp tcp dport != {open} drop;
                         meta l4proto udp drop;
                     }};
                 }}"
            ),
        );
        Self { place: place.to_owned() }
    }
}

impl Drop for ClosedPorts {
    fn drop(&mut self) {
        undo(&self.place, "nft", "delete table inet closed_ports");
    }
}
