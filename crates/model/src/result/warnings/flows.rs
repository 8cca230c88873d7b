//! Streams that stalled, ended early, lost bytes or retransmitted.

use super::{Doubt, RunEvidence, count, doubt, few};
use crate::plan::Role;
use crate::reading::{FlowCounters, Reading};
use crate::result::intervals::pairs;
use crate::result::run::{Interval, Stream, StreamDirection};
use crate::result::span::{EndSpans, float};

/// Shortest interval without a byte that counts as a stall, in seconds: Linux's least
/// retransmission timeout (TCP_RTO_MIN).
const MIN_STALL_SECONDS: f64 = 0.2;
/// Retransmitted segments that are told, as a share of those sent.
const MIN_RETRANSMIT_SHARE: f64 = 0.001;

pub(super) fn goodput_from_sender(seen: &RunEvidence<'_>) -> Option<Doubt> {
    seen.run.throughput.as_ref().filter(|throughput| throughput.from_sender)?;
    doubt(
        "the receiver's counts were lost: goodput is what the sender's kernel saw acknowledged",
        "see errors; repeat the run for the receiver's own figures",
    )
}

/// An interval, and the client's readings at its edges where it is the client's.
type TellingInterval<'a> = (&'a Interval, Option<(&'a Reading, &'a Reading)>);

/// Intervals long enough to tell a stall, of work that leaves no stream idle by itself.
fn telling<'a>(seen: &RunEvidence<'a>) -> Vec<TellingInterval<'a>> {
    if seen.run.plan.workload.is_scheduled() {
        return Vec::new();
    }
    let edges = pairs(seen.end_results.readings(Role::Client)).map(Some);
    let intervals = seen.run.intervals.iter().zip(edges.chain(std::iter::repeat(None)));
    let long = |(interval, _): &TellingInterval<'_>| {
        interval.end_seconds - interval.start_seconds >= MIN_STALL_SECONDS
    };
    intervals.filter(long).collect()
}

/// What one stream did in each of these intervals: moved something, or not; nothing where it is
/// not known. Where each transaction has a connection of its own, the client alone knows.
fn moved(intervals: &[TellingInterval<'_>], stream: u32) -> Option<Vec<bool>> {
    let stream = usize::try_from(stream).ok()?;
    let counted = |(first, last): (&Reading, &Reading)| {
        let (first, last) = (first.flows.get(stream)?, last.flows.get(stream)?);
        let moved = |of: fn(&FlowCounters) -> u64| of(last) > of(first);
        Some(moved(|own| own.bytes_received) || moved(|own| own.transactions))
    };
    let did = |(interval, edges): &TellingInterval<'_>| {
        let rate = *interval.stream_bits_per_second.get(stream)?;
        rate.map(|rate| rate > 0.0).or_else(|| counted((*edges)?))
    };
    intervals.iter().map(did).collect()
}

/// How many of the last intervals passed without a byte.
fn idle_at_end(moved: &[bool]) -> usize {
    moved.iter().rev().take_while(|moved| !**moved).count()
}

/// The streams of which `place` finds a telling interval in what they moved, in words, and the
/// first of these intervals.
fn streams_at<'a>(
    seen: &RunEvidence<'a>,
    place: impl Fn(&[bool]) -> Option<usize>,
) -> Option<(String, &'a Interval)> {
    let intervals = telling(seen);
    let found = seen.spans.flows().filter_map(|id| Some((id, place(&moved(&intervals, id)?)?)));
    let (ids, places): (Vec<u32>, Vec<usize>) = found.unzip();
    let first = places.into_iter().min()?;
    Some((format!("{} ({})", count(ids.len(), "stream"), few(&ids)), intervals[first].0))
}

pub(super) fn stream_stalled(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let (streams, first) = streams_at(seen, |moved| {
        let inside = &moved[..moved.len() - idle_at_end(moved)];
        inside.iter().position(|moved| !moved)
    })?;
    doubt(
        format!(
            "{streams} moved nothing for an interval or more and then went on, first from {:.3} s \
             to {:.3} s",
            first.start_seconds, first.end_seconds
        ),
        "look at the retransmits of those intervals, and for a stopped or throttled process",
    )
}

pub(super) fn stream_ended_early(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let (streams, first) = streams_at(seen, |moved| {
        let idle = idle_at_end(moved);
        (idle > 0).then(|| moved.len() - idle)
    })?;
    doubt(
        format!(
            "{streams} moved nothing up to the end of the window, the first since {:.3} s",
            first.start_seconds
        ),
        "see errors; rates of these streams are averages over time they did not use",
    )
}

pub(super) fn not_drained(seen: &RunEvidence<'_>) -> Option<Doubt> {
    // Requests in flight at the end are dropped on purpose.
    // Datagrams may be lost; that has warnings of its own.
    let udp = seen.run.plan.workload.is_udp();
    let bulk = |stream: &&Stream| stream.direction != StreamDirection::Exchange;
    let streams = seen.run.streams.iter().filter(bulk);
    let lives = streams.filter_map(|stream| Some((stream.id, stream.lifetime?)));
    let (mut ids, mut sent, mut received) = (Vec::new(), 0_u64, 0_u64);
    for (id, life) in
        lives.filter(|(_, life)| !life.drained || (!udp && life.bytes_sent != life.bytes_received))
    {
        ids.push(id);
        sent = sent.saturating_add(life.bytes_sent);
        received = received.saturating_add(life.bytes_received);
    }
    if ids.is_empty() {
        return None;
    }
    doubt(
        format!(
            "{} ({}) did not end in order: {sent} B sent, {received} B received over their whole \
             life",
            count(ids.len(), "stream"),
            few(&ids)
        ),
        "the window's own figures are not touched by what was cut off after it; see errors, if any",
    )
}

pub(super) fn retransmits(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let again = seen.spans.total(seen.spans.flows(), EndSpans::retransmits)?;
    let sent = seen.spans.total(seen.spans.flows(), EndSpans::segments)?;
    if sent == 0 || float(again) / float(sent) <= MIN_RETRANSMIT_SHARE {
        return None;
    }
    let percent = 100.0 * float(again) / float(sent);
    doubt(
        format!("{again} of {sent} segments ({percent:.2} %) were retransmitted"),
        "look for drops along the path (ethtool -S, tc -s qdisc, softnet), or pace with -b",
    )
}
