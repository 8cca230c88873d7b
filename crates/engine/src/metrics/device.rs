//! The device that the route to the peer leaves by.
//!
//! Enters: the connection's addresses. Leaves: [`DeviceFacts`] from netlink, ethtool and, where it
//! shows the same device, sysfs.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;

use crate::metrics::roots::Roots;
use crate::metrics::source::{FactResult, Unknown, failed_to, number, reason};
use podperf_model::facts::DeviceFacts;
use podperf_model::reading::DevicePackets;
use podperf_sys::ethtool::Ethtool;
use podperf_sys::netlink;

/// The facts of the device towards `peer`, from `local` where known.
pub(super) fn device(
    roots: &Roots,
    local: Option<IpAddr>,
    peer: Option<IpAddr>,
) -> FactResult<DeviceFacts> {
    let peer = peer.ok_or("no peer to look up a route to")?.to_canonical();
    let local = local.map(|local| local.to_canonical());
    let index = match (peer, local) {
        // A link-local address is on every link; the own address tells which one is meant.
        (IpAddr::V6(address), Some(local)) if address.is_unicast_link_local() => holder_of(local)?,
        _ => netlink::route_device(peer, local).map_err(failed_to(&format!("route to {peer}")))?,
    };
    facts(roots, index)
}

/// The facts of the device of this index.
fn facts(roots: &Roots, index: u32) -> FactResult<DeviceFacts> {
    let link = netlink::link(index).map_err(failed_to(&format!("netlink: device {index}")))?;
    let directory = sysfs(roots, &link.name, index);
    let ethtool = Ethtool::open(&link.name);
    let mut unknown = Unknown::default();
    let from_sysfs = |read: fn(&Path) -> FactResult<u64>| {
        directory.as_ref().map_err(Clone::clone).and_then(|directory| read(directory))
    };
    let or_unknown = |what: Option<u32>| what.ok_or_else(|| "netlink does not tell it".to_owned());
    let mut facts = DeviceFacts {
        index,
        driver: unknown.note("driver", driver(directory.as_deref().ok(), &ethtool)),
        speed_bits_per_second: unknown.note("speed_bits_per_second", from_sysfs(speed)),
        mtu_bytes: unknown.note("mtu_bytes", or_unknown(link.mtu_bytes)),
        numa_node: unknown
            .note("numa_node", from_sysfs(numa_node))
            .and_then(|node| u32::try_from(node).ok()),
        qdisc: unknown
            .note("qdisc", link.qdisc.ok_or_else(|| "netlink does not tell it".to_owned())),
        rx_queues: unknown.note("rx_queues", or_unknown(link.rx_queues)),
        tx_queues: unknown.note("tx_queues", or_unknown(link.tx_queues)),
        shaper_bits_per_second: unknown
            .note("shaper_bits_per_second", shaper(index))
            .flatten()
            .map(|bytes| bytes.saturating_mul(8)),
        name: link.name,
        ..DeviceFacts::default()
    };
    match &ethtool {
        Ok(ethtool) => {
            for (name, state) in ethtool.offloads() {
                let state = state.map_err(failed_to("ethtool"));
                if let Some(on) = unknown.note(&format!("offloads.{name}"), state) {
                    facts.offloads.insert(name.to_owned(), on);
                }
            }
        }
        Err(error) => {
            unknown.0.insert("offloads".to_owned(), format!("ethtool: {error}"));
        }
    }
    facts.unknown = unknown.0;
    Ok(facts)
}

/// Rate that its qdisc shapes to, in bytes per second, if it does.
fn shaper(index: u32) -> FactResult<Option<u64>> {
    netlink::shaper(index).map_err(failed_to("netlink: qdiscs"))
}

/// What went through the device of this index so far.
pub(super) fn packets(index: u32) -> Option<DevicePackets> {
    let counters = netlink::link(index).ok()?.counters?;
    Some(DevicePackets {
        received: counters.rx_packets,
        sent: counters.tx_packets,
        bytes_received: counters.rx_bytes,
        bytes_sent: counters.tx_bytes,
    })
}

/// The device's directory. sysfs shows the network namespace it was mounted in, which need not be
/// this one: a device of the same name with another index is another device.
fn sysfs(roots: &Roots, name: &str, index: u32) -> FactResult<PathBuf> {
    let directory = roots.sys.join("class/net").join(name);
    let shown: u32 = number(&directory.join("ifindex"))?;
    if shown == index {
        return Ok(directory);
    }
    Err(reason(&directory, "belongs to another network namespace"))
}

fn speed(directory: &Path) -> FactResult<u64> {
    // veth and others like it tell 10 Gbit/s that nothing holds them to; only a device on a bus
    // has a line rate (its directory then has a link to the bus's).
    if !directory.join("device").exists() {
        return Err("a virtual device has no line rate".to_owned());
    }
    // Mbit/s; -1 or EINVAL: the device has none, or its link is down.
    let mbit_per_second: i64 = number(&directory.join("speed"))?;
    match u64::try_from(mbit_per_second) {
        Ok(speed) if speed > 0 => Ok(speed.saturating_mul(1_000_000)),
        _ => Err("the device tells no speed".to_owned()),
    }
}

fn numa_node(directory: &Path) -> FactResult<u64> {
    let node: i64 = number(&directory.join("device/numa_node"))?;
    u64::try_from(node).map_err(|_| "the device is bound to no NUMA node".to_owned())
}

fn driver(directory: Option<&Path>, ethtool: &io::Result<Ethtool>) -> FactResult<String> {
    let link = directory.and_then(|directory| directory.join("device/driver").read_link().ok());
    if let Some(name) = link.as_deref().and_then(Path::file_name) {
        return Ok(name.to_string_lossy().into_owned());
    }
    match ethtool {
        Ok(ethtool) => ethtool.driver().map_err(failed_to("no device/driver link; ethtool")),
        Err(error) => Err(format!("no device/driver link; ethtool: {error}")),
    }
}

/// The index of the device that holds an address of this machine.
fn holder_of(local: IpAddr) -> FactResult<u32> {
    let addresses = getifaddrs().map_err(|errno| format!("getifaddrs: {errno}"))?;
    let holds = |address: &nix::sys::socket::SockaddrStorage| {
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
        let v6 = address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip()));
        v4.or(v6) == Some(local)
    };
    let holder = addresses.into_iter().find(|entry| entry.address.as_ref().is_some_and(holds));
    let holder = holder.ok_or_else(|| format!("no device holds {local}"))?.interface_name;
    if_nametoindex(holder.as_str()).map_err(|errno| format!("if_nametoindex {holder}: {errno}"))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn the_device_to_oneself_is_loopback() {
        let localhost = Some(IpAddr::from(Ipv4Addr::LOCALHOST));
        let facts = device(&Roots::default(), localhost, localhost).unwrap();
        assert_eq!(facts.name, "lo");
        assert!(facts.mtu_bytes.is_some() && facts.qdisc.is_some(), "{facts:?}");
        assert!(facts.offloads.contains_key("tso") && facts.offloads.contains_key("lro"));
        assert_eq!(facts.speed_bits_per_second, None);
        assert!(facts.unknown.contains_key("speed_bits_per_second"));
        let mapped = Some(IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped()));
        assert_eq!(device(&Roots::default(), mapped, mapped).unwrap().name, "lo");
    }

    #[test]
    fn without_sysfs_netlink_still_answers() {
        let empty = tempfile::tempdir().unwrap();
        let localhost = Some(IpAddr::from(Ipv4Addr::LOCALHOST));
        let facts = device(&Roots::below(empty.path()), None, localhost).unwrap();
        assert!(facts.mtu_bytes.is_some_and(|mtu| mtu > 0));
        assert!(facts.unknown["speed_bits_per_second"].contains("ifindex"), "{facts:?}");
    }

    #[test]
    fn sysfs_of_another_namespace_is_not_believed() {
        let tree = tempfile::tempdir().unwrap();
        let directory = tree.path().join("sys/class/net/eth0");
        std::fs::create_dir_all(directory.join("device")).unwrap();
        std::fs::write(directory.join("ifindex"), "7\n").unwrap();
        std::fs::write(directory.join("speed"), "25000\n").unwrap();
        std::fs::write(directory.join("device/numa_node"), "1\n").unwrap();
        let roots = Roots::below(tree.path());
        assert!(sysfs(&roots, "eth0", 8).unwrap_err().contains("another network namespace"));
        let directory = sysfs(&roots, "eth0", 7).unwrap();
        assert_eq!((speed(&directory), numa_node(&directory)), (Ok(25_000_000_000), Ok(1)));
        std::fs::write(directory.join("speed"), "-1\n").unwrap();
        std::fs::write(directory.join("device/numa_node"), "-1\n").unwrap();
        assert!(speed(&directory).is_err() && numa_node(&directory).is_err());
    }

    #[test]
    fn a_link_local_peer_is_on_the_device_of_the_own_address() {
        let link_local = IpAddr::from(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
        let own = Some(IpAddr::from(Ipv4Addr::LOCALHOST));
        assert_eq!(device(&Roots::default(), own, Some(link_local)).unwrap().name, "lo");
        let foreign = Some(IpAddr::from(Ipv4Addr::new(192, 0, 2, 77)));
        let reason = device(&Roots::default(), foreign, Some(link_local)).unwrap_err();
        assert!(reason.contains("192.0.2.77"), "{reason}");
    }

    #[test]
    fn without_a_peer_there_is_a_reason() {
        assert!(device(&Roots::default(), None, None).is_err());
    }
}
