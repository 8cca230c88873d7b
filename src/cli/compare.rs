//! `podperf compare`: results held against each other.
//!
//! Enters: files and folders. Leaves: the table, Markdown or CSV on standard output, JUnit's XML in
//! a file, and an exit status that a gate can use. What the figures say is `report`'s business.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use clap::Args;

use super::output::print;
use super::values;
use podperf_model::error::{Error, Kind, Result};
use podperf_report::comparison::documents::Side;
use podperf_report::comparison::judge::Comparison;
use podperf_report::comparison::{junit, render};

/// Compares results: for every row that the first has, how much faster or slower it is in the
/// others, and how sure that is. Each is a document that podperf wrote, of a run or of a run on
/// Kubernetes, or a folder of such.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CompareArgs {
    /// Documents, or folders of them: all others are held against the first
    #[arg(value_name = "RESULT", required = true, num_args = 2..=26)]
    results: Vec<PathBuf>,
    /// How much worse a row may be, in percent, before it fails: by the end of its interval that is
    /// nearest to none. `5` and `5%` are the same
    #[arg(long, value_name = "PERCENT", default_value = "5", value_parser = values::percent)]
    tolerance: f64,
    /// Fail where a row is inconclusive too
    #[arg(long)]
    fail_inconclusive: bool,
    /// Print Markdown, to paste into an issue or a page
    #[arg(long, conflicts_with = "csv")]
    markdown: bool,
    /// Print comma-separated values, one line a row and figure
    #[arg(long)]
    csv: bool,
    /// Write JUnit's XML into this file, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

const EXAMPLES: &str = "\
A difference is called when the 95 % interval of the ratio excludes 1 and the rank test, corrected
for the number of rows, has p < 0.05. That takes at least 6 samples of each row on each side. Rows
of a run on Kubernetes are compared by their ratio to the path `host` of their own run.

Exit status: 0 nothing is shown to be worse by more than the tolerance; 1 a row is; 2 usage, or a
file that is no result; 3 no row could be compared; 4 a row of the first is missing or less complete
in another.

Examples:
  podperf compare before.json after.json
  podperf compare --tolerance 5% --junit junit.xml results/main results/branch
  podperf compare --markdown flannel calico cilium";

/// Reads, compares and prints; returns the exit status.
pub(super) fn run(args: &CompareArgs) -> Result<u8> {
    let sides = args.results.iter().map(|path| Side::read(path)).collect::<Result<Vec<_>>>()?;
    let comparison = Comparison::of(&sides, args.tolerance);
    if let Some(path) = &args.junit {
        let file =
            File::create(path).map_err(|error| Error::usage("--junit", path.display(), error))?;
        let mut to = BufWriter::new(file);
        let written = junit::render(&comparison, args.fail_inconclusive, &mut to);
        written.and_then(|()| to.flush()).map_err(|error| {
            let operation = format!("write JUnit's XML to '{}'", path.display());
            Error::system(Kind::Incomplete, operation, &error)
        })?;
    }
    let printed = print(|to| {
        if args.markdown {
            render::as_markdown(&comparison, to)
        } else if args.csv {
            render::as_csv(&comparison, to)
        } else {
            render::text(&comparison, to)
        }
    })?;
    Ok(if printed == 0 { comparison.exit_status(args.fail_inconclusive) } else { printed })
}
