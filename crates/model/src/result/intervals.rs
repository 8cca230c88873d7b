//! Readings between the window's edges: one [`Interval`] from two readings of each end.
//!
//! The same function feeds the live line and the document. The ends read on their own schedules;
//! their intervals are matched by time since each end's window opened.

use std::ops::Range;

use crate::plan::{Plan, Role};
use crate::reading::Reading;
use crate::result::cpu;
use crate::result::run::{Ends, Interval};
use crate::result::span::{EndSpans, Span, float, seconds};
use crate::result::udp;

/// An interval shorter than this share of what was asked for is a partial one.
const MIN_WHOLE_SHARE: f64 = 0.95;

/// One interval from an end's readings at its start and its end. `opened_ns` is when the window
/// opened: `at_ns` of the first sample of the client, or of the server where the client's pair is
/// missing. A pair between which no time passed counts as missing.
#[must_use]
pub fn interval(
    plan: &Plan,
    client: Option<(&Reading, &Reading)>,
    server: Option<(&Reading, &Reading)>,
    opened_ns: u64,
) -> Interval {
    let span = |(first, last)| Span::between(first, last);
    let spans = EndSpans { plan, client: client.and_then(span), server: server.and_then(span) };
    let Some(clock) = spans.client.or(spans.server) else {
        return Interval::default();
    };
    let since_opening = |reading: &Reading| seconds(reading.at_ns.saturating_sub(opened_ns));
    let goodput = |flows: Range<u32>| {
        let received = |to| Some(spans.all_received(to, flows.clone())?.amount.bits_per_second);
        [Role::Server, Role::Client].into_iter().filter_map(received).reduce(|a, b| a + b)
    };
    let tcp = || spans.flows().filter_map(|id| spans.end(spans.reporting_end(id))?.flow(id)?.1.tcp);
    let done = spans.flows().filter_map(|id| spans.transactions(id));
    let done = done.reduce(|(count, sum), (more, longer)| {
        (count.saturating_add(more), sum.saturating_add(longer))
    });
    let (datagrams_lost, jitter_us) = udp::interval(&spans);
    Interval {
        start_seconds: since_opening(clock.first),
        end_seconds: since_opening(clock.last),
        partial: clock.seconds < MIN_WHOLE_SHARE * plan.interval.as_secs_f64(),
        bits_per_second: goodput(spans.measured()),
        load_bits_per_second: goodput(spans.load()),
        sent_bits_per_second: spans.all_sent(spans.measured()).map(|sent| sent.bits_per_second),
        stream_bits_per_second: spans
            .flows()
            .map(|id| Some(spans.flow_received(id)?.amount.bits_per_second))
            .collect(),
        retransmits: spans.total(spans.flows(), EndSpans::retransmits),
        rtt_us: tcp().map(|tcp| tcp.rtt_us).max(),
        cwnd_bytes: tcp()
            .map(|tcp| u64::from(tcp.cwnd_segments) * u64::from(tcp.mss_bytes))
            .reduce(u64::saturating_add),
        transactions_per_second: done.map(|(count, _)| float(count) / clock.seconds),
        latency_mean_ns: done
            .filter(|(count, _)| *count > 0)
            .map(|(count, sum)| float(sum) / float(count)),
        datagrams_lost,
        jitter_us,
        cpu: Ends::of(|role| spans.end(role).and_then(cpu::interval)),
    }
}

/// All intervals of two ends' samples, by the client's readings; by the server's when the client
/// has no two.
#[must_use]
pub fn intervals(plan: &Plan, client: &[Reading], server: &[Reading]) -> Vec<Interval> {
    if plan.interval.is_zero() {
        return Vec::new();
    }
    let opened_ns = |readings: &[Reading]| readings.first().map_or(0, |reading| reading.at_ns);
    let mut server_pairs = pairs(server).peekable();
    if client.len() < 2 {
        return server_pairs
            .map(|pair| interval(plan, None, Some(pair), opened_ns(server)))
            .collect();
    }
    let start = |pair: &ReadingPair<'_>, readings| pair.0.at_ns.saturating_sub(opened_ns(readings));
    pairs(client)
        .map(|pair| {
            // Half an interval's slack: nearer to this one's start than to its neighbours'.
            let slack = pair.1.at_ns.saturating_sub(pair.0.at_ns) / 2;
            let here = start(&pair, client);
            while server_pairs
                .next_if(|other| start(other, server).saturating_add(slack) < here)
                .is_some()
            {}
            let other =
                server_pairs.next_if(|other| start(other, server) <= here.saturating_add(slack));
            interval(plan, Some(pair), other, opened_ns(client))
        })
        .collect()
}

pub(super) type ReadingPair<'a> = (&'a Reading, &'a Reading);

/// Neighbouring readings between which time passed.
pub(super) fn pairs(readings: &[Reading]) -> impl Iterator<Item = ReadingPair<'_>> {
    readings.iter().zip(readings.iter().skip(1)).filter(|(first, last)| last.at_ns > first.at_ns)
}
