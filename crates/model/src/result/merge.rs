//! Two ends' results, a plan and what went wrong become one [`Run`].
//!
//! Either end's result may be missing, cut short or lie; what they do not tell is null in the
//! result. A run is complete only when nothing went wrong and both ends' results are whole.

use crate::error::{Error, Kind};
use crate::latency::LatencyWire;
use crate::plan::{Plan, Role};
use crate::result::end_result::{EndReport, EndResult};
use crate::result::run::{
    Between, Connections, Cpu, Ends, Latency, Packets, Run, SCHEMA, Status, Transactions, Verdict,
    Window,
};
use crate::result::span::{EndResults, EndSpans, ROLES, Span, float, seconds};
use crate::result::standstill::standstill;
use crate::result::transient::{TransientCount, TransientError};
use crate::result::wording::end_name;
use crate::result::{cpu, intervals, latency, packets, streams, transport, udp, verdict, warnings};

/// What a run leaves behind.
#[derive(Debug, Clone)]
pub struct Input {
    /// When it was asked for (RFC 3339, UTC).
    pub started_at: String,
    /// The command line.
    pub command: Vec<String>,
    /// The server that was named, `host:port`.
    pub target: String,
    /// What stands between the ends.
    pub between: Option<Between>,
    /// What was to be done.
    pub plan: Plan,
    /// The client's result; absent: it never got ready.
    pub client: Option<EndResult>,
    /// The server's result, as far as it arrived.
    pub server: Option<EndResult>,
    /// What went wrong outside the ends' own reports, in order of time.
    pub errors: Vec<Error>,
    /// Time between the common start and the window's opening, in seconds.
    pub warm_up_seconds: f64,
    /// When the window opened (RFC 3339, UTC); absent: it never did.
    pub opened_at: Option<String>,
}

/// Makes the result document.
#[must_use]
pub fn merge(input: Input) -> Run {
    let end_results = Ends { client: input.client.as_ref(), server: input.server.as_ref() };
    let [client_readings, server_readings] = ROLES.map(|role| end_results.readings(role));
    let spans = EndSpans {
        plan: &input.plan,
        client: Span::over(client_readings),
        server: Span::over(server_readings),
    };
    let mut errors = input.errors.clone();
    let client = end_results.report(Role::Client);
    let mut summary = |what, wire: Option<&LatencyWire>| {
        latency::summary(wire?).map_err(|cause| errors.push(damaged(what, cause))).ok()
    };
    let round_trips = summary("latency histogram", client.and_then(|own| own.latency.as_ref()));
    let service =
        summary("service time histogram", client.and_then(|own| own.service_time.as_ref()));
    let connect_time =
        summary("connect time histogram", client.and_then(|own| own.connect_time.as_ref()));
    let schedule = udp::schedule(&end_results, |what, summary| {
        summary.map_err(|cause| errors.push(damaged(what, cause))).ok()
    });
    add_reported(&mut errors, &end_results, &spans, &input.target);
    let throughput = streams::throughput(&spans, spans.measured());
    let streams = streams::streams(&spans, &end_results);
    let transactions = transactions(&spans, round_trips.as_ref());
    // With a load beside them, transactions are not what the CPU went to.
    let alone = input.plan.load().is_none();
    let work = cpu::WorkDone {
        bits_per_second: throughput.as_ref().filter(|_| alone).map(|all| all.bits_per_second),
        transactions_per_second: transactions.as_ref().filter(|_| alone).map(|all| all.per_second),
    };
    let mut run = Run {
        schema: SCHEMA.to_owned(),
        status: if errors.is_empty() { Status::Complete } else { Status::Incomplete },
        errors,
        transient_errors: transient_errors(&end_results),
        window: window(&spans, &end_results, &input),
        fairness: streams::fairness(&streams),
        udp: udp::udp(&spans, &end_results, &streams),
        streams,
        latency: round_trips,
        service_time: service,
        schedule,
        connect_time,
        connections: connections(&spans, &end_results),
        cpu: Ends::of(|role| cpu_of(*end_results.get(role), work)),
        packets: Ends::of(|role| -> Option<Packets> { packets::packets(spans.end(role)?) }),
        throughput,
        load: streams::throughput(&spans, spans.load()),
        transactions,
        host: Ends::of(|role| Some(end_results.get(role).as_ref()?.facts.host.clone())),
        placement: Ends::of(|role| Some(end_results.get(role).as_ref()?.facts.placement.clone())),
        transport: Ends::of(|role| transport::transport(&input.plan, end_results.report(role)?)),
        ceiling: None,
        no_ceiling: None,
        intervals: intervals::intervals(&input.plan, client_readings, server_readings),
        verdict: Verdict::default(),
        warnings: Vec::new(),
        started_at: input.started_at,
        command: input.command,
        target: input.target,
        between: input.between,
        path_mtu: None,
        other_sessions: end_results.report(Role::Server).and_then(|report| report.other_sessions),
        plan: input.plan.clone(),
    };
    run.warnings = warnings::warnings(&run, &end_results, &spans);
    run.verdict = verdict::judge(&run);
    run
}

/// What both ends outlived, the client's first, by time.
fn transient_errors(end_results: &EndResults<'_>) -> Vec<TransientError> {
    let mut all = Vec::new();
    for role in ROLES {
        let Some(report) = end_results.report(role) else { continue };
        let opened = end_results.readings(role).first().map(|reading| seconds(reading.at_ns));
        let since = |ns| opened.map(|opened| seconds(ns) - opened);
        let mut counts: Vec<&TransientCount> = report.transient_errors.iter().collect();
        counts.sort_by_key(|own| (own.first_ns, own.stream, own.errno));
        all.extend(counts.into_iter().map(|own| TransientError {
            end: role,
            stream: own.stream,
            errno: own.errno,
            cause: std::io::Error::from_raw_os_error(own.errno).to_string(),
            count: own.count,
            first_seconds: since(own.first_ns),
            last_seconds: since(own.last_ns),
        }));
    }
    all
}

/// A part of a report that cannot be read.
fn damaged(what: &str, cause: String) -> Error {
    Error::new(Kind::Incomplete, format!("read the {what}"), cause)
}

/// Adds what the ends reported and, where nothing else explains it, what of them is missing, or
/// that nothing came from `target` or reached it; sorts by time. Errors without a time come last.
fn add_reported(
    errors: &mut Vec<Error>,
    end_results: &EndResults<'_>,
    spans: &EndSpans<'_>,
    target: &str,
) {
    for role in ROLES {
        for error in end_results.report(role).map_or(&[][..], |report| &report.errors) {
            let error = match (role, error.kind) {
                // A signal to the server is not one to the client: here the run broke off.
                (Role::Server, Kind::Interrupted | Kind::Terminated | Kind::Deadline) => {
                    error.clone().with_kind(Kind::Incomplete)
                }
                _ => error.clone(),
            };
            if !errors.contains(&error) {
                errors.push(error);
            }
        }
    }
    if errors.is_empty() {
        for role in ROLES {
            let cause = if spans.end(role).is_none() {
                "fewer than two readings of its counters arrived"
            } else if end_results.report(role).is_none() {
                "its workers' report did not arrive"
            } else {
                continue;
            };
            let operation = format!("collect the {}'s part of the result", end_name(role));
            errors.push(Error::new(Kind::Incomplete, operation, cause));
        }
    }
    if errors.is_empty() {
        let found = standstill(spans, end_results);
        errors.extend(found.into_iter().map(|error| error.with_peer(target)));
    }
    let time = |error: &Error| error.at_seconds.unwrap_or(f64::INFINITY);
    errors.sort_by(|a, b| time(a).total_cmp(&time(b)));
}

fn window(spans: &EndSpans<'_>, end_results: &EndResults<'_>, input: &Input) -> Option<Window> {
    let own = spans.client.or(spans.server)?;
    Some(Window {
        seconds: own.seconds,
        server_seconds: spans.server.map(|span| span.seconds),
        start_skew_us: ROLES
            .into_iter()
            .filter_map(|role| start_skew_us(end_results.report(role)?))
            .reduce(f64::max),
        warm_up_seconds: Some(input.warm_up_seconds)
            .filter(|warm_up| warm_up.is_finite())
            .unwrap_or(0.0),
        opened_at: input.opened_at.clone(),
    })
}

/// Between the first and the last flow's first payload.
fn start_skew_us(report: &EndReport) -> Option<f64> {
    let steps = || report.flows.iter().filter_map(|flow| flow.first_step_ns);
    let skew_ns = steps().max()? - steps().min()?;
    Some(float(skew_ns) / 1e3)
}

/// What the ends told of connections that do not last.
fn connections(spans: &EndSpans<'_>, end_results: &EndResults<'_>) -> Option<Connections> {
    spans.plan.workload.short_lived()?;
    let uses = |role| end_results.report(role)?.connections;
    let connections = Connections {
        lifetime: streams::lifetime_of_all(end_results),
        client: uses(Role::Client),
        server: uses(Role::Server),
    };
    (connections != Connections::default()).then_some(connections)
}

fn cpu_of(end_result: Option<&EndResult>, work: cpu::WorkDone) -> Option<Cpu> {
    let end_result = end_result?;
    let filtered = end_result.facts.host.proc_filtered == Some(true);
    let mut usage = cpu::usage(&end_result.readings, work, filtered)?;
    let schedule = end_result.report.as_ref().and_then(|report| report.schedule);
    if let (Some(process), Some(kept)) = (&mut usage.process, schedule) {
        let window = Span::over(&end_result.readings).map(|span| span.seconds);
        process.spun =
            window.filter(|_| kept.pacing.is_some()).map(|all| seconds(kept.spun_ns) / all);
    }
    Some(usage)
}

/// What the histogram counted; while there is none, what the client's workers had tallied.
fn transactions(spans: &EndSpans<'_>, latency: Option<&Latency>) -> Option<Transactions> {
    if !spans.plan.workload.transacts() {
        return None;
    }
    let seconds = spans.client.as_ref()?.seconds;
    let tallied = || {
        spans.total(spans.measured(), |spans, id| spans.transactions(id).map(|(count, _)| count))
    };
    let count = match latency {
        Some(latency) => latency.count,
        None => tallied()?,
    };
    Some(Transactions { count, per_second: float(count) / seconds })
}
