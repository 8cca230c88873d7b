//! Connections whose first message is not whole: how many there may be of an address, of the
//! network around it and in all, and which one goes when one more would be too many.
//!
//! Enters: connections, with the address of each peer. Leaves: the oldest of the address that
//! holds too many, or the most, so that a flood takes places from itself alone.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use nix::sys::resource::{Resource, getrlimit};

use super::address_limits::{AddressLimits, ReachedLimit, address_of, prefix_of};
use super::first_message::{FirstMessage, PendingStage};

/// Connections that have said nothing whole. A client opens up to 128 at once, and each is silent
/// until its preamble is here: 32 clients behind one address fit.
const MAX_SILENT: u64 = 8192;
/// Connections that have said something. Each keeps at most 23 KiB of what it says, so that all of
/// them stay below 12 MiB.
const MAX_BEGUN: u64 = 512;

/// How many connections may be pending at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingLimits {
    /// Of those that have said nothing whole.
    pub silent: AddressLimits,
    /// Of the others.
    pub begun: AddressLimits,
}

impl PendingLimits {
    /// What every server of podperf allows: half of the descriptors that this process may open,
    /// and no more than is of use.
    #[must_use]
    pub fn of_this_process() -> Self {
        let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(limit, _)| limit);
        Self {
            silent: AddressLimits::shared(MAX_SILENT.min(descriptors / 2), (1, 2), (3, 4)),
            begun: AddressLimits::shared(MAX_BEGUN.min(descriptors / 4), (1, 4), (1, 2)),
        }
    }
}

/// A connection whose first message is not whole.
pub(super) struct PendingConnection<C> {
    pub(super) connection: C,
    pub(super) peer: SocketAddr,
    /// In the order of acceptance.
    pub(super) number: u64,
    /// It is reported when it brings more.
    pub(super) is_watched: bool,
    /// As which it is counted.
    counted: PendingStage,
}

impl<C> PendingConnection<C> {
    /// A connection that was just accepted, as number `number`.
    pub(super) const fn new(connection: C, peer: SocketAddr, number: u64) -> Self {
        Self { connection, peer, number, is_watched: false, counted: PendingStage::Silent }
    }
}

/// All connections that are pending.
pub(super) struct PendingTable<C> {
    /// By number; in boxes, so that a table with room for more costs little.
    connections: HashMap<u64, Box<PendingConnection<C>>>,
    silent: StageTable,
    begun: StageTable,
}

impl<C: FirstMessage> PendingTable<C> {
    pub(super) fn new(limits: PendingLimits) -> Self {
        let (silent, begun) = (StageTable::new(limits.silent), StageTable::new(limits.begun));
        Self { connections: HashMap::new(), silent, begun }
    }

    /// How many have said nothing whole, and how many of the others there are.
    pub(super) const fn counts(&self) -> (usize, usize) {
        (self.silent.count, self.begun.count)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    fn stage(&mut self, stage: PendingStage) -> &mut StageTable {
        match stage {
            PendingStage::Silent => &mut self.silent,
            PendingStage::Begun => &mut self.begun,
        }
    }

    /// Counts one in. The one that has to go for it, if there are too many now.
    pub(super) fn insert(
        &mut self,
        mut pending: PendingConnection<C>,
    ) -> Option<(PendingConnection<C>, ReachedLimit)> {
        pending.counted = pending.connection.stage();
        let reached = self.stage(pending.counted).insert(pending.peer.ip(), pending.number);
        self.connections.insert(pending.number, Box::new(pending));
        let (number, limit) = reached?;
        self.take(number).map(|oldest| (oldest, limit))
    }

    /// Takes one out.
    pub(super) fn take(&mut self, number: u64) -> Option<PendingConnection<C>> {
        let pending = *self.connections.remove(&number)?;
        self.stage(pending.counted).remove(pending.peer.ip(), number);
        Some(pending)
    }

    /// Takes out the one that goes where descriptors are short: a silent one, if there is one.
    pub(super) fn take_oldest(&mut self) -> Option<PendingConnection<C>> {
        let number = self.silent.oldest_of_most().or_else(|| self.begun.oldest_of_most())?;
        self.take(number)
    }

    /// Numbers of those whose deadline is past, or whose pause is.
    pub(super) fn due(&self, now: Instant) -> Vec<u64> {
        let due = |pending: &PendingConnection<C>| {
            let at = pending.connection.paused_until().or_else(|| pending.connection.deadline());
            at.is_some_and(|at| now >= at)
        };
        let due = self.connections.values().filter(|pending| due(pending));
        due.map(|pending| pending.number).collect()
    }
}

/// The connections at one stage, by address.
struct StageTable {
    limits: AddressLimits,
    /// Numbers of those of an address, the oldest first.
    addresses: HashMap<u128, BTreeSet<u64>>,
    /// How many are of a prefix.
    prefixes: HashMap<u128, usize>,
    count: usize,
}

impl StageTable {
    fn new(limits: AddressLimits) -> Self {
        Self { limits, addresses: HashMap::new(), prefixes: HashMap::new(), count: 0 }
    }

    /// Counts one in; the number of the one that is too many now.
    fn insert(&mut self, ip: IpAddr, number: u64) -> Option<(u64, ReachedLimit)> {
        let address = address_of(ip);
        let prefix = prefix_of(address);
        let own = self.addresses.entry(address).or_default();
        own.insert(number);
        let of_address = own.len();
        let of_prefix = self.prefixes.entry(prefix).or_default();
        *of_prefix += 1;
        let of_prefix = *of_prefix;
        self.count += 1;
        let AddressLimits { per_address, per_prefix, in_all } = self.limits;
        if of_address > per_address {
            Some((self.oldest(address)?, ReachedLimit::Address(per_address)))
        } else if of_prefix > per_prefix {
            Some((self.oldest(self.most_in(prefix)?)?, ReachedLimit::Prefix(per_prefix)))
        } else if self.count > in_all {
            Some((self.oldest_of_most()?, ReachedLimit::InAll(in_all)))
        } else {
            None
        }
    }

    fn remove(&mut self, ip: IpAddr, number: u64) {
        let address = address_of(ip);
        let Some(own) = self.addresses.get_mut(&address) else { return };
        if !own.remove(&number) {
            return;
        }
        if own.is_empty() {
            self.addresses.remove(&address);
        }
        self.count -= 1;
        let prefix = prefix_of(address);
        if let Some(count) = self.prefixes.get_mut(&prefix) {
            *count -= 1;
            if *count == 0 {
                self.prefixes.remove(&prefix);
            }
        }
    }

    fn oldest(&self, address: u128) -> Option<u64> {
        self.addresses.get(&address)?.first().copied()
    }

    /// The address of `prefix` that holds the most.
    fn most_in(&self, prefix: u128) -> Option<u128> {
        let own = self.addresses.iter().filter(|(address, _)| prefix_of(**address) == prefix);
        own.max_by_key(|(_, numbers)| numbers.len()).map(|(address, _)| *address)
    }

    /// The oldest of the address that holds the most, of the prefix that does.
    fn oldest_of_most(&self) -> Option<u64> {
        let (prefix, _) = self.prefixes.iter().max_by_key(|(_, count)| **count)?;
        self.oldest(self.most_in(*prefix)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(per_address: usize, per_prefix: usize, in_all: usize) -> StageTable {
        StageTable::new(AddressLimits { per_address, per_prefix, in_all })
    }

    /// Counts in what is named, numbered from 0; the one that has to go at the last.
    fn last(table: &mut StageTable, peers: &[&str]) -> Option<(u64, ReachedLimit)> {
        let mut last = None;
        for (number, peer) in (0..).zip(peers) {
            assert_eq!(last, None, "before {peer}");
            last = table.insert(peer.parse().unwrap(), number);
        }
        last
    }

    #[test]
    fn the_oldest_of_the_address_that_holds_the_most_goes() {
        let address = ["192.0.2.1", "192.0.2.2", "192.0.2.1", "::ffff:192.0.2.1"];
        let gone = last(&mut table(2, 8, 8), &address);
        assert_eq!(gone, Some((0, ReachedLimit::Address(2))));
        let prefix = ["192.0.2.9", "198.51.100.1", "192.0.2.1", "192.0.2.1", "192.0.2.200"];
        let gone = last(&mut table(4, 3, 8), &prefix);
        assert_eq!(gone, Some((2, ReachedLimit::Prefix(3))));
        let all = ["198.51.100.1", "192.0.2.1", "192.0.2.2", "192.0.2.2", "203.0.113.1"];
        let gone = last(&mut table(4, 4, 4), &all);
        assert_eq!(gone, Some((2, ReachedLimit::InAll(4))));
        let six = ["2001:db8:0:1::1", "2001:db8:1:1::1", "2001:db8:0:1::2"];
        assert_eq!(last(&mut table(1, 8, 8), &six), Some((0, ReachedLimit::Address(1))));
        let networks = ["2001:db8:0:1::1", "2001:db8:1:2::1", "2001:db8:0:2::2"];
        let gone = last(&mut table(1, 1, 8), &networks).unwrap();
        assert_eq!(gone.1, ReachedLimit::Prefix(1));
        assert!([0, 2].contains(&gone.0), "{gone:?}");
    }

    #[test]
    fn what_is_taken_out_is_counted_no_more() {
        let mut table = table(2, 2, 2);
        let peer = "192.0.2.1".parse().unwrap();
        for number in 0..100 {
            assert_eq!(table.insert(peer, number), None);
            table.remove(peer, number);
            // Twice is once.
            table.remove(peer, number);
        }
        assert_eq!((table.count, table.addresses.len(), table.prefixes.len()), (0, 0, 0));
        assert_eq!(table.oldest_of_most(), None);
    }
}
