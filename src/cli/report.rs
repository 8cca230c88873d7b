//! `podperf report`: what documents say, for people and for programs.
//!
//! Enters: files and folders. Leaves: text, Markdown, CSV or percentiles on standard output, a page
//! in a file. What the figures say is `report`'s business.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::output::print;
use super::send_spool::{self, SpoolArgs};
use podperf_model::error::{Error, Kind, Result};
use podperf_report::overview::{self, Overview};
use podperf_report::page;

/// Shows results that were written before: verdict, tables, figures, and what to doubt. Each is a
/// document that podperf wrote, of a run or of a run on Kubernetes, or a folder of such.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReportArgs {
    /// Documents, or folders of them
    #[arg(value_name = "RESULT", required_unless_present = "spool", conflicts_with = "spool")]
    results: Vec<PathBuf>,
    /// Write a page with figures into this file: one file that needs no other and asks for nothing.
    /// Standard output has its name, unless another form is asked for
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print Markdown, to paste into an issue or a page
    #[arg(long, conflicts_with_all = ["csv", "hgrm"])]
    markdown: bool,
    /// Print comma-separated values, one line a row
    #[arg(long, conflicts_with = "hgrm")]
    csv: bool,
    /// Print the percentiles of each row's latency as HdrHistogram's tools plot them, in
    /// microseconds
    #[arg(long)]
    hgrm: bool,
    #[command(flatten)]
    spool: SpoolArgs,
}

const EXAMPLES: &str = "\
Runs that are named one by one, and those of one folder, are samples of rows: a row is what was
measured (workload, direction, sizes, methods), the host it was measured to, and the flows.

Exit status: 0 shown; 2 usage, or a file that is no result; 3 no row has a whole sample (what there
is, is shown). With --spool: 0 all that was not being written was delivered; 2 usage; 3 the folder
cannot be read; 4 the sink did not take all of it, and the rest is still there.

Examples:
  podperf report run.json
  podperf report --html page.html results/
  podperf report --csv flannel/ calico/ > rows.csv
  podperf report --hgrm rr.json > rr.hgrm
  podperf report --spool ~/.local/state/podperf/spool --sink http://influxdb:8086/write?db=podperf";

/// What standard output gets.
#[derive(Clone, Copy)]
enum ReportForm {
    Text,
    Markdown,
    Csv,
    Hgrm,
    PageName,
}

/// Reads and shows; returns the exit status.
pub(super) fn run(args: &ReportArgs) -> Result<u8> {
    if let Some(sent) = send_spool::run(&args.spool) {
        return sent;
    }
    let overview = Overview::read(&args.results)?;
    if let Some(path) = &args.html {
        fs::write(path, page::render(&overview))
            .map_err(|error| Error::usage("--html", path.display(), error))?;
    }
    let mut told = true;
    let printed = print(|to| match form(args) {
        ReportForm::Text => overview::render(&overview, to),
        ReportForm::Markdown => overview::as_markdown(&overview, to),
        ReportForm::Csv => overview::csv::render(&overview, to),
        ReportForm::Hgrm => overview::hgrm::render(&overview, to).map(|found| told = found),
        ReportForm::PageName => {
            let path = args.html.as_deref().unwrap_or_else(|| Path::new(""));
            writeln!(to, "{}", path.display())
        }
    })?;
    if !told {
        return Err(Error::new(Kind::Unmeasured, "list percentiles", "no row has latencies")
            .with_remedy("name results of rr, crr or udp --rr, or of such tests on Kubernetes"));
    }
    let empty = if overview.is_empty() { Kind::Unmeasured.exit_status() } else { 0 };
    Ok(if printed == 0 { empty } else { printed })
}

const fn form(args: &ReportArgs) -> ReportForm {
    match args {
        ReportArgs { markdown: true, .. } => ReportForm::Markdown,
        ReportArgs { csv: true, .. } => ReportForm::Csv,
        ReportArgs { hgrm: true, .. } => ReportForm::Hgrm,
        ReportArgs { html: Some(_), .. } => ReportForm::PageName,
        _ => ReportForm::Text,
    }
}
