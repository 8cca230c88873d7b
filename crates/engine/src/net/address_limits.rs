//! How many of something there may be of one address, of the network around it and in all.
//!
//! A peer may have many addresses of IPv6, so a /64 of them counts as one; and whoever has a whole
//! network is kept from taking all places by the limit of a /24, or of a /48 of IPv6.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

/// Sessions in all from which on one address gets a part of them.
const MIN_SHARED_SESSIONS: usize = 16;

/// How many there may be at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressLimits {
    /// Of one IPv4 address, or of one /64 of IPv6.
    pub per_address: usize,
    /// Of one /24 of IPv4, or of one /48 of IPv6.
    pub per_prefix: usize,
    /// Of all addresses.
    pub in_all: usize,
}

impl AddressLimits {
    /// No limits.
    pub const NONE: Self =
        Self { per_address: usize::MAX, per_prefix: usize::MAX, in_all: usize::MAX };

    /// Allows `in_all` sessions: three quarters of them to one address and seven eighths to one
    /// network, so that whoever comes from elsewhere finds a place. Of a few one may have all.
    #[must_use]
    pub const fn of_sessions(in_all: usize) -> Self {
        if in_all < MIN_SHARED_SESSIONS {
            return Self { per_address: in_all, per_prefix: in_all, in_all };
        }
        Self { per_address: in_all / 4 * 3, per_prefix: in_all / 8 * 7, in_all }
    }

    /// Allows `in_all`, and the shares of it to one address and to one prefix.
    pub(super) fn shared(in_all: u64, address: (usize, usize), prefix: (usize, usize)) -> Self {
        let in_all = usize::try_from(in_all).unwrap_or(usize::MAX).max(8);
        let share = |(part, whole)| in_all / whole * part;
        Self { per_address: share(address), per_prefix: share(prefix), in_all }
    }
}

/// Which limit there is no more room in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReachedLimit {
    /// Of one address.
    Address(usize),
    /// Of one network.
    Prefix(usize),
    /// Of all.
    InAll(usize),
    /// The system's, on open files.
    Descriptors,
}

impl fmt::Display for ReachedLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(count) => write!(f, "{count} at a time from one address"),
            Self::Prefix(count) => write!(f, "{count} at a time from one /24 (IPv6: /48)"),
            Self::InAll(count) => write!(f, "{count} at a time in all"),
            Self::Descriptors => f.write_str("the system's on open files"),
        }
    }
}

/// How many there are.
#[derive(Debug, Default)]
pub(super) struct AddressCounts {
    addresses: HashMap<u128, usize>,
    prefixes: HashMap<u128, usize>,
    pub(super) in_all: usize,
}

impl AddressCounts {
    /// Counts one more.
    ///
    /// # Errors
    /// The limit, when there are as many as it allows.
    pub(super) fn add(&mut self, ip: IpAddr, limits: &AddressLimits) -> Result<(), ReachedLimit> {
        let AddressLimits { per_address, per_prefix, in_all } = *limits;
        let address = address_of(ip);
        let prefix = prefix_of(address);
        let count = |counts: &HashMap<u128, usize>, key| counts.get(&key).copied().unwrap_or(0);
        if self.in_all >= in_all {
            return Err(ReachedLimit::InAll(in_all));
        }
        if count(&self.addresses, address) >= per_address {
            return Err(ReachedLimit::Address(per_address));
        }
        if count(&self.prefixes, prefix) >= per_prefix {
            return Err(ReachedLimit::Prefix(per_prefix));
        }
        *self.addresses.entry(address).or_default() += 1;
        *self.prefixes.entry(prefix).or_default() += 1;
        self.in_all += 1;
        Ok(())
    }

    /// Counts one less.
    pub(super) fn remove(&mut self, ip: IpAddr) {
        let address = address_of(ip);
        self.in_all -= 1;
        let counts = [(&mut self.addresses, address), (&mut self.prefixes, prefix_of(address))];
        for (counts, key) in counts {
            if let Some(count) = counts.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&key);
                }
            }
        }
    }
}

/// The bits that stand for one peer: an IPv4 address as IPv6 writes it, or the /64 of an IPv6 one.
pub(crate) fn address_of(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits() >> 64 << 64,
    }
}

/// The bits of the network around an address: the /24 of IPv4, the /48 of IPv6.
pub(crate) fn prefix_of(address: u128) -> u128 {
    let is_ipv4 = address >> 32 == 0xffff;
    let host_bits = if is_ipv4 { 8 } else { 80 };
    address >> host_bits << host_bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_never_takes_all_places_however_few_there_are() {
        for in_all in [0, 16, 256, 512, 8192] {
            for (address, prefix) in [((1, 2), (3, 4)), ((1, 4), (1, 2))] {
                let limits = AddressLimits::shared(in_all, address, prefix);
                assert!(limits.per_address >= 2, "{limits:?}");
                assert!(limits.per_address < limits.per_prefix, "{limits:?}");
                assert!(limits.per_prefix < limits.in_all, "{limits:?}");
            }
        }
    }

    #[test]
    fn who_is_past_a_limit_is_told_which_and_counts_for_nothing() {
        let limits = AddressLimits { per_address: 2, per_prefix: 3, in_all: 4 };
        let mut counts = AddressCounts::default();
        let [one, other, far] =
            ["192.0.2.1", "192.0.2.0", "198.51.100.1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        for (ip, added) in [
            (one, Ok(())),
            (one, Ok(())),
            (one, Err(ReachedLimit::Address(2))),
            (other, Ok(())),
            (other, Err(ReachedLimit::Prefix(3))),
            (far, Ok(())),
            (far, Err(ReachedLimit::InAll(4))),
        ] {
            assert_eq!(counts.add(ip, &limits), added, "{ip}");
        }
        for ip in [one, one, other, far] {
            counts.remove(ip);
        }
        assert_eq!((counts.in_all, counts.addresses.len(), counts.prefixes.len()), (0, 0, 0));
    }
}
