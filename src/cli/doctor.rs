//! `podperf doctor`: what this machine lets podperf do, and what will spoil a measurement.
//!
//! Enters: the checks. Leaves: a table or JSON. Examines nothing itself.

use std::io::{self, Write};

use clap::Args;
use comfy_table::{ContentArrangement, Table, TableStyle};

use crate::cli::output::print;
use podperf_engine::metrics::doctor::{CheckStatus, DoctorCheck, examine};
use podperf_engine::metrics::roots::Roots;
use podperf_model::error::Result;
use podperf_report::json;

/// Checks what this machine lets podperf do, and what will spoil a measurement.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DoctorArgs {
    /// Print one JSON document on standard output
    #[arg(short = 'J', long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  podperf doctor
  podperf doctor -J | jq '.[] | select(.status != \"ok\")'";

/// Examines and prints; returns the exit status.
pub(super) fn run(args: &DoctorArgs) -> Result<u8> {
    let checks = examine(&Roots::default());
    print(|to| {
        if args.json {
            to.write_all(json::render(&checks).as_bytes())
        } else {
            as_text(&checks, to)
        }
    })
}

/// One row a check, at most 120 columns wide; the remedy stands below what was found.
fn as_text(checks: &[DoctorCheck], to: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new();
    let arrangement = ContentArrangement::Dynamic;
    table.load_style(TableStyle::new()).set_content_arrangement(arrangement).set_width(120);
    for check in checks {
        let status = match check.status {
            CheckStatus::Ok => "ok",
            CheckStatus::Warn => "warning",
            CheckStatus::Fail => "missing",
            CheckStatus::Unknown => "unknown",
        };
        let remedy = check.remedy.iter().map(|remedy| format!("\n→ {remedy}"));
        let finding = check.finding.clone() + &remedy.collect::<String>();
        table.add_row([status, check.name, &finding]);
    }
    writeln!(to, "{}", table.trim_fmt())
}
