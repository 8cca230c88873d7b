//! A search for people: the answer first, in at most 80 columns.

use std::io::{self, Write};

use crate::text::layout::{figures_within, maybe, number, paragraphs_within};
use crate::text::{bound, row, size, way};
use podperf_model::plan::{Role, StopCondition};
use podperf_model::result::cluster::Estimate;
use podperf_model::result::run::{Bound, Status};
use podperf_model::result::saturation::{
    CurvePoint, LinkSource, LoadedLatency, Saturation, SaturationOutcome, StreamsBound,
    StreamsNeeded,
};
use podperf_model::result::wording::count;
use podperf_model::units::{rate_text, rate_unit, time_text};

/// Widest line, in columns: a terminal that nobody has widened.
const WIDTH_CHARS: u16 = 80;

/// Writes `document` as text.
///
/// # Errors
/// Those of `out`.
pub fn render(document: &Saturation, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", paragraphs_within(WIDTH_CHARS, &head(document)))?;
    if !document.curve.is_empty() {
        writeln!(out, "\n{}", curve(document))?;
    }
    writeln!(out, "\n{}", paragraphs_within(WIDTH_CHARS, &rest(document)))
}

fn head(document: &Saturation) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    if document.status == Status::Incomplete {
        let measured = if document.curve.is_empty() { "nothing" } else { "a part" };
        rows.push(row("status", format!("INCOMPLETE: {measured} was measured")));
    }
    rows.push(row("result", result(document)));
    rows.extend(document.bound.as_ref().map(|bound| row("bound by", bound_by(bound))));
    if let [Some(n90), Some(n95), Some(n99)] = [document.n90, document.n95, document.n99] {
        let shares = [(90, n90), (95, n95), (99, n99)];
        let shares = shares.map(|(percent, needed)| format!("{percent} %: {}", streams(&needed)));
        rows.push(row("reached", format!("{} (95 % intervals)", shares.join(", "))));
    }
    rows.extend(cost(document).map(|text| row("cost", text)));
    rows.extend(latency(document).map(|text| row("latency", text)));
    rows
}

/// The answer in one sentence.
fn result(document: &Saturation) -> String {
    let of_link = document.link.and_then(|link| {
        let share = number(100.0 * link.goodput_share?, 0);
        Some(format!(", {share} % of the link's {}", rate_text(link.bits_per_second)))
    });
    match (document.outcome, document.n95, &document.plateau_bits_per_second) {
        (SaturationOutcome::Saturates, Some(n95), Some(plateau)) => {
            let verb = if n95.streams == 1 { "fills" } else { "fill" };
            format!(
                "{} {verb} this path{}: more carry no more than {}{}",
                streams(&n95),
                of_link.unwrap_or_default(),
                rate_text(plateau.mean),
                interval(plateau)
            )
        }
        (SaturationOutcome::NoPlateau, ..) => format!("no plateau: {}", document.reason),
        _ => format!("not shown: {}", document.reason),
    }
}

/// "4 streams", with its interval where that is wider.
fn streams(needed: &StreamsNeeded) -> String {
    let own = count(needed.streams, "stream");
    match (needed.low, needed.high) {
        (Some(low), Some(high)) if low < high => format!("{own} ({low} to {high})"),
        _ => own,
    }
}

fn interval(estimate: &Estimate) -> String {
    let ends = estimate.low.zip(estimate.high);
    ends.map_or_else(String::new, |(low, high)| {
        let (unit, divisor) = rate_unit(estimate.mean);
        format!(" ({} to {} {unit})", number(low / divisor, 3), number(high / divisor, 3))
    })
}

fn bound_by(own: &StreamsBound) -> String {
    let counts: Vec<String> = own.streams.iter().map(u32::to_string).collect();
    format!(
        "{}, in {} of {} with {} streams: {}",
        words(own.bound_by, own.cpus_full),
        own.runs,
        count(own.of_runs, "run"),
        counts.join(", "),
        own.evidence.join("; ")
    )
}

/// Where to look.
fn words(by: Bound, cpus_full: bool) -> String {
    let name = bound(by);
    match by {
        Bound::Link | Bound::Path | Bound::Loss => format!("the network ({name})"),
        Bound::SenderCpu | Bound::ReceiverCpu | Bound::SoftirqCore => format!("the CPU ({name})"),
        Bound::Unclear if cpus_full => "the CPU (of which end is unclear)".to_owned(),
        Bound::Unclear => name.to_owned(),
        _ => format!("the {name}"),
    }
}

/// Cores for each Gbit/s with one stream and with the answer.
fn cost(document: &Saturation) -> Option<String> {
    let answer = document.n95.map(|needed| needed.streams)?;
    let at = |streams: u32| document.curve.iter().find(|point| point.streams == streams);
    let of = |role: Role| {
        let each = |streams| at(streams)?.cpu.get(role).as_ref()?.cores_per_gbit;
        let one = each(1)?;
        let (one, more) = (number(one, 3), number(each(answer)?, 3));
        Some(if answer == 1 { one } else { format!("{one} with 1 stream, {more} with {answer}") })
    };
    let (client, server) = (of(Role::Client)?, of(Role::Server)?);
    Some(format!("cores per Gbit/s: client {client}; server {server}"))
}

fn latency(document: &Saturation) -> Option<String> {
    let of = |own: &LoadedLatency, when: String| {
        // Of few transactions the last hundredth is not known.
        let tails = [("p99", own.latency.p99), ("p90", own.latency.p90)];
        let tail = tails.iter().find_map(|(name, time)| Some((name, (*time)?)));
        let tail = tail.map(|(name, time)| format!(" ({name} {})", nanoseconds(time)));
        let median = nanoseconds(own.latency.p50?);
        Some(format!("{when} {median}{}", tail.unwrap_or_default()))
    };
    let idle = document.latency.idle.as_ref().and_then(|own| of(own, "idle".to_owned()));
    let beside = |own: &LoadedLatency| format!("beside {}", count(own.load_streams, "stream"));
    let loaded = document.latency.at_n95.as_ref().and_then(|own| of(own, beside(own)));
    let known: Vec<String> = idle.into_iter().chain(loaded).collect();
    (!known.is_empty()).then(|| format!("median {}", known.join(", ")))
}

#[expect(clippy::cast_precision_loss, reason = "it is rounded")]
fn nanoseconds(time: u64) -> String {
    time_text(time as f64 / 1e3)
}

fn curve(document: &Saturation) -> String {
    let most = document.curve.iter().map(|point| point.goodput_bits_per_second.mean);
    let most = most.fold(0.0, f64::max);
    let (unit, divisor) = rate_unit(most);
    let header = [
        "streams",
        &format!("goodput\n{unit}"),
        &format!("95 % interval\n{unit}"),
        "of the\nmost, %",
        "resent\nper GB",
        "client\ncores per",
        "server\nGbit/s",
        "samples",
    ];
    let line = |point: &CurvePoint| {
        let Estimate { mean, low, high, samples } = point.goodput_bits_per_second;
        let ends = low.zip(high).map_or_else(
            || "-".to_owned(),
            |(low, high)| format!("{}–{}", number(low / divisor, 3), number(high / divisor, 3)),
        );
        let cores = |role| point.cpu.get(role).as_ref().and_then(|cpu| cpu.cores_per_gbit);
        vec![
            point.streams.to_string(),
            number(mean / divisor, 3),
            ends,
            number(100.0 * mean / most, 1),
            maybe(point.retransmitted_segments_per_gb, 1),
            maybe(cores(Role::Client), 3),
            maybe(cores(Role::Server), 3),
            samples.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = document.curve.iter().map(line).collect();
    figures_within(WIDTH_CHARS, &header, &rows)
}

/// What was asked for, how it went, and what to doubt.
fn rest(document: &Saturation) -> Vec<(String, String)> {
    let Saturation { plan, search, target, .. } = document;
    let length = plan.workload.stream().map_or(0, |stream| stream.message_bytes.0);
    let mut rows = vec![
        row(
            "podperf",
            format!(
                "TCP streams {}, {} messages, to {target}",
                way(search.direction),
                size(podperf_model::units::Bytes(length))
            ),
        ),
        row("search", search_line(document)),
    ];
    if let Some(link) = document.link {
        let source = match link.source {
            LinkSource::Given => "as given",
            LinkSource::Device => "the slower device of both ends",
        };
        rows.push(row("link", format!("{}, {source}", rate_text(link.bits_per_second))));
    }
    rows.extend(document.warnings.iter().map(|warning| {
        row("warning", format!("{}: {}. Remedy: {}", warning.code, warning.text, warning.remedy))
    }));
    rows.extend(document.errors.iter().map(|error| row("error", error.to_string())));
    rows
}

fn search_line(document: &Saturation) -> String {
    let asked = match document.plan.stop_condition {
        StopCondition::Time { window } => Some(window.as_secs_f64()),
        StopCondition::Bytes { .. } | StopCondition::Transactions { .. } => None,
    };
    let windows = document.samples.iter().filter_map(|sample| sample.window_seconds);
    let windows = windows.reduce(f64::max).or(asked);
    let samples = u32::try_from(document.samples.len()).unwrap_or(u32::MAX);
    format!(
        "{} of {} s after {} s of warm-up, in {} s; up to {} streams; tolerance {} %; started {}",
        count(samples, "sample"),
        maybe(windows, 2),
        number(document.plan.warm_up.as_secs_f64(), 3),
        number(document.seconds, 1),
        document.search.max_streams,
        number(100.0 * document.search.tolerance_share, 1),
        document.started_at
    )
}

#[cfg(test)]
mod tests;
