//! `podperf coordinate`: tells agents whose turn it is.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::common::positive;
use crate::cli::output::background_log;
use crate::cli::system::{System, text_of};
use crate::cli::{signals, values};
use podperf_engine::coordination::coordinator::{CoordinateOptions, coordinate};
use podperf_model::error::Result;
use podperf_model::schedule::Schedule;
use podperf_model::units::parse_duration;

/// Holds the schedule when no file is named.
const SCHEDULE_VARIABLE: &str = "PODPERF_SCHEDULE";

/// Directs agents on other hosts (podperf agent), which measure in turn or together, by one
/// schedule, and writes their results to standard output, a record a line. Measures nothing itself.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CoordinateArgs {
    /// TCP port for agents; 0 takes any free one
    #[arg(short, long, value_name = "PORT", default_value = "5209",
          value_parser = values::listening_port)]
    port: u16,
    /// Address to listen on. Default: all, IPv6 and IPv4
    #[arg(long, value_name = "ADDRESS", value_parser = values::address)]
    bind: Option<IpAddr>,
    /// File with the schedule, as JSON. Default: the environment variable PODPERF_SCHEDULE, which
    /// holds the JSON itself
    #[arg(long, value_name = "FILE")]
    schedule: Option<PathBuf>,
    /// File with the secret that agents have to know. Default: the environment variable
    /// PODPERF_TOKEN, if set
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Silence after which an agent counts as lost
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    peer_timeout: Duration,
    /// Print nothing about what happens on standard error
    #[arg(short, long)]
    quiet: bool,
}

const EXAMPLES: &str = r#"A schedule names agents, and steps in their order; a step with several
agents starts them together:
  {"agents": ["a", "b"], "join_seconds": 60, "steps": [
    {"test": "pod", "sample": 1, "agents": ["a"], "limit_seconds": 30},
    {"test": "both", "sample": 1, "agents": ["a", "b"], "limit_seconds": 30}]}

Examples:
  podperf coordinate --schedule schedule.json > log
  PODPERF_SCHEDULE="$(cat schedule.json)" podperf coordinate -p 5300 --token-file token

Exit status: 0 all results are there and complete; 4 some are missing or incomplete; 3 none measured
anything; 130 or 143 ended by SIGINT or SIGTERM."#;

/// Directs the agents to the schedule's end, or until a signal; returns the exit status.
pub(super) fn run(args: &CoordinateArgs, system: &System) -> Result<u8> {
    positive("--peer-timeout", args.peer_timeout)?;
    let text = text_of("--schedule", args.schedule.as_deref(), SCHEDULE_VARIABLE)?;
    let options = CoordinateOptions {
        bind: args.bind,
        port: args.port,
        token: system.token(args.token_file.as_deref())?,
        peer_timeout: args.peer_timeout,
        schedule: Schedule::read(&text)?,
    };
    let stop = signals::watch()?;
    coordinate(&options, &mut io::stdout(), &background_log(args.quiet)?, &stop)
}
