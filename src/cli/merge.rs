//! `podperf merge`: the latencies of several runs as one distribution.
//!
//! Enters: documents, folders of them, HdrHistogram logs. Leaves: figures or percentiles on
//! standard output, an HdrHistogram log in a file.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::output::print;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::latency::log;
use podperf_model::result::run::{Latency, Run};
use podperf_report::merged::{Merged, Wanted};
use podperf_report::overview::Overview;

/// Puts the latencies of several runs together: their histograms are merged, so that percentiles
/// are those of all transactions. Each is a document that podperf wrote, a folder of such, or an
/// HdrHistogram log.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct MergeArgs {
    /// Documents, folders of them, HdrHistogram logs
    #[arg(value_name = "RESULT", required = true)]
    results: Vec<PathBuf>,
    /// Which distribution of the runs
    #[arg(long, value_enum, default_value_t = Distribution::Latency)]
    figure: Distribution,
    /// The row's path, where the documents have several
    #[arg(long, value_name = "NAME")]
    path: Option<String>,
    /// The row's test, likewise
    #[arg(long, value_name = "NAME")]
    test: Option<String>,
    /// The row's number of flows, likewise
    #[arg(long, value_name = "N")]
    flows: Option<u32>,
    /// What a value of the logs counts
    #[arg(long, value_enum, default_value_t = LogUnit::Ns)]
    log_unit: LogUnit,
    /// Print the percentiles as HdrHistogram's tools plot them, in microseconds
    #[arg(long)]
    hgrm: bool,
    /// Write an HdrHistogram log into this file, too: a histogram a run, in nanoseconds
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Only runs of one row are put together: the same workload, sizes, path and flows. Mean and standard
deviation are exact for documents; a log has its values to the digits of its histograms.

Exit status: 0 merged; 2 usage, a file that is no result, or several rows; 3 no run has it.

Examples:
  podperf merge monday/ tuesday/
  podperf merge --path pod --test tcp_rr --flows 1 --hgrm results/run1 results/run2
  podperf merge --log all.hlog rr-1.json rr-2.json
  podperf merge --log-unit us other-tool.hlog";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Distribution {
    /// From the request (open loop: from the time it was due) to its response
    Latency,
    /// Open loop: from the real send
    ServiceTime,
    /// Connections: the time to open one
    ConnectTime,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogUnit {
    /// Nanoseconds
    Ns,
    /// Microseconds
    Us,
    /// Milliseconds
    Ms,
}

impl Distribution {
    fn of(self) -> (&'static str, fn(&Run) -> Option<&Latency>) {
        match self {
            Self::Latency => ("latency", |run| run.latency.as_ref()),
            Self::ServiceTime => ("service time", |run| run.service_time.as_ref()),
            Self::ConnectTime => ("connect time", |run| run.connect_time.as_ref()),
        }
    }
}

impl LogUnit {
    const fn ns(self) -> u64 {
        match self {
            Self::Ns => 1,
            Self::Us => 1_000,
            Self::Ms => 1_000_000,
        }
    }
}

/// Merges and shows; returns the exit status.
pub(super) fn run(args: &MergeArgs) -> Result<u8> {
    let (mut documents, mut logs) = (Vec::new(), Vec::new());
    for path in &args.results {
        match log_bytes(path)? {
            Some(bytes) => {
                let parts = log::read(&bytes, args.log_unit.ns()).map_err(|cause| {
                    Error::new(Kind::Usage, format!("read '{}'", path.display()), cause)
                        .with_remedy("name a document of podperf or an HdrHistogram log (V2)")
                })?;
                logs.push((path.display().to_string(), parts));
            }
            None => documents.push(path),
        }
    }
    let overview = Overview::read(&documents)?;
    let wanted = Wanted {
        figure: args.figure.of(),
        path: args.path.as_deref(),
        test: args.test.as_deref(),
        flows: args.flows,
    };
    let merged = Merged::of(&overview, &wanted, logs)?;
    if let Some(path) = &args.log {
        write_log(&merged, path)?;
    }
    print(|to| if args.hgrm { merged.as_hgrm(to) } else { merged.render(to) })
}

/// The bytes of a file that is no JSON object; documents are read where all commands read them.
fn log_bytes(path: &Path) -> Result<Option<Vec<u8>>> {
    if path.is_dir() {
        return Ok(None);
    }
    let bytes = fs::read(path).map_err(|error| {
        Error::system(Kind::Usage, format!("read '{}'", path.display()), &error)
    })?;
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let log = first.is_some_and(|byte| b"#\"T0123456789".contains(byte));
    Ok(log.then_some(bytes))
}

fn write_log(merged: &Merged, path: &Path) -> Result<()> {
    let file = File::create(path).map_err(|error| Error::usage("--log", path.display(), error))?;
    let mut to = BufWriter::new(file);
    merged.as_log(&mut to).and_then(|()| to.flush()).map_err(|error| {
        let operation = format!("write the log to '{}'", path.display());
        Error::system(Kind::Incomplete, operation, &error)
    })
}
