//! `podperf serve`: the listening end.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use humantime::format_duration;

use crate::cli::common::positive;
use crate::cli::output::{log_writer, print};
use crate::cli::signals::{self, ServerSignals};
use crate::cli::system::{System, TOKEN_VARIABLE};
use crate::cli::{service_manager, values};
use podperf_engine::control::server::{PassedSockets, ServeOptions, Server};
use podperf_engine::net::{LogFormat, LogWriter};
use podperf_engine::policy::PolicyFile;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::plan::ClientPermissions;
use podperf_model::plan::limits::Limits;
use podperf_model::run_record::RunRecord;
use podperf_model::units::{Bytes, parse_count, parse_duration};

/// A run of one flow takes about one MiB, and half of the budget.
const MIN_MEMORY: Bytes = Bytes(4 << 20);

/// Most that a run may wait for its start.
const MAX_START_TIMEOUT: Duration = Duration::from_secs(3600);

/// How a server's log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogStyle {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl From<LogStyle> for LogFormat {
    fn from(style: LogStyle) -> Self {
        match style {
            LogStyle::Text => Self::Text,
            LogStyle::Json => Self::Json,
        }
    }
}

/// Waits for measurements, many at once; one TCP port carries control and data.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServeArgs {
    /// TCP port of control and data; 0 takes any free one. A listener that a service manager passes
    /// (LISTEN_FDS) takes the place of --port and --bind
    #[arg(short, long, value_name = "PORT", default_value = "5210",
          value_parser = values::listening_port, help_heading = "Connection")]
    port: u16,
    /// Address to listen on. Default: all, IPv6 and IPv4
    #[arg(long, value_name = "ADDRESS", value_parser = values::address,
          help_heading = "Connection")]
    bind: Option<IpAddr>,
    /// TCP port of crr runs, whose connections carry payload alone; allows one such run at a time.
    /// Default: another free port for each run
    #[arg(long, value_name = "PORT", value_parser = values::port, help_heading = "Connection")]
    data_port: Option<u16>,
    /// Accept Multipath TCP beside TCP, for runs with --mptcp. Other runs should not use such a
    /// port: its connections cannot do all that those of a plain one can
    #[arg(long, help_heading = "Connection")]
    mptcp: bool,
    /// File with the secret that clients have to know. Default: the environment variable
    /// PODPERF_TOKEN, if set
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    token_file: Option<PathBuf>,
    /// TOML file that says who may come and how much each may have (docs/SERVER.md); read again
    /// on SIGHUP. What a rule says of time, CPUs and spinning takes the place of the options
    #[arg(long, value_name = "FILE", conflicts_with = "token_file", help_heading = "Limits")]
    policy: Option<PathBuf>,
    /// Say what such a file allows, or where it is broken, and serve nobody
    #[arg(long, value_name = "FILE", exclusive = true)]
    check: Option<PathBuf>,
    /// End after one measurement
    #[arg(short = '1', long)]
    once: bool,
    /// The longest silence that a client may ask for before it counts as lost; without its
    /// --peer-timeout that is 5 s
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration,
          help_heading = "Connection")]
    peer_timeout: Duration,
    /// From a run that is ready to its client's start; what comes later is refused, and its place
    /// is free. Agents of one step wait up to 20 s for each other
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration,
          help_heading = "Limits")]
    start_timeout: Duration,
    /// Measurements at once. Default: 64
    #[arg(long, value_name = "N", value_parser = parse_count::<u32>, help_heading = "Limits")]
    max_sessions: Option<u32>,
    /// Data connections of one measurement. Default: 16384
    #[arg(long, value_name = "N", value_parser = parse_count::<u32>, help_heading = "Limits")]
    max_streams: Option<u32>,
    /// Warm-up and window of one measurement together, at most 7 days
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration,
          help_heading = "Limits")]
    max_time: Duration,
    /// Memory of all measurements together, of which one takes at most half. Default: 75 % of what
    /// this process may use, by its cgroup, its limit on address space or the machine
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    max_memory: Option<Bytes>,
    /// Clients that are not on this machine may name the CPUs that serve them (--server-pin). Those
    /// on it always may
    #[arg(long, help_heading = "Limits")]
    allow_client_affinity: bool,
    /// Clients that are not on this machine may have workers that never sleep, or that poll the
    /// device (--server-wait). Those on it always may
    #[arg(long, help_heading = "Limits")]
    allow_client_spin: bool,
    /// At SIGTERM or SIGINT, how long measurements under way may go on; then they end as
    /// incomplete, with what was measured. No new one begins meanwhile. 0: they end at once. A
    /// further signal, a second later or more, ends everything
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = parse_duration,
          help_heading = "Limits")]
    drain: Duration,
    /// Where a scraper finds what the server has counted (OpenMetrics, /metrics). Without an
    /// address: on loopback
    #[arg(long, value_name = "[ADDRESS:]PORT", value_parser = values::port_on_loopback)]
    metrics: Option<SocketAddr>,
    /// How to tell on standard error what happens: lines of text, or an object of JSON a line, one
    /// for each run and one for each other event
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogStyle::Text)]
    log: LogStyle,
    /// Print nothing about what happens on standard error
    #[arg(short, long)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Anybody who reaches the port can make this host send and receive; beyond loopback, use a token.

Examples:
  podperf serve                                     on all addresses, port 5210
  podperf serve --token-file /run/secrets/podperf   for those who know the secret
  podperf serve -p 5211 --bind 192.0.2.2 -1         on one address, for one measurement
  podperf serve --max-streams 64 --max-time 2m      with tighter limits
  podperf serve --check policy.toml                 what a policy allows, in words
  podperf serve --policy policy.toml                who may come, and how much each may have";

/// Serves until a signal, or after one measurement; returns the exit status.
pub(super) fn run(args: &ServeArgs, system: &System) -> Result<u8> {
    if let Some(policy) = &args.check {
        let policy = PolicyFile::read(policy)?;
        return print(|to| write!(to, "{policy}"));
    }
    let mut options = args.resolve(system)?;
    let ServerSignals { stop, reload } = signals::watch_as_server()?;
    options.reload = Some(reload);
    options.passed = service_manager::passed_sockets()?;
    let writer = log_writer(args.quiet, args.log.into())?;
    options.lines_left_out = writer.as_ref().map(LogWriter::left_out);
    let log = |line: &str| writer.iter().for_each(|writer| writer.write(line));
    let runs = |run: &RunRecord| writer.iter().for_each(|writer| writer.write_run(run));
    let as_records = args.log == LogStyle::Json;
    let server = Server::open(options, &log)?;
    service_manager::tell_ready();
    let ended_by = server.run(&log, as_records.then_some(&runs), &stop)?;
    Ok(ended_by.map_or(0, Kind::exit_status))
}

impl ServeArgs {
    /// Makes what was typed the server's options, or an error that says what is allowed.
    pub(super) fn resolve(&self, system: &System) -> Result<ServeOptions> {
        positive("--peer-timeout", self.peer_timeout)?;
        if self.start_timeout.is_zero() || self.start_timeout > MAX_START_TIMEOUT {
            let most = format_duration(MAX_START_TIMEOUT);
            let asked = format_duration(self.start_timeout);
            let allowed = format!("allowed: more than 0s, at most {most}");
            return Err(Error::usage("--start-timeout", asked, allowed));
        }
        let token = system.token(self.token_file.as_deref())?;
        if let (Some(policy), Some(_)) = (&self.policy, &token) {
            let cause =
                format!("allowed: with {TOKEN_VARIABLE} unset: the policy names the tokens");
            return Err(Error::usage("--policy", policy.display(), cause));
        }
        let policy = self.policy.as_deref().map(PolicyFile::open).transpose()?;
        Ok(ServeOptions {
            bind: self.bind,
            port: self.port,
            data_port: self.data_port.unwrap_or(0),
            mptcp: self.mptcp,
            token,
            policy,
            reload: None,
            passed: PassedSockets::default(),
            once: self.once,
            limits: self.limits()?,
            permissions: ClientPermissions {
                affinity: self.allow_client_affinity,
                spin: self.allow_client_spin,
            },
            max_memory: self.max_memory()?,
            in_process: false,
            peer_timeout: self.peer_timeout,
            start_timeout: self.start_timeout,
            drain: self.drain()?,
            metrics: self.metrics,
            lines_left_out: None,
        })
    }

    /// Returns the memory asked for; less than the least that a run takes would refuse all.
    fn max_memory(&self) -> Result<Option<Bytes>> {
        match self.max_memory {
            Some(asked) if asked < MIN_MEMORY => {
                let allowed = format!("allowed: at least {MIN_MEMORY}");
                Err(Error::usage("--max-memory", asked, allowed))
            }
            asked => Ok(asked),
        }
    }

    /// Returns the time to drain, which is at most that of the longest run.
    fn drain(&self) -> Result<Duration> {
        let most = Limits::default().duration;
        if self.drain > most {
            let allowed = format!("allowed: 0s to {}", format_duration(most));
            return Err(Error::usage("--drain", format_duration(self.drain), allowed));
        }
        Ok(self.drain)
    }

    /// Returns the limits, which may be tightened but not widened: a client checks against the
    /// widest.
    fn limits(&self) -> Result<Limits> {
        let widest = Limits::default();
        let capped = |option, asked: Option<u32>, most| {
            let value = asked.unwrap_or(most);
            if !(1..=most).contains(&value) {
                return Err(Error::usage(option, value, format!("allowed: 1 to {most}")));
            }
            Ok(value)
        };
        let duration = self.max_time;
        if duration.is_zero() || duration > widest.duration {
            let most = format_duration(widest.duration);
            let allowed = format!("allowed: more than 0s, at most {most}");
            return Err(Error::usage("--max-time", format_duration(duration), allowed));
        }
        Ok(Limits {
            sessions: capped("--max-sessions", self.max_sessions, widest.sessions)?,
            connections: capped("--max-streams", self.max_streams, widest.connections)?,
            duration,
            ..widest
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        args: ServeArgs,
    }

    #[test]
    fn a_server_takes_tighter_limits_but_not_wider_ones() {
        let options = |line: &str| {
            let words = std::iter::once("serve").chain(line.split_whitespace());
            let typed = Typed::try_parse_from(words).unwrap();
            typed.args.resolve(&System::example()).map_err(|error| error.to_string())
        };
        let tight =
            options("-1 -p 0 --max-sessions 2 --max-streams 8 --max-time 2m --bind ::1").unwrap();
        assert_eq!((tight.port, tight.once, tight.bind), (0, true, "::1".parse().ok()));
        assert_eq!((tight.limits.sessions, tight.limits.connections), (2, 8));
        assert_eq!(tight.limits.duration, Duration::from_secs(120));
        assert_eq!(tight.max_memory, None);
        let hour = Duration::from_secs(3600);
        assert_eq!(options("").unwrap().limits.duration, hour);
        assert_eq!(options("--max-time 7d").unwrap().limits.duration, hour * 24 * 7);
        assert_eq!(tight.permissions, ClientPermissions::default());
        let open = options("--allow-client-affinity --allow-client-spin").unwrap();
        assert_eq!(open.permissions, ClientPermissions { affinity: true, spin: true });
        assert_eq!(options("--max-memory 1.5G").unwrap().max_memory, Some(Bytes(3 << 29)));
        for (line, expected) in [
            ("--max-sessions 0", "'0' for '--max-sessions': allowed: 1 to 64"),
            ("--max-streams 16385", "'16385' for '--max-streams': allowed: 1 to 16384"),
            ("--max-time 0", "'0s' for '--max-time': allowed: more than 0s, at most 7days"),
            ("--max-time 8d", "'8days' for '--max-time': allowed: more than 0s, at most 7days"),
            ("--start-timeout 0", "'0s' for '--start-timeout': allowed: more than 0s, at most 1h"),
            ("--start-timeout 2h", "'2h' for '--start-timeout': allowed: more than 0s, at most 1h"),
            ("--drain 8d", "'8days' for '--drain': allowed: 0s to 7days"),
            ("--max-memory 3M", "'3 MiB' for '--max-memory': allowed: at least 4 MiB"),
            ("--peer-timeout 0", "'0' for '--peer-timeout': allowed: more than 0 seconds"),
        ] {
            assert_eq!(options(line).unwrap_err(), format!("invalid value {expected}"), "{line}");
        }
    }
}
