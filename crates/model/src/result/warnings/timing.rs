//! What about the window, the clocks and the schedule makes figures doubtful.

use super::{RunCheck, RunEvidence, warn};
use crate::result::run::Warning;
use crate::result::span::float;

pub(super) const CHECKS: &[RunCheck] =
    &[short_window, unaligned_windows, start_skew, few_samples, schedule_late, unfinished_requests];

/// Windows below this are short for counters that move in ticks, in seconds.
const SHORT_WINDOW_SECONDS: f64 = 1.0;
/// Two ends' windows may differ by this share.
const MIN_UNALIGNED_SHARE: f64 = 0.01;
/// Start skew that is told, in microseconds and as a share of the window.
const SKEW_US: f64 = 5_000.0;
const SKEW_SHARE: f64 = 0.01;
/// Transactions below which not even p99 has ten values above it.
const FEW_SAMPLES: u64 = 1_000;
/// Late sends that an open-loop schedule may have, as a share of those due.
const LATE_SHARE: f64 = 0.01;

fn short_window(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let Some(window) =
        seen.run.window.as_ref().filter(|window| window.seconds < SHORT_WINDOW_SECONDS)
    else {
        return;
    };
    let error = seen.run.cpu.named().into_iter().filter_map(|(_, cpu)| cpu.as_ref());
    let error = error.map(|cpu| cpu.resolution_cores).reduce(f64::max);
    let error = error.map_or_else(String::new, |cores| {
        format!(": CPU figures move in clock ticks and may be off by {cores:.2} cores")
    });
    warn(
        found,
        "short_window",
        format!("the window lasted {:.3} s{error}", window.seconds),
        "measure for a second or longer (-t)",
    );
}

fn unaligned_windows(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let (Some(client), Some(server)) = (seen.spans.client, seen.spans.server) else { return };
    let difference = (client.seconds - server.seconds).abs() / client.seconds.max(server.seconds);
    if difference > MIN_UNALIGNED_SHARE {
        warn(
            found,
            "unaligned_windows",
            format!(
                "the client's window lasted {:.3} s, the server's {:.3} s: {:.1} % apart",
                client.seconds,
                server.seconds,
                100.0 * difference
            ),
            "if the run broke off, repeat it; if not, compare the two machines' clocks",
        );
    }
}

fn start_skew(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    // An open-loop schedule spreads the first requests on purpose.
    if seen.run.plan.workload.is_scheduled() {
        return;
    }
    let Some(window) = &seen.run.window else { return };
    let allowed_us = SKEW_US.min(SKEW_SHARE * window.seconds * 1e6);
    let Some(skew_us) = window.start_skew_us.filter(|skew_us| *skew_us > allowed_us) else {
        return;
    };
    let covered = if skew_us <= window.warm_up_seconds * 1e6 {
        "inside the warm-up"
    } else {
        "longer than the warm-up, so some streams started inside the window"
    };
    warn(
        found,
        "start_skew",
        format!(
            "the flows' first payloads lie {:.3} ms apart, {covered} of {:.3} s",
            skew_us / 1e3,
            window.warm_up_seconds
        ),
        "use fewer flows or more CPUs, or a warm-up (-O) well above the skew",
    );
}

fn few_samples(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let Some(transactions) = &seen.run.transactions else { return };
    if transactions.count < FEW_SAMPLES {
        warn(
            found,
            "few_samples",
            format!(
                "only {} transactions: percentiles with fewer than ten values above them (p99 and \
                 beyond) are not stated",
                transactions.count
            ),
            "measure for longer (-t)",
        );
    }
}

fn schedule_late(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let schedule = seen.run.schedule.as_ref().filter(|schedule| schedule.due > 0);
    let Some(schedule) = schedule else { return };
    let share = float(schedule.late) / float(schedule.due);
    if share > LATE_SHARE {
        let (sends, who, remedy) = if seen.run.plan.workload.transacts() {
            (
                "requests",
                "the client",
                "lower --rate, or use more flows (-P) or workers (--workers)",
            )
        } else {
            ("sends", "the sender", "lower -b, or give its workers CPUs of their own (--pin)")
        };
        warn(
            found,
            "schedule_late",
            format!(
                "{} of {} {sends} ({:.1} %) were sent more than 100 µs after they were due, the \
                 latest by {:.3} ms: {who} did not keep the rate",
                schedule.late,
                schedule.due,
                100.0 * share,
                float(schedule.max_lateness_ns) / 1e6
            ),
            remedy,
        );
    }
}

fn unfinished_requests(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let schedule = seen.run.schedule.as_ref().filter(|schedule| schedule.unfinished > 0);
    let Some(schedule) = schedule else { return };
    if !seen.run.plan.workload.transacts() {
        // A send or two a flow may fall due between the last look and the window's close.
        let allowed = 2 * u64::from(seen.run.plan.connections());
        if schedule.unfinished > allowed {
            warn(
                found,
                "unfinished_sends",
                format!(
                    "{} of {} due sends had not gone out when the window closed: the sender did \
                     not reach the rate",
                    schedule.unfinished, schedule.due
                ),
                "lower -b, use --gso on, or give its workers CPUs of their own (--pin)",
            );
        }
        return;
    }
    warn(
        found,
        "unfinished_requests",
        format!(
            "{} of {} due requests had not completed when the window closed: the slowest are \
             missing from the histogram",
            schedule.unfinished, schedule.due
        ),
        "read high percentiles as lower bounds; lower --rate or measure for longer",
    );
}
