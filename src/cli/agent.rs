//! `podperf agent`: measures in turn, as a coordinator says.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::common::positive;
use crate::cli::host::HostArg;
use crate::cli::output::background_log;
use crate::cli::system::{System, text_of};
use crate::cli::{Command, Measurement, calibrate, parse, signals};
use podperf_engine::control::client::Target;
use podperf_engine::coordination::PORT;
use podperf_engine::coordination::agent::{AgentOptions, join, tests};
use podperf_model::error::{Error, Kind, Result};
use podperf_model::plan::CheckedPlan;
use podperf_model::schedule::AgentConfig;
use podperf_model::units::parse_duration;

/// Holds the configuration when no file is named.
const AGENT_CONFIG_VARIABLE: &str = "PODPERF_AGENT_CONFIG";

/// Joins a coordinator (podperf coordinate) and measures when that says so. Results go to the
/// coordinator.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AgentArgs {
    /// Coordinator: name, IPv4 or IPv6 address, or host:port. Default port: 5209
    #[arg(value_name = "HOST")]
    host: HostArg,
    /// File with this agent's configuration, as JSON. Default: the environment variable
    /// PODPERF_AGENT_CONFIG, which holds the JSON itself
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Time for the coordinator to be there and to let this agent in
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = parse_duration)]
    join_timeout: Duration,
    /// File with the secret shared with the coordinator and with probed servers. Default: the
    /// environment variable PODPERF_TOKEN, if set
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Silence after which the coordinator counts as lost
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    peer_timeout: Duration,
    /// Print nothing about what happens on standard error
    #[arg(short, long)]
    quiet: bool,
}

const EXAMPLES: &str = r#"A configuration names the agent, its tests as the words of podperf command
lines, and paths to be probed before:
  {"agent": "a", "tests": {"pod": ["stream", "192.0.2.2:5210", "-P", "3", "-t", "10"]},
   "probes": [{"path": "pod", "address": "192.0.2.2:5210", "expect": "answer", "tests": ["pod"]}],
   "probe_seconds": 30}

Examples:
  podperf agent 192.0.2.9 --config agent.json
  PODPERF_AGENT_CONFIG="$(cat agent.json)" podperf agent coordinator.example:5300 --join-timeout 5m

Exit status: 0 the coordinator has finished; 2 usage; 3 not let in; 4 the coordinator was lost;
130 or 143 ended by SIGINT or SIGTERM."#;

/// Takes part until the coordinator has finished, or until a signal; returns the exit status.
pub(super) fn run(args: AgentArgs, system: &System) -> Result<u8> {
    positive("--peer-timeout", args.peer_timeout)?;
    positive("--join-timeout", args.join_timeout)?;
    let config = text_of("--config", args.config.as_deref(), AGENT_CONFIG_VARIABLE)?;
    let config = AgentConfig::read(&config)?;
    let tests = tests(&config, &|words| measurement(words, system))?;
    let coordinator = Target {
        port: args.host.port.unwrap_or(PORT),
        host: Some(args.host.name),
        token: system.token(args.token_file.as_deref())?,
        connect_timeout: args.join_timeout,
        peer_timeout: args.peer_timeout,
        ..Target::this_process()
    };
    let finish = &calibrate::hold_against_stored;
    let options =
        AgentOptions { coordinator, join_timeout: args.join_timeout, config, tests, finish };
    let stop = signals::watch()?;
    let ended_by = join(&options, &background_log(args.quiet)?, &stop)?;
    Ok(ended_by.map_or(0, Kind::exit_status))
}

/// Makes the words of a command line a measurement, if that is what they ask for.
pub(super) fn measurement(words: &[String], system: &System) -> Result<(CheckedPlan, Target)> {
    let refuse = |cause: &str| Error::new(Kind::Usage, "parse", cause);
    let name = OsString::from("podperf");
    let arguments: Vec<OsString> =
        std::iter::once(name).chain(words.iter().map(OsString::from)).collect();
    let parsed = parse(&arguments).map_err(|message| {
        let text = message.to_string();
        let first = text.lines().next().unwrap_or_default();
        refuse(first.strip_prefix("error: ").unwrap_or(first))
    })?;
    let Measurement { plan, target, output, sinks, wait_for_server: _ } = match parsed.command {
        Command::Stream(args) => args.resolve(system)?,
        Command::Rr(args) => args.resolve(system)?,
        Command::Crr(args) => args.resolve(system)?,
        Command::Udp(args) => args.resolve(system)?,
        _ => return Err(refuse("not a measurement; allowed: stream, rr, crr, udp")),
    };
    if output.asks() {
        return Err(refuse("the result goes to the coordinator; allowed: no -J and no --output"));
    }
    if sinks.asks() {
        return Err(refuse(
            "the result goes to the coordinator; allowed: no --sink, no --openmetrics",
        ));
    }
    Ok((plan, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_plans_by_the_rules_of_the_command_line() {
        let parsed = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(String::from).collect();
            measurement(&words, &System::example()).map_err(|error| error.to_string())
        };
        let (plan, target) = parsed("stream 192.0.2.2:5300 -P 3 -t 2").unwrap();
        assert_eq!((plan.flows, target.port, target.host.as_deref()), (3, 5300, Some("192.0.2.2")));
        for (line, cause) in [
            ("", "Measures what a network path carries"),
            ("stream ::1 -P 0", "'0' for '--streams': allowed: 1 to 16384"),
            ("stream ::1 -P x", "invalid value 'x' for '--streams <N>'"),
            ("stream ::1 --nosuch", "unexpected argument '--nosuch'"),
            ("nosuch", "unrecognized subcommand 'nosuch'"),
            ("serve", "not a measurement; allowed: stream, rr, crr, udp"),
            ("agent ::1", "not a measurement"),
            ("rr ::1 -J", "no -J and no --output"),
            ("rr ::1 -o f", "no -J and no --output"),
            ("rr ::1 --sink http://h/", "no --sink, no --openmetrics"),
            ("rr ::1 --openmetrics f", "no --sink, no --openmetrics"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(cause), "{line}: {error}");
        }
    }
}
