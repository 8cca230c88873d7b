//! `podperf doctor`: what this machine lets podperf do, what will spoil a measurement, and what
//! stands between it and a server.
//!
//! Enters: the checks. Leaves: a table or JSON. Examines nothing itself.

use std::io::{self, Write};

use clap::Args;
use comfy_table::{ContentArrangement, Table, TableStyle};

use crate::cli::common::ReachArgs;
use crate::cli::host::HostArg;
use crate::cli::output::print;
use crate::cli::system::System;
use podperf_engine::control::client;
use podperf_engine::metrics::doctor::{CheckStatus, DoctorCheck, examine};
use podperf_engine::metrics::roots::Roots;
use podperf_model::error::Result;
use podperf_report::json;

/// Checks what this machine lets podperf do, and what will spoil a measurement; with HOST, also
/// whether a run can reach the server there: by which address, whether by one server, with packets
/// of full size, by UDP, and past what.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DoctorArgs {
    /// Server to check the way to: name, IPv4 or IPv6 address, or host:port. Default: none
    #[arg(value_name = "HOST")]
    host: Option<HostArg>,
    #[command(flatten)]
    reach: ReachArgs,
    /// Print one JSON document on standard output
    #[arg(short = 'J', long, help_heading = None)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  podperf doctor
  podperf doctor 192.0.2.2
  podperf doctor -J | jq '.[] | select(.status != \"ok\")'";

/// Examines and prints; returns the exit status.
pub(super) fn run(args: DoctorArgs, system: &System) -> Result<u8> {
    let target = args.reach.target(args.host.as_ref(), system)?;
    let mut checks = examine(&Roots::default());
    if args.host.is_some() {
        // A signal ends the process.
        checks.extend(client::examine(&target, &crossbeam_channel::never()));
    }
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
