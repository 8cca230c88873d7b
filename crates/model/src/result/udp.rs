//! What became of datagrams: the senders' counts and the receivers', put together.
//!
//! A datagram belongs to the window when its sender stamped it so. Both ends' counts of it are of
//! the whole run, so no datagram that was under way at an edge is lost by the count, or counted
//! twice.

use crate::plan::udp::UdpPlan;
use crate::plan::{FlowRole, Plan, Role};
use crate::reading::Datagrams;
use crate::result::end_result::{EndReport, FlowReport, ScheduleAdherence};
use crate::result::latency;
use crate::result::run::{DatagramCalls, DatagramFacts, Ends, Latency, ScheduleFacts, Stream, Udp};
use crate::result::span::{
    EndResults, EndSpans, ROLES, bytes_and_calls, float, other, receives, sends,
};

/// The part of the result about datagrams; nothing for other runs.
pub(super) fn udp(
    spans: &EndSpans<'_>,
    end_results: &EndResults<'_>,
    streams: &[Stream],
) -> Option<Udp> {
    if !spans.plan.workload.is_udp() {
        return None;
    }
    let client = end_results.report(Role::Client);
    Some(Udp {
        datagrams: total(streams),
        lost_transactions: client.and_then(|client| client.lost_transactions),
        calls: Ends::of(|role| calls(spans.plan, end_results.report(role)?)),
    })
}

/// What became of the datagrams of flow `id`; `flow` finds an end's report of it.
pub(super) fn facts<'a>(
    spans: &EndSpans<'_>,
    id: u32,
    flow: impl Fn(Role) -> Option<&'a FlowReport>,
) -> Option<DatagramFacts> {
    spans.plan.workload.datagram_stream()?;
    let sender =
        ROLES.into_iter().find(|role| spans.plan.flow_role(*role, id) == FlowRole::Send)?;
    let receiver = other(sender);
    let sent = flow(sender)?.datagrams?.window.sent;
    let got = flow(receiver)?.datagrams?.window;
    // Counts come from a peer, which may say anything.
    let received = got.received.min(sent);
    Some(DatagramFacts {
        sent,
        received,
        lost: sent - received,
        loss_share: (sent > 0).then(|| float(sent - received) / float(sent)),
        reordered: got.reordered,
        reorder_distance_max: got.distance_max,
        duplicates: got.duplicates,
        jitter_us: (received > 0).then(|| float(got.jitter_ns) / 1e3),
        socket_drops: drops(spans, receiver, id),
    })
}

/// Drops at the receiver's socket between the window's readings.
fn drops(spans: &EndSpans<'_>, receiver: Role, id: u32) -> Option<u64> {
    let (first, last) = counts(spans, receiver, id)?;
    Some(last.socket_drops?.wrapping_sub(first.socket_drops?).into())
}

/// One end's counts of a flow at the first and the last reading.
fn counts<'a>(spans: &EndSpans<'a>, role: Role, id: u32) -> Option<(&'a Datagrams, &'a Datagrams)> {
    let (first, last) = spans.end(role)?.flow(id)?;
    Some((first.datagrams.as_ref()?, last.datagrams.as_ref()?))
}

fn total(streams: &[Stream]) -> Option<DatagramFacts> {
    let all: Vec<DatagramFacts> = streams.iter().filter_map(|stream| stream.datagrams).collect();
    let sum = |of: fn(&DatagramFacts) -> u64| all.iter().map(of).fold(0, u64::saturating_add);
    let (sent, lost) = (sum(|flow| flow.sent), sum(|flow| flow.lost));
    let drops = all.iter().map(|flow| flow.socket_drops);
    (!all.is_empty()).then(|| DatagramFacts {
        sent,
        received: sum(|flow| flow.received),
        lost,
        loss_share: (sent > 0).then(|| float(lost) / float(sent)),
        reordered: sum(|flow| flow.reordered),
        reorder_distance_max: all.iter().map(|flow| flow.reorder_distance_max).max().unwrap_or(0),
        duplicates: sum(|flow| flow.duplicates),
        jitter_us: mean(all.iter().filter_map(|flow| flow.jitter_us)),
        socket_drops: drops.reduce(|a, b| Some(a?.saturating_add(b?))).flatten(),
    })
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// Datagrams found missing between two readings of the receivers, and their mean jitter then, in
/// microseconds.
pub(super) fn interval(spans: &EndSpans<'_>) -> (Option<u64>, Option<f64>) {
    if spans.plan.workload.datagram_stream().is_none() {
        return (None, None);
    }
    let receiver = |id: u32| {
        ROLES.into_iter().find(|role| spans.plan.flow_role(*role, id) == FlowRole::Receive)
    };
    let receivers = || spans.flows().filter_map(|id| counts(spans, receiver(id)?, id));
    let missing = |counts: &Datagrams| counts.expected.saturating_sub(counts.received);
    let lost = receivers().map(|(first, last)| missing(last).saturating_sub(missing(first)));
    let jitter = receivers().filter(|(_, last)| last.received > 0);
    (lost.reduce(u64::saturating_add), mean(jitter.map(|(_, last)| float(last.jitter_ns) / 1e3)))
}

fn calls(plan: &Plan, report: &EndReport) -> Option<DatagramCalls> {
    let udp = plan.workload.datagram_stream()?;
    let own = report.datagrams?;
    Some(DatagramCalls {
        gso_asked: own.segmented.map(|_| udp.gso),
        gso_used: own.segmented,
        datagrams_per_send: own.per_send,
        mean_datagrams_per_send: per_call(udp, &report.flows, sends),
        gro_asked: own.joined.map(|_| udp.gro),
        gro_used: own.joined,
        mean_datagrams_per_receive: per_call(udp, &report.flows, receives),
    })
}

fn per_call(
    plan: &UdpPlan,
    flows: &[FlowReport],
    of: fn(&FlowReport) -> (u64, u64),
) -> Option<f64> {
    let (bytes, calls) = bytes_and_calls(flows, of)?;
    let size = plan.datagram_bytes.map(|size| size.0).filter(|size| *size > 0)?;
    Some(bytes / float(size) / calls)
}

/// How the schedules of both ends were kept; `summary` reads a distribution.
pub(super) fn schedule(
    end_results: &EndResults<'_>,
    mut summary: impl FnMut(&str, Result<Latency, String>) -> Option<Latency>,
) -> Option<ScheduleFacts> {
    let reports = || ROLES.into_iter().filter_map(|role| end_results.report(role));
    let kept = reports().filter_map(|report| report.schedule);
    let kept = kept.reduce(ScheduleAdherence::plus)?;
    let pacing = || reports().filter_map(|report| report.pacing.as_ref());
    let mut all = |name: &str, wires: Vec<_>| {
        if wires.is_empty() { None } else { summary(name, latency::merged(&wires)) }
    };
    Some(ScheduleFacts {
        due: kept.due,
        late: kept.late,
        max_lateness_ns: kept.max_lateness_ns,
        unfinished: kept.unfinished,
        pacing: kept.pacing,
        datagrams_per_send: reports().filter_map(|report| report.datagrams?.per_send).max(),
        lateness: all("lateness histogram", pacing().map(|own| &own.lateness).collect()),
        inter_send: all("inter-send histogram", pacing().map(|own| &own.inter_send).collect()),
    })
}

#[cfg(test)]
mod tests;
