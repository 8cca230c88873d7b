//! One line a row below a header (RFC 4180). The unit stands in the header; what is not known is
//! empty.

use std::io::{self, Write};

use super::{Overview, Subject};
use crate::comparison::render::quoted;
use podperf_model::result::cluster::{BaselineComparison, EndCpu, Estimate, PooledLatency, Row};
use podperf_model::units::float;

/// A column: its header, and a row's cell.
type CsvColumn = (&'static str, fn(&Subject, &Row) -> String);

const COLUMNS: [CsvColumn; 47] = [
    ("document", |subject, _| subject.name.clone()),
    ("path", |_, row| row.path.clone()),
    ("test", |_, row| row.test.clone()),
    ("flows", |_, row| row.flows.to_string()),
    ("samples", |_, row| row.samples.to_string()),
    ("failed_samples", |_, row| row.failed.to_string()),
    ("goodput_bits_per_second", |_, row| mean(&row.goodput_bits_per_second)),
    ("goodput_low_bits_per_second", |_, row| low(&row.goodput_bits_per_second)),
    ("goodput_high_bits_per_second", |_, row| high(&row.goodput_bits_per_second)),
    ("transactions_per_second", |_, row| mean(&row.transactions_per_second)),
    ("transactions_low_per_second", |_, row| low(&row.transactions_per_second)),
    ("transactions_high_per_second", |_, row| high(&row.transactions_per_second)),
    ("latency_mean_ns", |_, row| mean(&row.latency_mean_ns)),
    ("latency_mean_low_ns", |_, row| low(&row.latency_mean_ns)),
    ("latency_mean_high_ns", |_, row| high(&row.latency_mean_ns)),
    ("latency_stddev_ns", |_, row| latency(row, |own| Some(own.stddev_ns))),
    ("latency_p50_ns", |_, row| latency(row, |own| own.p50_ns.map(float))),
    ("latency_p99_ns", |_, row| latency(row, |own| own.p99_ns.map(float))),
    ("latency_p99_9_ns", |_, row| latency(row, |own| own.p99_9_ns.map(float))),
    ("latency_max_ns", |_, row| latency(row, |own| own.max_ns.map(float))),
    ("rate_ratio", |_, row| ratio(&row.rate_vs_baseline, |own| Some(own.ratio.ratio))),
    ("rate_ratio_low", |_, row| ratio(&row.rate_vs_baseline, |own| own.ratio.low)),
    ("rate_ratio_high", |_, row| ratio(&row.rate_vs_baseline, |own| own.ratio.high)),
    ("rate_verdict", |_, row| difference(&row.rate_vs_baseline)),
    ("latency_ratio", |_, row| ratio(&row.latency_vs_baseline, |own| Some(own.ratio.ratio))),
    ("latency_ratio_low", |_, row| ratio(&row.latency_vs_baseline, |own| own.ratio.low)),
    ("latency_ratio_high", |_, row| ratio(&row.latency_vs_baseline, |own| own.ratio.high)),
    ("latency_verdict", |_, row| difference(&row.latency_vs_baseline)),
    ("over_tolerance", |_, row| row.over_tolerance().to_string()),
    ("retransmitted_segments_per_gb", |_, row| figure(row.retransmitted_segments_per_gb)),
    ("loss_share", |_, row| figure(row.loss_share)),
    ("fairness", |_, row| figure(row.fairness)),
    ("client_user_cores", |_, row| cpu(&row.cpu.client, |own| Some(own.user_cores))),
    ("client_system_cores", |_, row| cpu(&row.cpu.client, |own| Some(own.system_cores))),
    ("client_softirq_cores", |_, row| cpu(&row.cpu.client, |own| Some(own.softirq_cores))),
    ("client_busy_cores", |_, row| cpu(&row.cpu.client, |own| Some(own.busy_cores))),
    ("client_cores_per_gbit", |_, row| cpu(&row.cpu.client, |own| own.cores_per_gbit)),
    ("client_us_per_transaction", |_, row| cpu(&row.cpu.client, |own| own.us_per_transaction)),
    ("server_user_cores", |_, row| cpu(&row.cpu.server, |own| Some(own.user_cores))),
    ("server_system_cores", |_, row| cpu(&row.cpu.server, |own| Some(own.system_cores))),
    ("server_softirq_cores", |_, row| cpu(&row.cpu.server, |own| Some(own.softirq_cores))),
    ("server_busy_cores", |_, row| cpu(&row.cpu.server, |own| Some(own.busy_cores))),
    ("server_cores_per_gbit", |_, row| cpu(&row.cpu.server, |own| own.cores_per_gbit)),
    ("server_us_per_transaction", |_, row| cpu(&row.cpu.server, |own| own.us_per_transaction)),
    ("same_machine", |_, row| row.same_machine.to_string()),
    ("bound_by", |_, row| row.bound_by.map_or_else(String::new, |own| word(&own))),
    ("missing", |_, row| row.missing.clone().unwrap_or_default()),
];

/// Writes `overview`, one line a row of each subject.
///
/// # Errors
/// Those of `out`.
pub fn render(overview: &Overview, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{}\r\n", COLUMNS.map(|(header, _)| header).join(","))?;
    for subject in &overview.subjects {
        for row in &subject.rows {
            let cells = COLUMNS.map(|(_, cell)| quoted(&cell(subject, row)));
            write!(out, "{}\r\n", cells.join(","))?;
        }
    }
    Ok(())
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn mean(own: &Option<Estimate>) -> String {
    figure(own.map(|own| own.mean))
}

fn low(own: &Option<Estimate>) -> String {
    figure(own.and_then(|own| own.low))
}

fn high(own: &Option<Estimate>) -> String {
    figure(own.and_then(|own| own.high))
}

fn latency(row: &Row, of: fn(&PooledLatency) -> Option<f64>) -> String {
    figure(row.latency.as_ref().and_then(of))
}

fn ratio(own: &Option<BaselineComparison>, of: fn(&BaselineComparison) -> Option<f64>) -> String {
    figure(own.as_ref().and_then(of))
}

fn difference(own: &Option<BaselineComparison>) -> String {
    own.map_or_else(String::new, |own| word(&own.difference))
}

fn cpu(own: &Option<EndCpu>, of: fn(&EndCpu) -> Option<f64>) -> String {
    figure(own.as_ref().and_then(of))
}

/// The word that stands in a document.
fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
