//! One JSON document about a test: `--json`. Ours, not netperf's; every key says its unit.

use serde_json::{Value, json as value};

use super::banner::direction;
use super::extras::round_trip_us;
use super::view::{TestEnd, View};
use super::{Facts, Names};
use crate::figures::{CpuPercent, EndCounters, Figures, Interim};
use crate::options::Options;
use crate::test_kind::TestLength;
use podperf_model::latency::Latencies;
use podperf_model::result::allowed_cpus;

/// Names the document's keys and their meaning.
pub const SCHEMA: &str = "podperf.netperf/1";

/// Percentiles that are always there.
const PERCENTILES: [f64; 6] = [50.0, 90.0, 95.0, 99.0, 99.9, 99.99];

/// The document. Absent figures are null.
#[must_use]
pub fn json(options: &Options, figures: &Figures, facts: &Facts) -> Value {
    let view = View { options, figures, facts };
    let names: &Names = &facts.names;
    let transacts = options.shape.direction.transacts();
    let of_transactions = figures.latency.as_ref().filter(|_| transacts);
    value!({
        "schema": SCHEMA,
        "uuid": facts.uuid,
        "tag": options.brand,
        "options": asked(options),
        "elapsed_seconds": figures.elapsed_seconds,
        "throughput_bits_per_second": figures.bytes_per_second * 8.0,
        "transactions_per_second": figures.transactions_per_second,
        "round_trip_us": round_trip_us(&view),
        "lost_transactions": figures.local.counters.lost_transactions,
        "latency": of_transactions.map(|all| latency(all, &options.percentiles)),
        "mss_bytes": figures.mss_bytes,
        "local": end(&view, TestEnd::Local, &names.local_name, &names.local_address),
        "remote": end(&view, TestEnd::Remote, &names.remote_name, &names.remote_address),
        "confidence": confidence(&view),
        "interim": figures.interim.iter().map(|one| interim(options, one)).collect::<Vec<_>>(),
        "warnings": warnings(figures),
        "native": figures.native,
        "incomplete": figures.incomplete,
    })
}

fn interim(options: &Options, one: &Interim) -> Value {
    let transacts = options.shape.direction.transacts();
    let a_second = |count: u64| super::units::per(super::units::float(count), one.seconds);
    value!({
        "seconds": one.seconds,
        "end_unix_seconds": one.ending_seconds,
        "throughput_bits_per_second": a_second(one.bytes) * 8.0,
        "transactions_per_second": transacts.then(|| a_second(one.transactions)),
    })
}

/// What makes the figures doubtful: the text of each names its end.
fn warnings(figures: &Figures) -> Vec<Value> {
    let changed = figures.allowed_cpus().map(
        |text| value!({"code": allowed_cpus::CODE, "text": text, "remedy": allowed_cpus::REMEDY}),
    );
    changed.collect()
}

/// The document of a test without figures: what was asked for, and why there are none.
#[must_use]
pub fn failure(options: &Options, reason: &str) -> Value {
    value!({
        "schema": SCHEMA,
        "tag": options.brand,
        "options": asked(options),
        "elapsed_seconds": null,
        "throughput_bits_per_second": null,
        "incomplete": reason,
    })
}

/// The document of a command line that is not carried out.
#[must_use]
pub fn refusal(command_line: &str, reason: &str) -> Value {
    value!({
        "schema": SCHEMA,
        "tag": null,
        "options": {"command_line": command_line},
        "elapsed_seconds": null,
        "throughput_bits_per_second": null,
        "incomplete": reason,
    })
}

/// The options that were in force.
fn asked(options: &Options) -> Value {
    let data = &options.data;
    let shape = options.shape;
    let units = match options.length {
        TestLength::Units(units) => Some(units),
        TestLength::Time(_) | TestLength::UntilTold => None,
    };
    let transacts = shape.direction.transacts();
    value!({
        "command_line": options.command_line,
        "test": options.test.name(),
        "protocol": shape.protocol.name(),
        "direction": direction(shape.direction),
        "length_seconds": options.length.time().map(|time| time.as_secs()),
        "length_bytes": units.filter(|_| !transacts),
        "length_transactions": units.filter(|_| transacts),
        "settle_seconds": options.settle.as_secs_f64(),
        "streams": options.streams,
        "request_bytes": transacts.then_some(data.request_bytes),
        "response_bytes": transacts.then_some(data.response_bytes),
        "burst_requests": data.burst,
        "no_delay": data.no_delay,
        "receive_timeout_seconds": data.receive_timeout.map(|wait| wait.as_secs_f64()),
        "pacing_bytes_per_second": data.pacing_bytes_per_second,
        "local": asked_of_end(options, TestEnd::Local),
        "remote": asked_of_end(options, TestEnd::Remote),
    })
}

fn asked_of_end(options: &Options, side: TestEnd) -> Value {
    let data = &options.data;
    let buffers = side.of(&data.buffers);
    let pace = side.of(&options.pace);
    value!({
        "port": side.of(&data.ports),
        "send_bytes": side.of(&data.send_bytes),
        "receive_bytes": side.of(&data.receive_bytes),
        "send_buffer_bytes": buffers.send,
        "receive_buffer_bytes": buffers.receive,
        "congestion_control": side.of(&data.congestion_control),
        "cpu_id": side.of(&options.cpus),
        "paced_operations": pace.map(|pace| pace.operations),
        "paced_every_seconds": pace.map(|pace| pace.every.as_secs_f64()),
    })
}

/// The histogram is HdrHistogram V2, deflated, base64, of nanoseconds.
fn latency(all: &Latencies, further: &[f64]) -> Value {
    let us = |ns: Option<u64>| ns.map(|ns| super::units::float(ns) / 1e3);
    let mut percents: Vec<f64> = PERCENTILES.iter().chain(further).copied().collect();
    percents.sort_by(f64::total_cmp);
    percents.dedup();
    let quantile =
        |percent: f64| value!({"percent": percent, "us": us(all.nearest_ns(percent / 100.0))});
    value!({
        "count": all.count(),
        "min_us": us(all.min_ns()),
        "mean_us": all.mean_ns().map(|ns| ns / 1e3),
        "stddev_us": all.stddev_ns().map(|ns| ns / 1e3),
        "max_us": us(all.max_ns()),
        "quantiles": percents.into_iter().map(quantile).collect::<Vec<_>>(),
        "histogram_ns": all.to_wire().histogram,
    })
}

fn end(view: &View<'_>, side: TestEnd, name: &str, address: &str) -> Value {
    let end = view.end(side);
    let demand = view.demand_us(side);
    let per_transaction = view.demand_is_per_transaction();
    let figures = view.figures;
    // Of streams; what was timed of transactions stands above.
    let calls = match side {
        TestEnd::Local => figures.latency.as_ref().filter(|_| !view.direction().transacts()),
        TestEnd::Remote => figures.remote_latency.as_ref(),
    };
    let EndCounters {
        bytes_sent,
        bytes_received,
        send_calls,
        receive_calls,
        failed_sends,
        // Of the whole test: they stand above.
        transactions: _,
        lost_transactions: _,
    } = end.counters;
    value!({
        "name": name,
        "address": address,
        "send_buffer": buffer(end.buffers.send, end.socket.send_buffer),
        "receive_buffer": buffer(end.buffers.receive, end.socket.receive_buffer),
        "send_bytes": end.send_bytes,
        "receive_bytes": end.receive_bytes,
        "send_calls": send_calls,
        "failed_sends": failed_sends,
        "receive_calls": receive_calls,
        "bytes_sent": bytes_sent,
        "bytes_received": bytes_received,
        "cpu": end.cpu.as_ref().map(cpu),
        "call_latency": calls.map(|all| latency(all, &view.options.percentiles)),
        "retransmitted_segments": end.socket.retransmits,
        "no_delay": end.socket.no_delay,
        "cork": end.socket.cork,
        "congestion_control": end.socket.congestion_control,
        "tos": end.socket.tos,
        "priority": end.socket.priority,
        "service_demand_us_per_kib": demand.filter(|_| !per_transaction),
        "service_demand_us_per_transaction": demand.filter(|_| per_transaction),
    })
}

fn buffer(initial: Option<u32>, end: Option<u32>) -> Value {
    value!({"initial_bytes": initial, "end_bytes": end})
}

fn cpu(cpu: &CpuPercent) -> Value {
    value!({
        "cpus": cpu.cpus,
        "busy_percent": cpu.util_percent,
        "user_percent": cpu.user_percent,
        "system_percent": cpu.system_percent,
        "iowait_percent": cpu.iowait_percent,
        "irq_percent": cpu.irq_percent,
        "softirq_percent": cpu.softirq_percent,
        "peak_cpu_id": cpu.peak.map(|(id, _)| id),
        "peak_busy_percent": cpu.peak.map(|(_, share)| share),
    })
}

/// What was wanted and what was reached; null where neither was asked for.
fn confidence(view: &View<'_>) -> Value {
    let Some((goal, found)) = view.options.confidence.zip(view.figures.confidence) else {
        return Value::Null;
    };
    value!({
        "level_percent": goal.level,
        "wanted_width_percent": goal.width_percent,
        "result_only": goal.result_only,
        "iterations": found.iterations,
        "throughput_width_percent": found.throughput_percent,
        "local_cpu_width_percent": found.local_cpu_percent,
        "remote_cpu_width_percent": found.remote_cpu_percent,
        "reached": found.reached,
    })
}
