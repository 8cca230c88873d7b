//! The kernel's packet path on one end: softnet and softirq counters by CPU label in, sums out.

use std::collections::BTreeMap;

use crate::reading::DevicePackets;
use crate::result::run::Packets;
use crate::result::span::{Span, float};

/// The packet path between two readings; nothing where none of its files could be read.
pub(super) fn packets(span: &Span<'_>) -> Option<Packets> {
    let softnet = span.first.host.softnet.as_ref().zip(span.last.host.softnet.as_ref());
    let softirqs = span.first.host.softirqs.as_ref().zip(span.last.host.softirqs.as_ref());
    let device = span.first.host.device.zip(span.last.host.device);
    if softnet.is_none() && softirqs.is_none() && device.is_none() {
        return None;
    }
    let net_rx = softirqs.map(|(first, last)| sum(first, last, |line| line.net_rx));
    let busiest = softirqs.and_then(|(first, last)| {
        differences(first, last, |line| line.net_rx).max_by_key(|(_, count)| *count)
    });
    let busiest = busiest.filter(|(_, count)| *count > 0);
    let grown = |of: fn(&DevicePackets) -> u64| {
        device.as_ref().map(|(first, last)| of(last).saturating_sub(of(first)))
    };
    let [sent, received] = [grown(|device| device.sent), grown(|device| device.received)];
    Some(Packets {
        device_sent: sent,
        device_received: received,
        mean_sent_packet_bytes: mean(grown(|device| device.bytes_sent), sent),
        mean_received_packet_bytes: mean(grown(|device| device.bytes_received), received),
        processed: softnet.map(|(first, last)| sum(first, last, |line| line.processed)),
        dropped: softnet.map(|(first, last)| sum(first, last, |line| line.dropped)),
        time_squeeze: softnet.map(|(first, last)| sum(first, last, |line| line.time_squeeze)),
        net_rx,
        net_tx: softirqs.map(|(first, last)| sum(first, last, |line| line.net_tx)),
        busiest_net_rx_cpu: busiest.map(|(cpu, _)| cpu),
        busiest_net_rx_share: busiest
            .zip(net_rx)
            .map(|((_, count), total)| float(count) / float(total)),
    })
}

fn mean(bytes: Option<u64>, packets: Option<u64>) -> Option<f64> {
    let packets = packets.filter(|packets| *packets > 0)?;
    Some(float(bytes?) / float(packets))
}

/// One counter's growth over all CPUs that were online at both readings.
pub(super) fn sum<T>(first: &BTreeMap<u32, T>, last: &BTreeMap<u32, T>, of: fn(&T) -> u64) -> u64 {
    differences(first, last, of).fold(0, |sum, (_, count)| sum.saturating_add(count))
}

/// One counter's growth on each CPU that was online at both readings.
fn differences<'a, T>(
    first: &'a BTreeMap<u32, T>,
    last: &'a BTreeMap<u32, T>,
    of: fn(&T) -> u64,
) -> impl Iterator<Item = (u32, u64)> + 'a {
    last.iter().filter_map(move |(cpu, after)| {
        let before = first.get(cpu)?;
        Some((*cpu, of(after).saturating_sub(of(before))))
    })
}
