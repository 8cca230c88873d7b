//! `podperf calibrate`: what podperf itself can do on this machine.
//!
//! Enters: a time budget and where the record goes. Leaves: a table or JSON on standard output, and
//! the stored record. Measures nothing itself.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::output::{print, stderr_log};
use crate::cli::signals;
use podperf_engine::calibration::{calibrate, store};
use podperf_model::error::{Error, Kind, Result};
use podperf_model::result::run::Run;
use podperf_model::units::parse_duration;
use podperf_report::text;

/// Least and most time for all of it.
const TIME_LIMITS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(600)];

/// Measures what podperf itself can do on this machine: the cost of its steps and calls, its
/// ceiling over loopback, its shortest round trip. `stream` and `rr` then say how close they came.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CalibrateArgs {
    /// Time for all of it, about, from 2s to 10m
    #[arg(short, long, value_name = "TIME", default_value = "15", value_parser = parse_duration)]
    time: Duration,
    /// Print one JSON document on standard output instead of the table
    #[arg(short = 'J', long)]
    json: bool,
    /// Store the record in this file. Default: the environment variable PODPERF_CALIBRATION, else
    /// podperf/calibration.json in $XDG_CACHE_HOME or ~/.cache
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Store nothing
    #[arg(long, conflicts_with = "output")]
    no_store: bool,
    /// Print nothing about what happens on standard error
    #[arg(short, long)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Run it while the machine is idle. Another kernel, CPU, podperf or number of allowed CPUs makes a
stored record void.

Examples:
  podperf calibrate
  podperf calibrate -t 60 --no-store -J | jq '.streams'";

/// Measures, stores and prints; returns the exit status.
pub(super) fn run(args: &CalibrateArgs) -> Result<u8> {
    if !(TIME_LIMITS[0]..=TIME_LIMITS[1]).contains(&args.time) {
        let value = humantime::format_duration(args.time);
        return Err(Error::usage("--time", value, "allowed: 2s to 10m"));
    }
    let path = if args.no_store { None } else { args.output.clone().or_else(store::path) };
    if path.is_none() && !args.no_store {
        let cause = "neither PODPERF_CALIBRATION, XDG_CACHE_HOME nor HOME is set";
        return Err(Error::new(Kind::Usage, "find a place for the calibration", cause)
            .with_remedy("name a file with --output, or give --no-store"));
    }
    let stop = signals::watch()?;
    let print_message = stderr_log(args.quiet);
    let mut begin = |part: &str| print_message(&format!("calibrating: {part}"));
    let record = calibrate(args.time, &mut begin, &stop)?;
    // Shown first: what cannot be stored is not lost.
    let printed = print(|to| {
        if args.json {
            to.write_all(store::render(&record).as_bytes())
        } else {
            text::render_calibration(&record, to)
        }
    });
    if let Some(path) = &path {
        store::save(&record, path).map_err(|error| {
            let operation = format!("store the calibration in '{}'", path.display());
            Error::new(Kind::Incomplete, operation, error)
                .with_remedy("name another file with --output, or give --no-store")
        })?;
        print_message(&format!("calibration stored in {}", path.display()));
    }
    printed
}

/// Holds a run against the calibration that is stored for this user, if there is one.
pub(super) fn hold_against_stored(run: &mut Run) {
    use podperf_model::result::calibration::{hold_against, put_aside};
    let Some(path) = store::path() else { return };
    match store::load(&path) {
        Ok(Some(record)) => hold_against(run, &record),
        Ok(None) => {}
        Err(reason) => put_aside(run, &reason),
    }
}
