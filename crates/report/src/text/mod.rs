//! A run for people: tables of at most 120 columns with units in their headers, the verdict, the
//! warnings with their remedies, and what went wrong.

mod calibration;
pub(super) mod layout;
mod tables;
mod transports;
mod udp;

use std::io::{self, Write};

pub use calibration::render as render_calibration;
use layout::{number, paragraphs};
use podperf_model::error::Error;
use podperf_model::facts::HostFacts;
use podperf_model::plan::{CrrPlan, Direction, Plan, RrPlan, StreamPlan, Wait, Workload};
use podperf_model::result::run::{
    Between, Bound, Ceiling, Connections, PlacementFacts, Run, Status, Warning, Window,
};
use podperf_model::result::wording::{count, length};
use podperf_model::units::{Bytes, float, rate_text as rate};

/// A server that counted for less of the window is told to have done so.
const MIN_COUNTED_SHARE: f64 = 0.95;

/// Writes `run` to `out`.
///
/// # Errors
/// Those of `out`.
pub fn render(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", paragraphs(&head(run)))?;
    let tables = [
        udp::datagrams(run).or_else(|| tables::streams(run)),
        tables::latency(run),
        tables::cpu(run),
    ];
    for table in tables.into_iter().flatten() {
        writeln!(out, "\n{table}")?;
    }
    let ends = [ends(run), transports::rows(run)].concat();
    if !ends.is_empty() {
        writeln!(out, "\n{}", paragraphs(&ends))?;
    }
    writeln!(out, "\n{}", paragraphs(&judgement(run)))
}

pub(super) fn row(label: &str, text: String) -> (String, String) {
    (label.to_owned(), text)
}

/// What was measured, where, and the headline.
fn head(run: &Run) -> Vec<(String, String)> {
    let mut rows = vec![row("podperf", format!("{}, to {}", plan(&run.plan), run.target))];
    if let Some(window) = &run.window {
        rows.push(row("window", self::window(window)));
    }
    let changes = run.between.as_ref().and_then(Between::changes);
    rows.extend(changes.map(|changes| row("between", changes)));
    let state = match run.status {
        Status::Complete => "complete",
        Status::Incomplete if run.is_measured() => "INCOMPLETE: a part was measured",
        Status::Incomplete => "INCOMPLETE: nothing was measured",
    };
    rows.push(row("status", format!("{state}; started {}", run.started_at)));
    if let Some(throughput) = &run.throughput {
        let mut text = format!("{} received", rate(throughput.bits_per_second));
        if let Some(part) = counted_part(run) {
            text.push_str(&part);
        }
        if throughput.from_sender {
            text.push_str(" (acknowledged to the sender)");
        }
        if let Some(sent) = throughput.sent_bits_per_second {
            text.push_str(&format!(", {} sent", rate(sent)));
        }
        if let Some(retransmits) = throughput.retransmits {
            text.push_str(&format!(", {retransmits} retransmits"));
        }
        if let Some(fairness) = run.fairness.filter(|_| run.streams.len() > 1) {
            text.push_str(&format!(", fairness {}", number(fairness, 3)));
        }
        rows.push(row("goodput", text));
    }
    if let Some(load) = &run.load {
        let mut text = format!("{} received", rate(load.bits_per_second));
        if let Some(retransmits) = load.retransmits {
            text.push_str(&format!(", {retransmits} retransmits"));
        }
        rows.push(row("load", text));
    }
    if let Some(transactions) = &run.transactions {
        let per_second = number(transactions.per_second, 1);
        rows.push(row(
            "transactions",
            format!("{per_second} per second, {} in all", transactions.count),
        ));
    }
    rows.extend(run.connections.as_ref().map(|all| row("connections", connections(all))));
    rows.extend(udp::loss(run).map(|text| row("datagrams", text)));
    rows
}

/// Of a server that was lost: over which part of the window it counted.
fn counted_part(run: &Run) -> Option<String> {
    let Window { seconds, server_seconds, .. } = run.window.as_ref()?;
    let counted = server_seconds.filter(|counted| *counted < MIN_COUNTED_SHARE * seconds)?;
    let receives = run.throughput.as_ref()?.up_bits_per_second.is_some();
    (receives && run.status == Status::Incomplete)
        .then(|| format!(" in the first {} of {}", length(counted), length(*seconds)))
}

/// What became of connections that do not last; over the whole run, warm-up included.
fn connections(all: &Connections) -> String {
    let known =
        |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    let ends = [("client", "opened", &all.client), ("server", "served", &all.server)];
    let told = ends.into_iter().filter_map(|(end, did, uses)| {
        let uses = uses.as_ref()?;
        let mut text = format!("{end} {did} {}", uses.connections);
        for (count, what) in [
            (uses.no_port, "found no port"),
            (uses.failed, "failed to connect"),
            (uses.syn_retransmits, "SYNs sent again"),
            (uses.foreign, "from other hosts"),
            (uses.broken, "broke off"),
            (uses.held, "kept a worker waiting"),
        ] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        let (before, after) = (known(uses.time_wait_before), known(uses.time_wait_after));
        text.push_str(&format!(", {before} in TIME-WAIT before and {after} after"));
        Some(text)
    });
    told.collect::<Vec<_>>().join("; ")
}

fn plan(plan: &Plan) -> String {
    let flows = plan.flows;
    match &plan.workload {
        Workload::Udp(own) => udp::stream(own, flows),
        Workload::UdpRr(own) => udp::exchange(own, flows),
        Workload::Stream(StreamPlan { direction, message_bytes, .. }) => {
            let way = way(*direction);
            format!("TCP, {} {way}, {} messages", count(flows, "stream"), size(*message_bytes))
        }
        Workload::Rr(rr) => {
            let RrPlan { request_bytes, response_bytes, burst, rate_per_second, load, .. } = rr;
            let pace = pace(*rate_per_second);
            let load = load.as_ref().map_or_else(String::new, |load| {
                let way = way(load.stream.direction);
                format!(", beside a load of {} {way}", count(load.streams, "stream"))
            });
            format!(
                "TCP request/response, {}, {} requests, {} responses, {burst} in flight on each, \
                 {pace}{load}",
                count(flows, "flow"),
                size(*request_bytes),
                size(*response_bytes)
            )
        }
        Workload::Crr(CrrPlan { request_bytes, response_bytes, rate_per_second, close }) => {
            format!(
                "TCP connect/request/response, {}, {} requests, {} responses, close by {}, {}",
                count(flows, "flow"),
                size(*request_bytes),
                size(*response_bytes),
                close.name(),
                pace(*rate_per_second)
            )
        }
    }
}

fn pace(rate_per_second: Option<f64>) -> String {
    rate_per_second.map_or_else(
        || "closed loop".to_owned(),
        |rate| format!("open loop at {} per second", number(rate, 1)),
    )
}

/// Which way streams go.
pub(super) const fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "up (client to server)",
        Direction::Down => "down (server to client)",
        Direction::Both => "each way at once",
    }
}

fn window(window: &Window) -> String {
    let mut text = length(window.seconds);
    if let Some(seconds) = window.server_seconds {
        text.push_str(&format!(" (server's clock {})", length(seconds)));
    }
    text.push_str(&format!(" after {} s of warm-up", number(window.warm_up_seconds, 3)));
    if let Some(skew_us) = window.start_skew_us {
        text.push_str(&format!(", start skew {} µs", number(skew_us, 1)));
    }
    text
}

/// Memory sizes in powers of 2^10, where that is exact.
pub(super) fn size(bytes: Bytes) -> String {
    match bytes.0 {
        bytes if bytes > 0 && bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        bytes if bytes > 0 && bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} B"),
    }
}

/// Where each end ran.
fn ends(run: &Run) -> Vec<(String, String)> {
    let hosts = run.host.named().into_iter().zip(run.placement.named());
    let known = hosts.filter_map(|((end, host), (_, placement))| {
        Some(row(end, place(host.as_ref()?, placement.as_ref())))
    });
    known.collect()
}

/// An end: its host, and where its workers ran.
pub(crate) fn place(host: &HostFacts, placement: Option<&PlacementFacts>) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(host.hostname.clone());
    parts.extend(host.kernel.as_ref().map(|kernel| format!("Linux {kernel}")));
    parts.extend(host.cpu_model.clone());
    let allowed = host.cpus_allowed.len();
    parts.extend(host.cpus_online.map(|cpus| format!("{allowed} of {cpus} CPUs allowed")));
    if let Some(placement) = placement {
        let pinned: Vec<String> =
            placement.pinned_cpus.iter().flatten().take(16).map(u32::to_string).collect();
        let multiplexing: Vec<_> = placement.multiplexing.iter().map(|way| way.name()).collect();
        let pinned = if pinned.is_empty() { "not".to_owned() } else { pinned.join(",") };
        let wait = match placement.wait {
            Wait::Block => String::new(),
            wait => format!(", waiting by {wait}"),
        };
        let steered = placement.steered.map_or_else(String::new, |steered| {
            format!(", {} on the CPU of its packets", count(steered, "flow"))
        });
        parts.push(format!(
            "{}, {}{wait}, pinned: {pinned} ({}){steered}",
            count(placement.workers, "worker"),
            multiplexing.join(" and "),
            placement.reason
        ));
    }
    if let Some(device) = &host.device {
        let mut text = device.name.clone();
        text.extend(device.driver.iter().map(|driver| format!(" ({driver})")));
        text.extend(device.mtu_bytes.map(|mtu| format!(" MTU {mtu} B")));
        text.extend(device.speed_bits_per_second.map(|speed| format!(" {}", rate(float(speed)))));
        parts.push(text);
    }
    parts.extend(
        host.container
            .as_ref()
            .filter(|container| container.contained)
            .map(|container| format!("container ({})", container.evidence)),
    );
    parts.join("; ")
}

/// Verdict, warnings and errors.
fn judgement(run: &Run) -> Vec<(String, String)> {
    let evidence = run.verdict.evidence.join("; ");
    let mut rows: Vec<_> = run.ceiling.iter().map(|own| row("ceiling", ceiling(own))).collect();
    rows.extend(run.no_ceiling.iter().map(|reason| row("ceiling", format!("none: {reason}"))));
    rows.push(row("bound by", format!("{}: {evidence}", bound(run.verdict.bound_by))));
    let warning = |warning: &Warning| {
        row("warning", format!("{}: {}. Remedy: {}", warning.code, warning.text, warning.remedy))
    };
    rows.extend(run.warnings.iter().map(warning));
    rows.extend(run.errors.iter().map(|error: &Error| row("error", error.to_string())));
    rows
}

/// How close the run came to podperf's own.
fn ceiling(own: &Ceiling) -> String {
    let share = number(100.0 * own.share, 0);
    let loopback = match (own.bits_per_second, own.latency_p50_ns) {
        (Some(bits_per_second), _) => rate(bits_per_second),
        (_, Some(floor_ns)) => format!("{} µs", number(float(floor_ns) / 1e3, 1)),
        _ => "?".to_owned(),
    };
    format!("{share} % of podperf's {loopback} over loopback ({})", own.figure)
}

pub(super) const fn bound(bound: Bound) -> &'static str {
    match bound {
        Bound::Link => "link",
        Bound::Pacing => "pacing",
        Bound::OfferedRate => "offered rate",
        Bound::RoundTrip => "round trip",
        Bound::SenderCpu => "sender CPU",
        Bound::ReceiverCpu => "receiver CPU",
        Bound::SoftirqCore => "one softirq core",
        Bound::ReceiveWindow => "receive window",
        Bound::SendBuffer => "send buffer",
        Bound::CpuQuota => "CPU quota",
        Bound::Loss => "loss",
        Bound::Path => "path",
        Bound::Generator => "generator",
        Bound::Unclear => "unclear",
    }
}

#[cfg(test)]
mod tests;
