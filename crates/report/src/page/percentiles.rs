//! Latency by percentile, every path in one plot: across the page log 1/(1-p), so that 90, 99 and
//! 99.9 % lie as far from each other. A line ends where fewer than ten values lie above it.

use super::svg::{LinePlot, Scale, plain};
use super::{PageFigure, label, tests_of};
use crate::cluster::{ClusterTable, short};
use crate::overview::Subject;
use crate::text::layout::maybe;
use podperf_model::latency::Latencies;
use podperf_model::result::cluster::Row;
use podperf_model::units::float;

const STEPS_PER_HALVING: u32 = 3;
/// Values that lie above the end of a line.
const MIN_VALUES_ABOVE: f64 = 10.0;
const SHARES: [(&str, f64); 5] = [
    ("p50 µs", 0.5),
    ("p90 µs", 0.9),
    ("p99 µs", 0.99),
    ("p99.9 µs", 0.999),
    ("p99.99 µs", 0.9999),
];

pub(super) fn figures(subject: &Subject) -> Vec<PageFigure> {
    tests_of(subject).iter().filter_map(|test| figure(subject, test)).collect()
}

fn figure(subject: &Subject, test: &str) -> Option<PageFigure> {
    let rows = subject.rows.iter().filter(|row| row.test == test);
    let all: Vec<(&Row, Latencies)> =
        rows.filter_map(|row| Some((row, subject.latencies(row)?.0))).collect();
    let lines: Vec<(String, Vec<(f64, f64)>)> =
        all.iter().map(|(row, own)| (label(&row.path, row.flows), line(own))).collect();
    let points = || lines.iter().flat_map(|(_, points)| points);
    let highest = points().map(|(_, us)| *us).reduce(f64::max)?;
    let lowest = points().map(|(_, us)| *us).filter(|us| *us > 0.0).reduce(f64::min)?;
    let farthest = points().map(|(x, _)| *x).fold(10.0, f64::max);
    let name = short(test);
    let plot = LinePlot {
        said: "Lines of latency in microseconds by percentile, one a path and number of flows"
            .into(),
        x_title: "percentile".into(),
        y_title: "latency, µs (logarithmic)".into(),
        x: powers(farthest),
        y: Scale::logarithmic(lowest, highest),
        x_text: percent,
        lines,
    };
    let cells = |(row, own): &(&Row, Latencies)| {
        let us = |share: f64| maybe(own.quantile_ns(share).map(|ns| float(ns) / 1e3), 1);
        let mut cells = vec![short(&row.path), row.flows.to_string()];
        cells.extend(SHARES.map(|(_, share)| us(share)));
        cells.push(maybe(own.max_ns().map(|ns| float(ns) / 1e3), 1));
        cells.push(own.count().to_string());
        cells
    };
    let mut header = vec!["path".to_owned(), "flows".to_owned()];
    header.extend(SHARES.map(|(name, _)| name.to_owned()));
    header.extend(["largest µs".to_owned(), "transactions".to_owned()]);
    Some(PageFigure {
        title: format!("{name}: latency by percentile"),
        caption: "Flat is good. A line ends where fewer than ten values lie above it.".into(),
        svg: plot.draw(),
        table: ClusterTable {
            title: format!("{name}: latency by percentile"),
            header,
            rows: all.iter().map(cells).collect(),
        },
    })
}

/// Places (1/(1-p)) and values (µs), as far as enough values lie above.
fn line(own: &Latencies) -> Vec<(f64, f64)> {
    let count = float(own.count());
    let known = own.percentiles(STEPS_PER_HALVING);
    let known = known.filter(|point| count * (1.0 - point.share) >= MIN_VALUES_ABOVE - 1e-6);
    known.map(|point| (1.0 / (1.0 - point.share), float(point.ns) / 1e3)).collect()
}

/// A tick at each power of ten.
fn powers(farthest: f64) -> Scale {
    let mut scale = Scale::logarithmic(1.0, farthest);
    scale.ticks.retain(|tick| (tick.log10() - tick.log10().round()).abs() < 1e-6);
    scale
}

/// The percentile of a tick: 0, 90, 99, 99.9 …
fn percent(place: f64) -> String {
    if place > 1e5 { format!("1-1/{}", plain(place)) } else { digits(100.0 * (1.0 - 1.0 / place)) }
}

fn digits(percent: f64) -> String {
    let text = format!("{percent:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
