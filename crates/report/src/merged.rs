//! Latencies of several runs put together: histograms are merged, percentiles never.
//!
//! Enters: documents that were read, histograms of logs, and which row is wanted. Leaves: one
//! distribution, as text, percentiles ([`hgrm`]) or an HdrHistogram log with a histogram a run.

use std::io::{self, Write};
use std::time::Duration;

use crate::analysis::{merged, pooled};
use crate::overview::{Overview, hgrm, row_name};
use crate::text::layout::{figures, maybe, number, paragraphs};
use crate::text::row;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::latency::Latencies;
use podperf_model::latency::log::{self, LogPart};
use podperf_model::result::cluster::{PooledLatency, Row};
use podperf_model::result::run::{Latency, Run};
use podperf_model::units::float;

/// What is wanted of documents.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The distribution of a run, and what it is called.
    pub figure: (&'static str, fn(&Run) -> Option<&Latency>),
    /// The path's name; absent: any.
    pub path: Option<&'a str>,
    /// The test's, likewise.
    pub test: Option<&'a str>,
    /// Flows, likewise.
    pub flows: Option<u32>,
}

/// Latencies of runs, and what they are together.
#[derive(Debug)]
pub struct Merged {
    name: String,
    parts: Vec<MergedPart>,
    latencies: Latencies,
    pooled: PooledLatency,
}

/// One run's latencies.
#[derive(Debug)]
struct MergedPart {
    name: String,
    start: Duration,
    length: Duration,
    latency: Latency,
}

impl Merged {
    /// Puts together what is wanted of `overview`, and all of `logs`, which come with their files'
    /// names.
    ///
    /// # Errors
    /// Where there is nothing of it, where several rows are, or where a histogram is damaged.
    pub fn of(
        overview: &Overview,
        wanted: &Wanted<'_>,
        logs: Vec<(String, Vec<LogPart>)>,
    ) -> Result<Self> {
        let mut rows: Vec<String> = Vec::new();
        let mut parts: Vec<MergedPart> = Vec::new();
        for subject in &overview.subjects {
            for row in subject.rows.iter().filter(|row| wanted.has(row)) {
                let samples = subject.whole(row).flat_map(|sample| &sample.runs);
                let known = parts.len();
                parts.extend(samples.filter_map(|run| part(run, row, wanted)));
                if parts.len() > known && !rows.contains(&row_name(row)) {
                    rows.push(row_name(row));
                }
            }
        }
        if let [first, second, ..] = &rows[..] {
            let cause = format!("{} different rows: {first}; {second} …", rows.len());
            return Err(Error::new(Kind::Usage, "merge latencies", cause)
                .with_remedy("say which with --path, --test and --flows"));
        }
        for (file, histograms) in logs {
            parts.extend((1_u32..).zip(histograms).map(|(number, own)| MergedPart {
                name: own.tag.unwrap_or_else(|| format!("{file}:{number}")),
                start: own.start,
                length: own.length,
                latency: Latency::from(&own.latencies),
            }));
        }
        let name = rows.pop().unwrap_or_else(|| "logs".to_owned());
        Self::together(format!("{}: {name}", wanted.figure.0), parts)
    }

    fn together(name: String, parts: Vec<MergedPart>) -> Result<Self> {
        let all: Vec<&Latency> = parts.iter().map(|part| &part.latency).collect();
        let failed = |cause: &str| Error::new(Kind::Unmeasured, "merge latencies", cause);
        let none = || {
            failed("no whole run has what is wanted")
                .with_remedy("see podperf report for the rows that there are")
        };
        let pooled = pooled(&all).ok_or_else(none)?;
        let latencies = merged(&all).ok_or_else(|| failed("a run's histogram is damaged"))?;
        Ok(Self { name, parts, latencies, pooled })
    }

    /// Writes the figures as text.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn render(&self, out: &mut dyn Write) -> io::Result<()> {
        let about = [row("merged", format!("{}; histograms: {}", self.name, self.parts.len()))];
        writeln!(out, "{}\n", paragraphs(&about))?;
        let us = |ns: Option<u64>| maybe(ns.map(|ns| float(ns) / 1e3), 1);
        let PooledLatency { count, mean_ns, stddev_ns, max_ns, .. } = self.pooled;
        let quantile = |share: f64| us(self.latencies.quantile_ns(share));
        let cells = vec![
            count.to_string(),
            number(mean_ns / 1e3, 1),
            number(stddev_ns / 1e3, 1),
            us(self.parts.iter().filter_map(|part| part.latency.min).min()),
            quantile(0.5),
            quantile(0.9),
            quantile(0.99),
            quantile(0.999),
            quantile(0.9999),
            us(max_ns),
        ];
        let header = [
            "values",
            "mean\nµs",
            "stddev\nµs",
            "min\nµs",
            "p50\nµs",
            "p90\nµs",
            "p99\nµs",
            "p99.9\nµs",
            "p99.99\nµs",
            "max\nµs",
        ];
        writeln!(out, "{}", figures(&header, &[cells]))
    }

    /// Writes the percentiles as HdrHistogram's tools plot them.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn as_hgrm(&self, out: &mut dyn Write) -> io::Result<()> {
        hgrm::block(&self.name, &self.latencies, &self.pooled, out)
    }

    /// Writes an HdrHistogram log, a histogram a run.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn as_log(&self, out: &mut dyn Write) -> io::Result<()> {
        let part = |own: &MergedPart| LogPart {
            tag: Some(own.name.clone()),
            start: own.start,
            length: own.length,
            latencies: merged(&[&own.latency]).unwrap_or_default(),
        };
        log::write(&self.parts.iter().map(part).collect::<Vec<_>>(), out)
    }
}

impl Wanted<'_> {
    fn has(&self, row: &Row) -> bool {
        self.path.is_none_or(|path| path == row.path)
            && self.test.is_none_or(|test| test == row.test)
            && self.flows.is_none_or(|flows| flows == row.flows)
    }
}

fn part(run: &Run, row: &Row, wanted: &Wanted<'_>) -> Option<MergedPart> {
    let latency = wanted.figure.1(run).filter(|own| own.count > 0)?.clone();
    let seconds = run.window.as_ref().map_or(0.0, |window| window.seconds);
    let length = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    Some(MergedPart {
        name: row_name(row),
        start: log::since_epoch(&run.started_at),
        length,
        latency,
    })
}
