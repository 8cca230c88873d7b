//! Streams whose packets are no larger than a segment, and the offload that is off for it.
//!
//! Offloads that are off tell nothing by themselves: a veth pair never joins packets, and has no
//! need to where they come joined. So the packets judge, as the devices counted them
//! (`.packets.*.mean_*_packet_bytes`), and the offloads that are off say why.

use super::{Doubt, RunEvidence};
use crate::facts::{DeviceFacts, HostFacts};
use crate::plan::{Direction, Role, Workload};
use crate::result::run::Packets;
use crate::result::span::{ROLES, other};
use crate::result::wording::end_name;

/// MTU of Ethernet, in bytes; a larger one makes up for missing offloads.
const ETHERNET_MTU_BYTES: u32 = 1500;
/// Packets up to so many MTUs on average are no larger than a segment.
const MAX_MTUS: f64 = 2.0;
/// Below this rate TCP makes small packets by itself (a millisecond's worth each), and each costs
/// little.
const MIN_BITS_PER_SECOND: f64 = 50e6;
/// Offloads of a sender, in the order in which they depend on each other: without checksums by the
/// device there is no scatter-gather, and without that no segmentation offload.
const SENDING: [(&str, &str); 4] = [
    ("tx", "checksums of sent packets (tx)"),
    ("sg", "scatter-gather (sg)"),
    ("tso", "TCP segmentation offload (tso)"),
    ("gso", "generic segmentation offload (gso)"),
];
/// Those of a receiver.
const RECEIVING: [(&str, &str); 2] =
    [("rx", "checksums of received packets (rx)"), ("gro", "generic receive offload (gro)")];

pub(super) fn offloads_off(seen: &RunEvidence<'_>) -> Vec<Doubt> {
    let (Workload::Stream(_), Some(direction)) =
        (&seen.run.plan.workload, seen.run.plan.workload.direction())
    else {
        return Vec::new();
    };
    let sends = |role: &Role| match direction {
        Direction::Up => *role == Role::Client,
        Direction::Down => *role == Role::Server,
        Direction::Both => true,
    };
    // What a sender does not join, the receiver gets in pieces: the sender's account comes first.
    ROLES.into_iter().filter(sends).filter_map(|sender| of_way(seen, sender)).collect()
}

/// The way from `sender` to the other end.
fn of_way(seen: &RunEvidence<'_>, sender: Role) -> Option<Doubt> {
    let throughput = seen.run.throughput.as_ref()?;
    let rate = match sender {
        Role::Client => throughput.up_bits_per_second,
        Role::Server => throughput.down_bits_per_second,
    };
    if rate? < MIN_BITS_PER_SECOND {
        return None;
    }
    let sent: fn(&Packets) -> Option<f64> = |packets| packets.mean_sent_packet_bytes;
    let received: fn(&Packets) -> Option<f64> = |packets| packets.mean_received_packet_bytes;
    let told = small_packets(seen, sender, sent, "sent", &SENDING);
    // What a pair of virtual devices counts as small, the sender's TCP made so.
    let small_anyway = || {
        is_small(seen, sender, sent) && seen.run.host.get(sender).as_ref().is_some_and(is_virtual)
    };
    told.or_else(|| {
        let missing = small_packets(seen, other(sender), received, "received", &RECEIVING);
        missing.filter(|_| !small_anyway())
    })
}

/// Its packets were no larger than a segment.
fn is_small(seen: &RunEvidence<'_>, role: Role, mean: fn(&Packets) -> Option<f64>) -> bool {
    let device = seen.run.host.get(role).as_ref().and_then(|host| host.device.as_ref());
    let mtu = device.and_then(|device| device.mtu_bytes);
    let bytes = seen.run.packets.get(role).as_ref().and_then(mean);
    mtu.zip(bytes).is_some_and(|(mtu, bytes)| bytes <= MAX_MTUS * f64::from(mtu))
}

/// Packets leave by a device that cuts none of them.
fn is_virtual(host: &HostFacts) -> bool {
    host.device.as_ref().is_some_and(|device| device.driver.as_deref() == Some("veth"))
}

/// The device of `role` moved packets of a segment each, and one of `offloads` is off.
fn small_packets(
    seen: &RunEvidence<'_>,
    role: Role,
    mean: fn(&Packets) -> Option<f64>,
    did: &str,
    offloads: &[(&str, &str)],
) -> Option<Doubt> {
    let device = seen.run.host.get(role).as_ref()?.device.as_ref()?;
    let mtu = device.mtu_bytes.filter(|mtu| *mtu <= ETHERNET_MTU_BYTES)?;
    let bytes = mean(seen.run.packets.get(role).as_ref()?)?;
    if device.name == "lo" || !is_small(seen, role, mean) {
        return None;
    }
    let off: Vec<&(&str, &str)> =
        offloads.iter().filter(|(name, _)| is_off(device, name)).collect();
    // Where the device segments by itself, it needs no software that does.
    off.first().filter(|(name, _)| *name != "gso")?;
    let named: Vec<&str> = off.iter().map(|(_, text)| *text).collect();
    let on: Vec<String> = off.iter().map(|(name, _)| format!("{name} on")).collect();
    let because =
        if off.len() > 1 && did == "sent" { ", of which each needs the one before it" } else { "" };
    Some((
        format!(
            "{}: {} ({}) {did} packets of {bytes:.0} B on average, a segment each, at an MTU of \
             {mtu} B: it has off {}{because}",
            end_name(role),
            device.name,
            device.driver.as_deref().unwrap_or("driver unknown"),
            named.join(", ")
        ),
        format!(
            "ethtool -K {} {}, there and on what the packets pass behind it, or a larger MTU along \
             the whole path",
            device.name,
            on.join(" ")
        ),
    ))
}

fn is_off(device: &DeviceFacts, name: &str) -> bool {
    device.offloads.get(name) == Some(&false)
}
