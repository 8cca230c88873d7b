//! What a server counts of its runs, and how a scraper reads that.
//!
//! Enters: what came of each run, and where the server stands now. Leaves: one exposition.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::PortContext;
use crate::net::AcceptorCounts;
use podperf_model::open_metrics::{Labels, MetricFamily, MetricType, OpenMetrics};
use podperf_model::run_record::RunRecord;

/// Counted since the server began.
#[derive(Debug)]
pub(super) struct RunCounts {
    begun: Timestamp,
    /// Of the port.
    pub(super) connections: AcceptorCounts,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    /// By workload and what became of them.
    runs: BTreeMap<[&'static str; 2], u64>,
    /// Runs beyond a limit, by the limit and what became of them.
    limits: BTreeMap<[&'static str; 2], u64>,
    bytes_received: u64,
    bytes_sent: u64,
}

impl RunCounts {
    pub(super) fn new() -> Self {
        let connections = AcceptorCounts::default();
        Self { begun: Timestamp::now(), connections, counted: Mutex::default() }
    }

    /// Counts a run that is over.
    pub(super) fn count(&self, run: &RunRecord) {
        let mut counted = self.lock();
        let status = run.status.name();
        *counted.runs.entry([run.workload, status]).or_default() += 1;
        if let Some(limit) = run.limit {
            *counted.limits.entry([limit, status]).or_default() += 1;
        }
        counted.bytes_received = counted.bytes_received.saturating_add(run.bytes_received);
        counted.bytes_sent = counted.bytes_sent.saturating_add(run.bytes_sent);
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is written, and what has been.
#[derive(Default)]
struct Exposition(OpenMetrics);

impl Exposition {
    /// One value without labels.
    fn value(
        &mut self,
        kind: MetricType,
        (name, unit): (&str, Option<&str>),
        help: &str,
        value: u64,
    ) {
        self.values(kind, (name, unit), help, &[(&[], value)]);
    }

    #[expect(clippy::cast_precision_loss, reason = "the format's numbers are doubles")]
    fn values(
        &mut self,
        kind: MetricType,
        (name, unit): (&str, Option<&str>),
        help: &str,
        values: &[(Labels<'_>, u64)],
    ) {
        let samples: Vec<_> =
            values.iter().map(|(labels, value)| (*labels, *value as f64)).collect();
        self.0.family(&MetricFamily { name, kind, unit, help }, &samples);
    }
}

/// Writes all that a server has counted.
pub(super) fn exposition(port: &PortContext<'_>) -> String {
    use MetricType::{Counter, Gauge, Info};
    let mut to = Exposition::default();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    to.values(Info, ("podperf_build", None), "This program.", &[(&version, 1)]);
    let begun = u64::try_from(port.counts.begun.as_second()).unwrap_or(0);
    let name = ("podperf_start_time_seconds", Some("seconds"));
    to.value(Gauge, name, "When the server began, since 1970-01-01 UTC.", begun);
    to.value(
        Gauge,
        ("podperf_sessions", None),
        "Sessions now.",
        port.reservations.sessions() as u64,
    );
    runs(&mut to, &port.counts.lock());
    let budget = ("podperf_memory_budget_bytes", Some("bytes"));
    to.value(Gauge, budget, "Memory that all runs may take.", port.memory.budget().bytes());
    let reserved = ("podperf_memory_reserved_bytes", Some("bytes"));
    to.value(Gauge, reserved, "Memory that runs have reserved now.", port.memory.reserved());
    let connections = &port.counts.connections;
    let name = ("podperf_accepted_connections", None);
    to.value(Counter, name, "Connections that came, streams of runs too.", connections.accepted());
    let pending = connections.pending().map(|(stage, count)| ([("stage", stage)], count));
    let help = "Connections now whose first message is not whole.";
    to.values(Gauge, ("podperf_pending_connections", None), help, &by_labels(&pending));
    let dropped = connections.dropped();
    let dropped = labelled(&dropped, |reason| [("reason", *reason)]);
    let help = "Connections closed before their first message was whole, or for what it said.";
    to.values(Counter, ("podperf_dropped_connections", None), help, &by_labels(&dropped));
    if let Some(left_out) = &port.options.lines_left_out {
        let help = "Lines that the log has left out.";
        to.value(Counter, ("podperf_log_lines_left_out", None), help, left_out.count());
    }
    to.0.finish()
}

/// Writes what has been counted of runs.
fn runs(to: &mut Exposition, counted: &Counted) {
    use MetricType::Counter;
    let runs = labelled(&counted.runs, |[workload, status]| {
        [("workload", *workload), ("status", *status)]
    });
    let help = "Runs that are over, refused ones among them.";
    to.values(Counter, ("podperf_runs", None), help, &by_labels(&runs));
    let limits =
        labelled(&counted.limits, |[limit, status]| [("limit", *limit), ("status", *status)]);
    let help = "Runs that a limit refused, or ended (incomplete).";
    to.values(Counter, ("podperf_limited_runs", None), help, &by_labels(&limits));
    let received = ("podperf_received_bytes", Some("bytes"));
    to.value(Counter, received, "Payload received by runs that are over.", counted.bytes_received);
    let sent = ("podperf_sent_bytes", Some("bytes"));
    to.value(Counter, sent, "Payload sent by runs that are over.", counted.bytes_sent);
}

/// A count with its labels.
type LabelledCount<const N: usize> = ([(&'static str, &'static str); N], u64);

/// Counts with the labels that their keys stand for.
fn labelled<K, const N: usize>(
    counts: &BTreeMap<K, u64>,
    labels: impl Fn(&K) -> [(&'static str, &'static str); N],
) -> Vec<LabelledCount<N>> {
    counts.iter().map(|(key, count)| (labels(key), *count)).collect()
}

fn by_labels<const N: usize>(counts: &[LabelledCount<N>]) -> Vec<(Labels<'_>, u64)> {
    counts.iter().map(|(labels, count)| (&labels[..], *count)).collect()
}
