//! What about the window, the clocks and the schedule makes figures doubtful.

use super::{Doubt, RunEvidence, doubt};
use crate::result::span::float;
use crate::result::wording::length;
use crate::units::time_text;

/// Windows below this are short for counters that move in ticks, in seconds.
const SHORT_WINDOW_SECONDS: f64 = 1.0;
/// Two ends' windows may differ by this share.
const MIN_UNALIGNED_SHARE: f64 = 0.01;
/// Time between two payloads of a stream that is told, as a share of the window.
const COARSE_SHARE: f64 = 0.05;
/// A message that waits in a queue comes late by about a round trip; a client's retransmission of
/// it adds some.
const MAX_LATE_ROUND_TRIPS: f64 = 4.0;
/// Start skew that is told, in microseconds and as a share of the window.
const SKEW_US: f64 = 5_000.0;
const SKEW_SHARE: f64 = 0.01;
/// Transactions below which not even p99 has ten values above it.
const FEW_SAMPLES: u64 = 1_000;
/// Late sends that an open-loop schedule may have, as a share of those due.
const LATE_SHARE: f64 = 0.01;

pub(super) fn short_window(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let window = seen.run.window.as_ref();
    let window = window.filter(|window| window.seconds < SHORT_WINDOW_SECONDS)?;
    let error = seen.run.cpu.named().into_iter().filter_map(|(_, cpu)| cpu.as_ref());
    let error = error.map(|cpu| cpu.resolution_cores).reduce(f64::max);
    let error = error.map_or_else(String::new, |cores| {
        format!(": CPU figures move in clock ticks and may be off by {cores:.2} cores")
    });
    let text = format!("the window lasted {}{error}", length(window.seconds));
    doubt(text, "measure for a second or longer (-t)")
}

pub(super) fn unaligned_windows(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let (client, server) = (seen.spans.client?.seconds, seen.spans.server?.seconds);
    let difference = (client - server).abs() / client.max(server);
    if difference <= MIN_UNALIGNED_SHARE {
        return None;
    }
    if server < client && !seen.run.errors.is_empty() {
        let (server, client) = (length(server), length(client));
        return doubt(
            format!(
                "the server's counts end after {server} of {client}: what it received, and its \
                 CPU, are of that part alone"
            ),
            "see errors; repeat the run for figures of the whole window",
        );
    }
    let text = format!(
        "the client's window lasted {client:.3} s, the server's {server:.3} s: {:.1} % apart",
        100.0 * difference
    );
    let rtt_us = seen.run.intervals.iter().filter_map(|interval| interval.rtt_us).max();
    let rtt_us = rtt_us.max(seen.run.streams.iter().filter_map(|stream| stream.rtt_us).max());
    let late_seconds = MAX_LATE_ROUND_TRIPS * f64::from(rtt_us.unwrap_or(0)) / 1e6;
    if (client - server).abs() <= late_seconds {
        return doubt(
            format!(
                "{text}; the message that opens or closes the server's waited in the path's queue \
                 (round trip up to {})",
                time_text(f64::from(rtt_us.unwrap_or(0)))
            ),
            "each end's rates are over its own window and hold; measure for longer (-t)",
        );
    }
    doubt(text, "if the run broke off, repeat it; if not, compare the two machines' clocks")
}

pub(super) fn coarse_rate(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let plan = &seen.run.plan;
    if plan.workload.transacts() {
        return None;
    }
    let window = seen.run.window.as_ref()?.seconds;
    let ends = seen.run.streams.iter().flat_map(|own| own.tcp.named());
    let segment_bytes = ends.filter_map(|(_, tcp)| tcp.as_ref().map(|tcp| tcp.mss_bytes)).max();
    let gap = plan.payload_gap(segment_bytes.unwrap_or(0)).as_secs_f64();
    if gap <= COARSE_SHARE * window {
        return None;
    }
    let (share, gap) = (100.0 * gap / window, length(gap));
    doubt(
        format!(
            "at the rate asked for, {gap} pass between two payloads of a stream: goodput moves in \
             steps of {share:.0} % over this window"
        ),
        "measure for longer (-t), or ask for more (-b)",
    )
}

pub(super) fn start_skew(seen: &RunEvidence<'_>) -> Option<Doubt> {
    // An open-loop schedule spreads the first requests on purpose.
    if seen.run.plan.workload.is_scheduled() {
        return None;
    }
    let window = seen.run.window.as_ref()?;
    let allowed_us = SKEW_US.min(SKEW_SHARE * window.seconds * 1e6);
    let skew_us = window.start_skew_us.filter(|skew_us| *skew_us > allowed_us)?;
    let covered = if skew_us <= window.warm_up_seconds * 1e6 {
        "inside the warm-up"
    } else {
        "longer than the warm-up, so some streams started inside the window"
    };
    doubt(
        format!(
            "the flows' first payloads lie {:.3} ms apart, {covered} of {:.3} s",
            skew_us / 1e3,
            window.warm_up_seconds
        ),
        "use fewer flows or more CPUs, or a warm-up (-O) well above the skew",
    )
}

pub(super) fn few_samples(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let count = seen.run.transactions.as_ref()?.count;
    if count >= FEW_SAMPLES {
        return None;
    }
    doubt(
        format!(
            "only {count} transactions: percentiles with fewer than ten values above them (p99 and \
             beyond) are not stated"
        ),
        "measure for longer (-t)",
    )
}

pub(super) fn schedule_late(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let schedule = seen.run.schedule.as_ref().filter(|schedule| schedule.due > 0)?;
    let share = float(schedule.late) / float(schedule.due);
    if share <= LATE_SHARE {
        return None;
    }
    let (sends, who, remedy) = if seen.run.plan.workload.transacts() {
        ("requests", "the client", "lower --rate, or use more flows (-P) or workers (--workers)")
    } else {
        ("sends", "the sender", "lower -b, or give its workers CPUs of their own (--pin)")
    };
    let behind = float(schedule.unfinished) > LATE_SHARE * float(schedule.due);
    let kept = if behind {
        "did not keep the rate"
    } else {
        "kept the rate on average and caught up in bursts"
    };
    doubt(
        format!(
            "{} of {} {sends} ({:.1} %) were sent more than 100 µs after they were due, the latest \
             by {:.3} ms: {who} {kept}",
            schedule.late,
            schedule.due,
            100.0 * share,
            float(schedule.max_lateness_ns) / 1e6
        ),
        remedy,
    )
}

pub(super) fn unfinished_sends(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let schedule = seen.run.schedule.as_ref()?;
    // A send or two a flow may fall due between the last look and the window's close.
    let allowed = 2 * u64::from(seen.run.plan.connections());
    if seen.run.plan.workload.transacts() || schedule.unfinished <= allowed {
        return None;
    }
    doubt(
        format!(
            "{} of {} due sends had not gone out when the window closed: the sender did not reach \
             the rate",
            schedule.unfinished, schedule.due
        ),
        "lower -b, use --gso on, or give its workers CPUs of their own (--pin)",
    )
}

pub(super) fn unfinished_requests(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let schedule = seen.run.schedule.as_ref().filter(|schedule| schedule.unfinished > 0)?;
    if !seen.run.plan.workload.transacts() {
        return None;
    }
    doubt(
        format!(
            "{} of {} due requests had not completed when the window closed: the slowest are \
             missing from the histogram",
            schedule.unfinished, schedule.due
        ),
        "read high percentiles as lower bounds; lower --rate or measure for longer",
    )
}
