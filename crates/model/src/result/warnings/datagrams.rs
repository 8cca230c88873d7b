//! Datagrams that were lost at the receiver's socket or on the path, reordered, or fragmented.

use super::{Doubt, RunEvidence, doubt};
use crate::result::losses::{DatagramLosses, receiver};
use crate::result::run::{DatagramFacts, SocketFacts};
use crate::result::span::float;

/// Losses and reordered datagrams that are told, as a share of those sent.
const MIN_LOSS_SHARE: f64 = 0.001;
/// Share of the losses at one place from which on that place, and what helps there, is told.
const MIN_PART_SHARE: f64 = 0.1;
/// IP and UDP headers, in bytes.
const IPV4_HEADERS_BYTES: u64 = 28;
const IPV6_HEADERS_BYTES: u64 = 48;

fn totals(seen: &RunEvidence<'_>) -> Option<DatagramFacts> {
    seen.run.udp.as_ref()?.datagrams.filter(|all| all.sent > 0)
}

/// What was lost, and who receives.
fn losses(seen: &RunEvidence<'_>) -> Option<(DatagramLosses, &'static str)> {
    let udp = seen.run.plan.workload.datagram_stream()?;
    Some((DatagramLosses::of(seen.run)?, receiver(udp)))
}

pub(super) fn receive_buffer_full(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let (losses, receiver) = losses(seen)?;
    let told = losses.at_socket >= MIN_PART_SHARE * losses.lost;
    if losses.socket_buffers == 0 || !told {
        return None;
    }
    doubt(
        losses.text(receiver),
        format!(
            "for those at the socket: a larger -w (and net.core.rmem_max at the {receiver}), a \
             lower -b, or more CPU for the {receiver}"
        ),
    )
}

pub(super) fn datagrams_lost(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let (losses, receiver) = losses(seen)?;
    let elsewhere = losses.lost - losses.at_socket;
    if elsewhere <= MIN_LOSS_SHARE * losses.sent || elsewhere < MIN_PART_SHARE * losses.lost {
        return None;
    }
    let remedy = if losses.lost >= losses.sent {
        "see whether the path carries datagrams of this size (-l), and UDP at all"
    } else {
        "for those on the path: look for drops along it (ethtool -S, tc -s qdisc, softnet), or \
         lower -b"
    };
    doubt(losses.text(receiver), remedy)
}

pub(super) fn datagrams_reordered(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let all = totals(seen)?;
    if float(all.reordered) <= MIN_LOSS_SHARE * float(all.sent) {
        return None;
    }
    doubt(
        format!(
            "{} of {} datagrams ({:.2} %) came after one that was sent later, by up to {} numbers",
            all.reordered,
            all.sent,
            100.0 * float(all.reordered) / float(all.sent),
            all.reorder_distance_max
        ),
        "look for parallel links or queues along the path that one flow is spread over",
    )
}

pub(super) fn lost_transactions(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let lost = seen.run.udp.as_ref()?.lost_transactions.filter(|lost| *lost > 0)?;
    let done = seen.run.transactions.as_ref().map_or(0, |done| done.count);
    doubt(
        format!(
            "{lost} requests had no response in time, {done} had: the lost ones are in no latency \
             figure"
        ),
        "read the rate as that of a path with loss; look for drops along it",
    )
}

pub(super) fn fragmented(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let workload = &seen.run.plan.workload;
    let largest = workload.largest_datagram().filter(|_| workload.fragments())?.0;
    let payload = |socket: &SocketFacts| {
        // An IPv6 address stands in brackets before its port.
        let headers =
            if socket.local.starts_with('[') { IPV6_HEADERS_BYTES } else { IPV4_HEADERS_BYTES };
        Some(u64::from(socket.path_mtu_bytes?).saturating_sub(headers))
    };
    let payloads = seen.ends().flat_map(|end| end.result.facts.sockets.iter().filter_map(payload));
    let most = payloads.min().filter(|most| largest > *most)?;
    doubt(
        format!(
            "datagrams of {largest} B do not fit the path, which carries {most} B of payload in \
             one packet: they went in fragments, and each lost fragment loses its datagram"
        ),
        format!("use datagrams of {most} B or less"),
    )
}
