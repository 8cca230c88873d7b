//! What documents say, row by row, for people and for programs.
//!
//! Enters: files and folders. Leaves: of each run on Kubernetes, and of the runs between hosts
//! together, what was measured and where, a verdict in words, the tables and what to doubt, as text
//! ([`render`]), Markdown ([`as_markdown`]), CSV ([`csv`]) or percentiles ([`hgrm`]). The page is
//! `crate::page`'s business.

pub mod csv;
pub mod hgrm;

mod between_hosts;
mod verdict;

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::Path;

use crate::analysis::{is_whole, merged, pooled};
use crate::cluster::{Paragraph, markdown, short};
use crate::comparison::documents::{Content, Documents};
use crate::text::layout::{figures, paragraphs};
use crate::text::row;
use crate::{cluster, text};
use podperf_model::error::Result;
use podperf_model::latency::Latencies;
use podperf_model::result::cluster::{ClusterRun, PooledLatency, Row, Sample};
use podperf_model::result::run::{Latency, Run};

/// All that was read.
#[derive(Debug)]
pub struct Overview {
    /// In the order in which they were named.
    pub subjects: Vec<Subject>,
    /// Files that are no whole documents, and why.
    pub left_out: Vec<String>,
}

/// A run on Kubernetes, or runs between hosts.
#[derive(Debug)]
pub struct Subject {
    /// The document, or the folder of the runs.
    pub name: String,
    /// One line that says what it is.
    pub title: String,
    /// What was measured, and where.
    pub about: Vec<Paragraph>,
    /// What failed, and what to doubt.
    pub doubts: Vec<Paragraph>,
    /// The verdict in words, a sentence each.
    pub verdict: Vec<String>,
    /// What the samples say together.
    pub rows: Vec<Row>,
    /// Every sample, in the order of measuring.
    pub samples: Vec<Sample>,
    /// Command lines that measured it, each once.
    pub commands: Vec<Vec<String>>,
    /// Of runs between hosts.
    pub between_hosts: bool,
}

impl Overview {
    /// Reads what is named. Runs between hosts that are named one by one are samples of one
    /// subject; a folder is one of its own.
    ///
    /// # Errors
    /// Where a file is no whole document, or a folder has none.
    pub fn read(paths: &[impl AsRef<Path>]) -> Result<Self> {
        let mut overview = Self { subjects: Vec::new(), left_out: Vec::new() };
        let mut lone: Vec<(String, Run)> = Vec::new();
        for path in paths {
            let path = path.as_ref();
            let read = Documents::<Run, ClusterRun>::read_as(path, "not shown: ")?;
            overview.left_out.extend(read.left_out);
            let mut runs = Vec::new();
            for document in read.documents {
                match document.content {
                    Content::Run(run) => runs.push((document.name, *run)),
                    Content::Cluster(run) => {
                        overview.subjects.push(Subject::on_kubernetes(document.name, *run));
                    }
                }
            }
            if path.is_dir() {
                overview.subjects.extend(Subject::between_hosts(read.name, runs));
            } else {
                lone.append(&mut runs);
            }
        }
        let name = match &lone[..] {
            [(name, _)] => name.clone(),
            runs => format!("{} files", runs.len()),
        };
        overview.subjects.extend(Subject::between_hosts(name, lone));
        Ok(overview)
    }

    /// No row has a whole sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.subjects.iter().flat_map(|subject| &subject.rows).all(|row| row.samples == 0)
    }

    /// Files that were left out, for people.
    pub(crate) fn left_out(&self) -> Vec<Paragraph> {
        self.left_out.iter().map(|why| row("left out", why.clone())).collect()
    }
}

impl Subject {
    /// What the launcher's document says.
    #[must_use]
    pub fn on_kubernetes(name: String, run: ClusterRun) -> Self {
        let mut subject = Self {
            name,
            title: format!("podperf on Kubernetes: {}", short(&run.run_id)),
            about: cluster::head(&run),
            doubts: cluster::judgement(&run),
            verdict: Vec::new(),
            rows: run.summary.rows,
            samples: run.samples,
            commands: vec![run.command],
            between_hosts: false,
        };
        let baseline = run.summary.baseline.as_deref();
        subject.verdict = verdict::of(&subject.rows, baseline, run.plan.tolerance_share);
        subject
    }

    /// What runs say, each with the name of its document; nothing without any.
    #[must_use]
    pub fn between_hosts(name: String, runs: Vec<(String, Run)>) -> Option<Self> {
        between_hosts::subject(name, runs)
    }

    /// The whole samples of a row, in the order of measuring.
    pub(crate) fn whole(&self, row: &Row) -> impl Iterator<Item = &Sample> {
        let key = (row.path.clone(), row.test.clone(), row.flows);
        self.samples.iter().filter(move |sample| {
            (&sample.path, &sample.test, sample.flows) == (&key.0, &key.1, key.2)
                && is_whole(sample)
        })
    }

    fn distributions(&self, row: &Row) -> Vec<&Latency> {
        let runs = self.whole(row).flat_map(|sample| &sample.runs);
        runs.filter_map(|run| run.latency.as_ref()).collect()
    }

    /// A row's latencies put together, with their exact figures; nothing where there are none, or a
    /// histogram is damaged.
    pub(crate) fn latencies(&self, row: &Row) -> Option<(Latencies, PooledLatency)> {
        let parts = self.distributions(row);
        let pooled = pooled(&parts)?;
        merged(&parts).map(|all| (all, pooled))
    }
}

/// "pod tcp_stream, 4 flows".
pub(crate) fn row_name(row: &Row) -> String {
    let flows = podperf_model::result::wording::count(row.flows, "flow");
    format!("{} {}, {flows}", short(&row.path), row.test)
}

/// Writes `overview` as text.
///
/// # Errors
/// Those of `out`.
pub fn render(overview: &Overview, out: &mut dyn Write) -> io::Result<()> {
    for (number, subject) in overview.subjects.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        match &subject.samples[..] {
            [Sample { runs, .. }] if subject.between_hosts => {
                runs.iter().try_for_each(|run| text::render(run, out))?;
            }
            _ => as_text(subject, out)?,
        }
    }
    let left_out = overview.left_out();
    if left_out.is_empty() { Ok(()) } else { writeln!(out, "\n{}", paragraphs(&left_out)) }
}

fn as_text(subject: &Subject, out: &mut dyn Write) -> io::Result<()> {
    let verdict = subject.verdict.iter().map(|sentence| row("verdict", sentence.clone()));
    writeln!(out, "{}", paragraphs(&verdict.collect::<Vec<_>>()))?;
    for table in cluster::tables(&subject.rows) {
        let header: Vec<&str> = table.header.iter().map(String::as_str).collect();
        writeln!(out, "\n{}\n{}", table.title, figures(&header, &table.rows))?;
    }
    writeln!(out, "\n{}", paragraphs(&subject.about))?;
    if subject.doubts.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", paragraphs(&subject.doubts))
}

/// Writes `overview` as Markdown, to paste into an issue or a page.
///
/// # Errors
/// Those of `out`.
pub fn as_markdown(overview: &Overview, out: &mut dyn Write) -> io::Result<()> {
    for (number, subject) in overview.subjects.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        writeln!(out, "## {}\n", markdown::escaped(&subject.title))?;
        let verdict = subject.verdict.iter().map(|sentence| row("verdict", sentence.clone()));
        markdown::list(&verdict.collect::<Vec<_>>(), out)?;
        for table in cluster::tables(&subject.rows) {
            markdown::write_table(&table, out)?;
        }
        writeln!(out, "\n### Where and how\n")?;
        markdown::list(&subject.about, out)?;
        if !subject.doubts.is_empty() {
            writeln!(out, "\n### What to know about it\n")?;
            markdown::list(&subject.doubts, out)?;
        }
    }
    let left_out = overview.left_out();
    if left_out.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Left out\n")?;
    markdown::list(&left_out, out)
}
