//! Points as an exposition, for the node exporter's collector of text files.
//!
//! Enters: the latest points of a run. Leaves: gauges, in a form that is OpenMetrics and the older
//! text format of Prometheus at once: the collector reads the older one. Units are Prometheus' base
//! units, seconds and bytes, so times and rates in bits are converted, and named accordingly.

use super::{FieldValue, INTERVAL, RunPoint};
use podperf_model::open_metrics::{MetricFamily, MetricType, OpenMetrics};

/// Ends of names with those of Prometheus' base unit, and what a value is multiplied by.
const BASE_UNITS: [(&str, &str, f64); 4] = [
    ("_ns", "_seconds", 1e-9),
    ("_us", "_seconds", 1e-6),
    ("_us_per_transaction", "_seconds_per_transaction", 1e-6),
    ("bits_per_second", "bytes_per_second", 0.125),
];

/// An exposition of `points`, each of a measurement of its own.
#[must_use]
pub fn open_metrics(points: &[RunPoint]) -> String {
    let mut text = OpenMetrics::default();
    for point in points {
        let labels: Vec<(&str, &str)> =
            point.tags.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let whole = if point.measurement == INTERVAL { "the last interval" } else { "the run" };
        let mut gauge = |field: &str, value: f64, help: String| {
            let (name, value) = in_base_unit(field, value);
            let name = format!("{}_{name}", point.measurement);
            let kind = MetricType::Gauge;
            let family = MetricFamily { name: &name, kind, unit: None, help: &help };
            text.family(&family, &[(&labels, value)]);
        };
        let seconds = std::time::Duration::from_nanos(point.time_ns.try_into().unwrap_or_default());
        let help = format!("Time of {whole}, in seconds since 1970.");
        gauge("timestamp_seconds", seconds.as_secs_f64(), help);
        for (field, value) in &point.fields {
            let help = format!("Figure {field} of {whole}; docs/RESULT.md says what it means.");
            match value {
                FieldValue::Number(number) => {
                    gauge(field, number.as_f64().unwrap_or(f64::NAN), help);
                }
                FieldValue::Flag(flag) => gauge(field, f64::from(u8::from(*flag)), help),
                FieldValue::Text(status) if field == "status" => {
                    let help = "Whether the run did all that was planned.".to_owned();
                    gauge("complete", f64::from(u8::from(status == "complete")), help);
                }
                FieldValue::Text(_) => {}
            }
        }
    }
    text.finish()
}

/// A field's name and value in Prometheus' base units. `_count` at the end belongs to histograms.
fn in_base_unit(field: &str, value: f64) -> (String, f64) {
    for (unit, base, factor) in BASE_UNITS {
        if let Some(name) = field.strip_suffix(unit) {
            return (format!("{name}{base}"), value * factor);
        }
    }
    match field.strip_suffix("_count") {
        Some(name) => (format!("{name}_values"), value),
        None => (field.to_owned(), value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points;
    use podperf_model::result::testing;

    #[test]
    fn figures_are_gauges_in_base_units() {
        let run = testing::rr_run();
        let text = open_metrics(&points::latest(&run));
        let labels = "{client=\"client-host\",flows=\"1\",request_bytes=\"1\",response_bytes=\"1\",\
                      target=\"192.0.2.2\",workload=\"rr\"}";
        for line in [
            "# TYPE podperf_interval_latency_mean_seconds gauge".to_owned(),
            format!("podperf_interval_latency_mean_seconds{labels} 0.001"),
            format!("podperf_interval_partial{labels} 0"),
            format!("podperf_run_complete{labels} 1"),
            format!("podperf_run_transactions_values{labels} 2000"),
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        // What the older format does not know, or a linter of names refuses.
        assert!(!text.contains(" info\n") && !text.contains("\\\""), "{text}");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split('{').next().unwrap();
            for end in ["_ns", "_us", "bits_per_second", "_count", "_total"] {
                assert!(!name.ends_with(end), "{name}");
            }
        }
    }
}
