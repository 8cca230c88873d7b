//! Addresses, as far as both ends and every tool speak of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// An address with port 0, for talking to `peer`. A link-local one is an address only with its
/// link, which is the one that `peer` is on.
#[must_use]
pub const fn on_link_of(address: IpAddr, peer: SocketAddr) -> SocketAddr {
    match (address, peer) {
        (IpAddr::V6(v6), SocketAddr::V6(peer)) if v6.is_unicast_link_local() => {
            SocketAddr::V6(SocketAddrV6::new(v6, 0, 0, peer.scope_id()))
        }
        (address, _) => SocketAddr::new(address, 0),
    }
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFamily {
    /// IPv4, AF_INET.
    V4,
    /// IPv6, AF_INET6.
    V6,
}

impl AddressFamily {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Whether an address is of this family.
    #[must_use]
    pub const fn has(self, address: IpAddr) -> bool {
        matches!((self, address), (Self::V4, IpAddr::V4(_)) | (Self::V6, IpAddr::V6(_)))
    }

    /// The address that stands for any of the host's own.
    #[must_use]
    pub const fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// Its name, as people and Kubernetes write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_local_address_is_on_the_link_of_the_peer_and_no_other_has_one() {
        let peer = SocketAddr::V6(SocketAddrV6::new("fe80::2".parse().unwrap(), 7, 0, 3));
        let on_link = |address: &str| on_link_of(address.parse().unwrap(), peer).to_string();
        assert_eq!(on_link("fe80::1"), "[fe80::1%3]:0");
        assert_eq!(on_link("2001:db8::1"), "[2001:db8::1]:0");
        assert_eq!(on_link("192.0.2.1"), "192.0.2.1:0");
    }
}
