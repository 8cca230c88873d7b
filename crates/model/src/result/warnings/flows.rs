//! Streams that stalled, ended early, lost bytes or retransmitted.

use super::{RunCheck, RunEvidence, count, few, warn};
use crate::result::run::{Interval, Stream, StreamDirection, Warning};
use crate::result::span::{EndSpans, float};

pub(super) const CHECKS: &[RunCheck] =
    &[goodput_from_sender, stream_stalled, stream_ended_early, not_drained, retransmits];

/// Shortest interval without a byte that counts as a stall, in seconds: Linux's least
/// retransmission timeout (TCP_RTO_MIN).
const MIN_STALL_SECONDS: f64 = 0.2;
/// Retransmitted segments that are told, as a share of those sent.
const MIN_RETRANSMIT_SHARE: f64 = 0.001;

fn goodput_from_sender(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    if seen.run.throughput.as_ref().is_some_and(|throughput| throughput.from_sender) {
        warn(
            found,
            "goodput_from_sender",
            "the receiver's counts were lost: goodput is what the sender's kernel saw acknowledged"
                .to_owned(),
            "see errors; repeat the run for the receiver's own figures",
        );
    }
}

/// Intervals long enough to tell a stall, of work that leaves no stream idle by itself.
fn telling<'a>(seen: &RunEvidence<'a>) -> Vec<&'a Interval> {
    if seen.run.plan.workload.is_scheduled() {
        return Vec::new();
    }
    let long =
        |interval: &&Interval| interval.end_seconds - interval.start_seconds >= MIN_STALL_SECONDS;
    seen.run.intervals.iter().filter(long).collect()
}

/// What one stream did in each of these intervals: moved something, or not; nothing where it is
/// not known.
fn moved(intervals: &[&Interval], stream: u32) -> Option<Vec<bool>> {
    let stream = usize::try_from(stream).ok()?;
    let rate = |interval: &&Interval| *interval.stream_bits_per_second.get(stream)?;
    intervals.iter().map(|interval| rate(interval).map(|rate| rate > 0.0)).collect()
}

/// How many of the last intervals passed without a byte.
fn idle_at_end(moved: &[bool]) -> usize {
    moved.iter().rev().take_while(|moved| !**moved).count()
}

fn stream_stalled(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let intervals = telling(seen);
    let stalls = |id: u32| {
        let moved = moved(&intervals, id)?;
        let inside = &moved[..moved.len() - idle_at_end(&moved)];
        inside.iter().position(|moved| !moved).map(|first| (id, first))
    };
    let stalled: Vec<(u32, usize)> = seen.spans.flows().filter_map(stalls).collect();
    let Some(first) = stalled.iter().map(|(_, first)| *first).min() else { return };
    let ids: Vec<u32> = stalled.iter().map(|(id, _)| *id).collect();
    warn(
        found,
        "stream_stalled",
        format!(
            "{} ({}) moved nothing for an interval or more and then went on, first from {:.3} s \
             to {:.3} s",
            count(ids.len(), "stream"),
            few(&ids),
            intervals[first].start_seconds,
            intervals[first].end_seconds
        ),
        "look at the retransmits of those intervals, and for a stopped or throttled process",
    );
}

fn stream_ended_early(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let intervals = telling(seen);
    let ended = |id: u32| {
        let moved = moved(&intervals, id)?;
        let idle = idle_at_end(&moved);
        (idle > 0).then(|| (id, moved.len() - idle))
    };
    let early: Vec<(u32, usize)> = seen.spans.flows().filter_map(ended).collect();
    let Some(first) = early.iter().map(|(_, first)| *first).min() else { return };
    let ids: Vec<u32> = early.iter().map(|(id, _)| *id).collect();
    warn(
        found,
        "stream_ended_early",
        format!(
            "{} ({}) moved nothing up to the end of the window, the first since {:.3} s",
            count(ids.len(), "stream"),
            few(&ids),
            intervals[first].start_seconds
        ),
        "see errors; rates of these streams are averages over time they did not use",
    );
}

fn not_drained(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    // Requests in flight at the end are dropped on purpose.
    // Datagrams may be lost; that has warnings of its own.
    let udp = seen.run.plan.workload.is_udp();
    let bulk = |stream: &&Stream| stream.direction != StreamDirection::Exchange;
    let lives = seen
        .run
        .streams
        .iter()
        .filter(bulk)
        .filter_map(|stream| Some((stream.id, stream.lifetime?)));
    let (mut ids, mut sent, mut received) = (Vec::new(), 0_u64, 0_u64);
    for (id, life) in
        lives.filter(|(_, life)| !life.drained || (!udp && life.bytes_sent != life.bytes_received))
    {
        ids.push(id);
        sent = sent.saturating_add(life.bytes_sent);
        received = received.saturating_add(life.bytes_received);
    }
    if !ids.is_empty() {
        warn(
            found,
            "not_drained",
            format!(
                "{} ({}) did not end in order: {sent} B sent, {received} B received over their \
                 whole life",
                count(ids.len(), "stream"),
                few(&ids)
            ),
            "see errors; the window's own figures are not touched by the tail",
        );
    }
}

fn retransmits(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let (Some(again), Some(sent)) = (
        seen.spans.total(seen.spans.flows(), EndSpans::retransmits),
        seen.spans.total(seen.spans.flows(), EndSpans::segments),
    ) else {
        return;
    };
    if sent > 0 && float(again) / float(sent) > MIN_RETRANSMIT_SHARE {
        warn(
            found,
            "retransmits",
            format!(
                "{again} of {sent} segments ({:.2} %) were retransmitted",
                100.0 * float(again) / float(sent)
            ),
            "look for drops along the path (ethtool -S, tc -s qdisc, softnet), or pace with -b",
        );
    }
}
