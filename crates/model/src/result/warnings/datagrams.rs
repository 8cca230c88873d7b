//! Datagrams that were lost at the receiver's socket or on the path, reordered, or fragmented.

use super::{RunCheck, RunEvidence, warn};
use crate::plan::Direction;
use crate::plan::udp::UdpPlan;
use crate::result::run::{DatagramFacts, SocketFacts, Warning};
use crate::result::span::float;

pub(super) const CHECKS: &[RunCheck] =
    &[receive_buffer_full, datagrams_lost, datagrams_reordered, lost_transactions, fragmented];

/// Losses and reordered datagrams that are told, as a share of those sent.
const MIN_LOSS_SHARE: f64 = 0.001;
/// IP and UDP headers, in bytes.
const IPV4_HEADERS_BYTES: u64 = 28;
const IPV6_HEADERS_BYTES: u64 = 48;

fn totals(seen: &RunEvidence<'_>) -> Option<DatagramFacts> {
    seen.run.udp.as_ref()?.datagrams.filter(|all| all.sent > 0)
}

/// The end that receives, in words.
const fn receiver(udp: &UdpPlan) -> &'static str {
    match udp.direction {
        Direction::Up => "server",
        Direction::Down => "client",
        Direction::Both => "both ends",
    }
}

fn receive_buffer_full(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let Some(udp) = seen.run.plan.workload.datagram_stream() else { return };
    let Some((all, drops)) = totals(seen).and_then(|all| Some((all, all.socket_drops?))) else {
        return;
    };
    if drops > 0 {
        let joined = seen.run.udp.iter().flat_map(|udp| udp.calls.named());
        let joined = joined.filter_map(|(_, calls)| calls.as_ref()?.gro_used).any(|used| used);
        warn(
            found,
            "receive_buffer_full",
            format!(
                "{}: the receive buffers were full and the kernel dropped {drops} buffers{}; {} \
                 of {} datagrams were lost in all",
                receiver(udp),
                if joined { ", each of one or, with UDP_GRO, several datagrams" } else { "" },
                all.lost,
                all.sent
            ),
            "a larger -w (and net.core.rmem_max there), a lower -b, or more CPU for the receiver",
        );
    }
}

fn datagrams_lost(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let Some(all) = totals(seen) else { return };
    // A dropped buffer held one datagram or more, so what is left was lost elsewhere at the most.
    let elsewhere = all.lost.saturating_sub(all.socket_drops.unwrap_or(0));
    if all.socket_drops.unwrap_or(0) == 0 && float(elsewhere) > MIN_LOSS_SHARE * float(all.sent) {
        let remedy = if all.received == 0 {
            "see whether the path carries datagrams of this size (-l), and UDP at all"
        } else {
            "look for drops along the path (ethtool -S, tc -s qdisc, softnet), or lower -b"
        };
        warn(
            found,
            "datagrams_lost",
            format!(
                "{} of {} datagrams ({:.2} %) were lost, none of them at the receiver's socket as \
                 far as it tells",
                all.lost,
                all.sent,
                100.0 * float(all.lost) / float(all.sent)
            ),
            remedy,
        );
    }
}

fn datagrams_reordered(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let Some(all) = totals(seen) else { return };
    if float(all.reordered) > MIN_LOSS_SHARE * float(all.sent) {
        warn(
            found,
            "datagrams_reordered",
            format!(
                "{} of {} datagrams ({:.2} %) came after one that was sent later, by up to {} \
                 numbers",
                all.reordered,
                all.sent,
                100.0 * float(all.reordered) / float(all.sent),
                all.reorder_distance_max
            ),
            "look for parallel links or queues along the path that one flow is spread over",
        );
    }
}

fn lost_transactions(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let lost = seen.run.udp.as_ref().and_then(|udp| udp.lost_transactions).unwrap_or(0);
    if lost > 0 {
        let done = seen.run.transactions.as_ref().map_or(0, |done| done.count);
        warn(
            found,
            "lost_transactions",
            format!(
                "{lost} requests had no response in time, {done} had: the lost ones are in no \
                 latency figure"
            ),
            "read the rate as that of a path with loss; look for drops along it",
        );
    }
}

fn fragmented(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let workload = &seen.run.plan.workload;
    if !workload.fragments() {
        return;
    }
    let largest = workload.largest_datagram().map_or(0, |bytes| bytes.0);
    let sockets = seen.present().flat_map(|(_, end_result)| &end_result.facts.sockets);
    let payload = |socket: &SocketFacts| {
        // An IPv6 address stands in brackets before its port.
        let headers =
            if socket.local.starts_with('[') { IPV6_HEADERS_BYTES } else { IPV4_HEADERS_BYTES };
        Some(u64::from(socket.path_mtu_bytes?).saturating_sub(headers))
    };
    let Some(most) = sockets.filter_map(payload).min() else { return };
    if largest > most {
        warn(
            found,
            "fragmented",
            format!(
                "datagrams of {largest} B do not fit the path, which carries {most} B of payload \
                 in one packet: they went in fragments, and each lost fragment loses its datagram"
            ),
            format!("use datagrams of {most} B or less"),
        );
    }
}
