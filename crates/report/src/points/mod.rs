//! A run as points in time, for databases of time series: one point for each interval, which is
//! there as soon as the interval is over, and one for the whole run.
//!
//! Enters: what is known of a run when its window opens, intervals, and the finished run. Leaves:
//! points. Fields are the figures of the document under the names that they have there. Tags and
//! time stamps follow from the document alone: the same run gives the same points again, whoever
//! makes them, and a database that gets them twice has them once.

mod exposition;
mod line_protocol;

use serde::Serialize;
use serde_json::Value;

use crate::json;
use podperf_model::result::run::{
    Ceiling, Connections, Cpu, Ends, Interval, Latency, OpenedRun, Packets, Run, ScheduleFacts,
    Status, Throughput, Transactions, Udp, Verdict, Window,
};

pub use exposition::open_metrics;
pub use line_protocol::line;

/// Name of the points of whole runs.
pub const RUN: &str = "podperf_run";
/// Name of the points of intervals.
pub const INTERVAL: &str = "podperf_interval";

/// What tells one workload from another of its kind, in the plan and as a tag.
const WORKLOAD_TAGS: [(&str, &str); 9] = [
    ("/kind", "workload"),
    ("/direction", "direction"),
    ("/message_bytes", "message_bytes"),
    ("/datagram_bytes", "datagram_bytes"),
    ("/request_bytes", "request_bytes"),
    ("/response_bytes", "response_bytes"),
    ("/rate_per_second", "asked_per_second"),
    ("/bits_per_second", "asked_bits_per_second"),
    ("/load/streams", "load_streams"),
];

/// One point.
#[derive(Debug, Clone, PartialEq)]
pub struct RunPoint {
    /// [`RUN`] or [`INTERVAL`].
    pub measurement: &'static str,
    /// Names and values, by name: what the figures belong to.
    pub tags: Vec<(&'static str, String)>,
    /// Names and values: the figures.
    pub fields: Vec<(String, FieldValue)>,
    /// Nanoseconds since 1970, UTC.
    pub time_ns: i64,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// A number, as the document has it.
    Number(serde_json::Number),
    /// Yes or no.
    Flag(bool),
    /// Words.
    Text(String),
}

/// What all points of one run have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct PointSeries {
    tags: Vec<(&'static str, String)>,
    started_at: String,
    started_ns: i64,
    opened_ns: Option<i64>,
}

impl PointSeries {
    /// That of a run whose window has opened; absent: its time is no time.
    #[must_use]
    pub fn new(start: &OpenedRun<'_>) -> Option<Self> {
        Some(Self {
            tags: tags(start),
            started_at: start.started_at.to_owned(),
            started_ns: nanoseconds(start.started_at)?,
            opened_ns: start.opened_at.and_then(nanoseconds),
        })
    }

    /// That of a finished run; absent: its time is no time.
    #[must_use]
    pub fn of(run: &Run) -> Option<Self> {
        Self::new(&OpenedRun::of(run))
    }

    /// The point of an interval, dated by its end; absent: the window has no time.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a float cast stops at both ends")]
    pub fn interval(&self, interval: &Interval) -> Option<RunPoint> {
        let since_opening = (interval.end_seconds * 1e9).round() as i64;
        let mut fields = vec![("run".to_owned(), FieldValue::Text(self.started_at.clone()))];
        flatten("", &value_of(interval), &mut fields);
        let time_ns = self.opened_ns?.checked_add(since_opening)?;
        Some(RunPoint { measurement: INTERVAL, tags: self.tags.clone(), fields, time_ns })
    }

    /// The point of the whole run, dated by its start.
    #[must_use]
    pub fn run(&self, run: &Run) -> RunPoint {
        let codes = run.warnings.iter().map(|warning| warning.code.as_str()).collect::<Vec<_>>();
        let mut fields = vec![
            ("run".to_owned(), FieldValue::Text(self.started_at.clone())),
            ("errors".to_owned(), FieldValue::Number(run.errors.len().into())),
            ("warnings".to_owned(), FieldValue::Number(codes.len().into())),
            ("warning_codes".to_owned(), FieldValue::Text(codes.join(" "))),
        ];
        flatten("", &value_of(&RunFigures::of(run)), &mut fields);
        let tags = self.tags.clone();
        RunPoint { measurement: RUN, tags, fields, time_ns: self.started_ns }
    }
}

/// All points of a finished run, the whole run's last.
pub fn of_run(run: &Run) -> impl Iterator<Item = RunPoint> {
    PointSeries::of(run).into_iter().flat_map(|series| {
        let whole = series.run(run);
        let intervals = run.intervals.iter().filter_map(move |interval| series.interval(interval));
        intervals.chain([whole])
    })
}

/// The points of the last interval, where there is one, and of the whole run.
#[must_use]
pub fn latest(run: &Run) -> Vec<RunPoint> {
    let Some(series) = PointSeries::of(run) else { return Vec::new() };
    let last = run.intervals.last().and_then(|interval| series.interval(interval));
    last.into_iter().chain([series.run(run)]).collect()
}

/// What a document has of figures of the whole run, under the same keys.
#[derive(Serialize)]
struct RunFigures<'a> {
    status: &'a Status,
    ceiling: &'a Option<Ceiling>,
    connect_time: &'a Option<Latency>,
    connections: &'a Option<Connections>,
    cpu: &'a Ends<Option<Cpu>>,
    fairness: &'a Option<f64>,
    latency: &'a Option<Latency>,
    load: &'a Option<Throughput>,
    other_sessions: &'a Option<u32>,
    packets: &'a Ends<Option<Packets>>,
    schedule: &'a Option<ScheduleFacts>,
    service_time: &'a Option<Latency>,
    throughput: &'a Option<Throughput>,
    transactions: &'a Option<Transactions>,
    udp: &'a Option<Udp>,
    verdict: &'a Verdict,
    window: &'a Option<Window>,
}

impl<'a> RunFigures<'a> {
    const fn of(run: &'a Run) -> Self {
        Self {
            status: &run.status,
            ceiling: &run.ceiling,
            connect_time: &run.connect_time,
            connections: &run.connections,
            cpu: &run.cpu,
            fairness: &run.fairness,
            latency: &run.latency,
            load: &run.load,
            other_sessions: &run.other_sessions,
            packets: &run.packets,
            schedule: &run.schedule,
            service_time: &run.service_time,
            throughput: &run.throughput,
            transactions: &run.transactions,
            udp: &run.udp,
            verdict: &run.verdict,
            window: &run.window,
        }
    }
}

/// What a document says, as any reader of it sees it.
fn value_of<T: Serialize>(document: &T) -> Value {
    serde_json::from_str(&json::render(document)).unwrap_or_default()
}

/// Tags by name. A tag without a value is left out.
fn tags(start: &OpenedRun<'_>) -> Vec<(&'static str, String)> {
    // The port may be another each time, and would make a series of each run.
    let host = start.target.rsplit_once(':').map_or(start.target, |(host, _)| host);
    let mut tags = vec![
        ("client", start.hostname.unwrap_or_default().to_owned()),
        ("flows", start.plan.flows.to_string()),
        ("target", host.trim_matches(['[', ']']).to_owned()),
    ];
    let workload = value_of(&start.plan.workload);
    for (pointer, name) in WORKLOAD_TAGS {
        match workload.pointer(pointer) {
            Some(Value::String(text)) => tags.push((name, text.clone())),
            Some(Value::Number(number)) => tags.push((name, number.to_string())),
            _ => {}
        }
    }
    tags.retain(|(_, value)| !value.is_empty());
    tags.sort();
    tags
}

/// Adds every figure below `value`, by its path in the document with `_` between the keys. Lists
/// stand in the document alone, and histograms, which are no figures.
fn flatten(path: &str, value: &Value, fields: &mut Vec<(String, FieldValue)>) {
    match value {
        Value::Null | Value::Array(_) => {}
        Value::Bool(flag) => fields.push((path.to_owned(), FieldValue::Flag(*flag))),
        Value::Number(number) => fields.push((path.to_owned(), FieldValue::Number(number.clone()))),
        Value::String(text) => fields.push((path.to_owned(), FieldValue::Text(text.clone()))),
        Value::Object(entries) => {
            for (key, value) in entries.iter().filter(|(key, _)| *key != "histogram") {
                let separator = if path.is_empty() { "" } else { "_" };
                flatten(&format!("{path}{separator}{key}"), value, fields);
            }
        }
    }
}

fn nanoseconds(time: &str) -> Option<i64> {
    i64::try_from(time.parse::<jiff::Timestamp>().ok()?.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use podperf_model::result::testing;

    fn field<'p>(point: &'p RunPoint, name: &str) -> Option<&'p FieldValue> {
        point.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    fn number(point: &RunPoint, name: &str) -> f64 {
        match field(point, name) {
            Some(FieldValue::Number(number)) => number.as_f64().unwrap(),
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn points_are_the_figures_of_the_document_at_its_times() {
        let run = testing::stream_run();
        let points: Vec<_> = of_run(&run).collect();
        assert_eq!(points.len(), run.intervals.len() + 1);
        let opened = nanoseconds("2026-01-02T03:04:06.5Z").unwrap();
        for (point, interval) in points.iter().zip(&run.intervals) {
            assert_eq!(point.measurement, INTERVAL);
            let after = (point.time_ns - opened) as f64;
            assert!((after - interval.end_seconds * 1e9).abs() < 1.0, "{after}");
            assert_eq!(number(point, "bits_per_second"), interval.bits_per_second.unwrap());
            let busy = interval.cpu.client.as_ref().unwrap().busy;
            assert_eq!(number(point, "cpu_client_busy_cores"), busy);
            assert_eq!(field(point, "run"), Some(&FieldValue::Text(run.started_at.clone())));
        }
        let whole = points.last().unwrap();
        assert_eq!(
            (whole.measurement, whole.time_ns),
            (RUN, nanoseconds(&run.started_at).unwrap())
        );
        let throughput = run.throughput.as_ref().unwrap();
        assert_eq!(number(whole, "throughput_bits_per_second"), throughput.bits_per_second);
        assert_eq!(number(whole, "throughput_bytes_received"), throughput.bytes_received as f64);
        assert_eq!(field(whole, "status"), Some(&FieldValue::Text("complete".to_owned())));
        assert!(field(whole, "verdict_bound_by").is_some());
    }

    #[test]
    fn an_interval_under_way_and_the_finished_run_give_the_same_points() {
        for run in [testing::stream_run(), testing::rr_run()] {
            let start = OpenedRun {
                started_at: &run.started_at,
                opened_at: Some("2026-01-02T03:04:06.5Z"),
                target: &run.target,
                plan: &run.plan,
                hostname: Some("client-host"),
            };
            let series = PointSeries::new(&start).unwrap();
            let live: Vec<_> = run.intervals.iter().map(|i| series.interval(i).unwrap()).collect();
            assert!(of_run(&run).take(live.len()).eq(live));
            let back: Run = serde_json::from_str(&json::render(&run)).unwrap();
            assert!(of_run(&back).eq(of_run(&run)));
            let all: Vec<_> = of_run(&run).collect();
            assert_eq!(latest(&run), all[all.len() - 2..]);
        }
    }

    #[test]
    fn tags_tell_workloads_apart_and_are_few() {
        let mut run = testing::rr_run();
        run.target = "[2001:db8::2]:5210".to_owned();
        let tags = of_run(&run).last().unwrap().tags;
        let expected = [
            ("client", "client-host"),
            ("flows", "1"),
            ("request_bytes", "1"),
            ("response_bytes", "1"),
            ("target", "2001:db8::2"),
            ("workload", "rr"),
        ];
        assert_eq!(tags, expected.map(|(name, value)| (name, value.to_owned())));
        for point in of_run(&testing::stream_run()).chain(of_run(&run)) {
            for (name, _) in &point.tags {
                assert!(field(&point, name).is_none(), "{name} is a field too");
            }
        }
        let latency = testing::rr_run().latency.unwrap();
        let point = of_run(&run).last().unwrap();
        assert_eq!(number(&point, "latency_p99_ns"), latency.p99.unwrap() as f64);
        assert!(field(&point, "latency_histogram").is_none());
    }

    #[test]
    fn a_run_that_measured_nothing_has_a_point_that_says_so() {
        let mut run = testing::stream_run();
        (run.window, run.throughput, run.intervals) = (None, None, Vec::new());
        let points: Vec<_> = of_run(&run).collect();
        assert_eq!(points.len(), 1);
        assert!(field(&points[0], "throughput_bits_per_second").is_none());
        run.started_at = "yesterday".to_owned();
        assert!(of_run(&run).next().is_none() && latest(&run).is_empty());
    }
}
