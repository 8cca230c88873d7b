//! What was typed, one file a subcommand.
//!
//! Enters: the command line. Leaves: for a measurement, a `Measurement` (plan, target, output)
//! that every rule has accepted, handed to `control`; for the rest, text on standard output. Usage
//! errors come before any network traffic. Nothing here measures, and only `main` ends the process.

mod agent;
mod calibrate;
mod common;
#[cfg(feature = "documents")]
mod compare;
mod completions;
mod coordinate;
mod crr;
mod doctor;
mod host;
mod man;
#[cfg(feature = "documents")]
mod merge;
mod metrics_file;
#[cfg(not(feature = "documents"))]
mod no_documents;
mod output;
mod refusal;
#[cfg_attr(not(feature = "documents"), path = "no_report.rs")]
mod report;
mod rr;
#[cfg(feature = "documents")]
mod saturate;
mod schema;
mod send_spool;
mod serve;
mod service_manager;
mod signals;
mod sinks;
mod stream;
mod system;
#[cfg(test)]
mod tests;
mod udp;
mod values;
mod wait_for_server;

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::time::Duration;

use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand as MissingSubcommand;
use clap::{Arg, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use humantime::format_duration;

#[cfg(not(feature = "documents"))]
use no_documents as compare;
#[cfg(not(feature = "documents"))]
use no_documents as merge;
#[cfg(not(feature = "documents"))]
use no_documents as saturate;
use output::{Output, OutputArgs};
use podperf_engine::control::client::{Hooks, QueuePlace, Target, measure_with};
use podperf_model::error::{Kind, Result};
use podperf_model::plan::CheckedPlan;
use podperf_model::result::run::{Interval, OpenedRun};
use sinks::{SinkArgs, masked_words};
use system::System;

/// Measures what a network path carries and what it costs: throughput, request/response latency,
/// and CPU on both ends.
#[derive(Debug, Parser)]
#[command(name = "podperf", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  podperf stream                   a first look: ten seconds over loopback, nothing else needed
  podperf serve                    on one host …
  podperf stream 192.0.2.2 -P 3    … throughput of three streams, from another
  podperf rr 192.0.2.2             … and request/response latency
  podperf crr 192.0.2.2            … and that of connections

Exit status: 0 complete; 2 usage; 3 nothing could be measured; 4 incomplete (what was measured is
printed); 5 deadline passed; 130 ended by SIGINT, 143 by SIGTERM or SIGHUP.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Waits for measurements; one port, TCP and UDP, carries control and data
    Serve(serve::ServeArgs),
    /// Measures the throughput of bulk transfers
    Stream(stream::StreamArgs),
    /// Measures the latency and rate of requests and responses
    Rr(rr::RrArgs),
    /// Measures connections: connect, request, response, close
    Crr(crr::CrrArgs),
    /// Measures loss, reordering and jitter of datagrams, or their latency
    Udp(udp::UdpArgs),
    /// Finds how many streams fill a path, and what keeps more from carrying more
    Saturate(saturate::SaturateArgs),
    /// Checks what this machine lets podperf do, what will spoil a measurement, and the way to a
    /// server
    Doctor(doctor::DoctorArgs),
    /// Measures what podperf itself can do on this machine, so that results can be held against it
    Calibrate(calibrate::CalibrateArgs),
    /// Compares results: what is faster or slower, and how sure that is
    Compare(compare::CompareArgs),
    /// Shows results that were written before: as text, a page, Markdown, CSV or percentiles
    Report(report::ReportArgs),
    /// Puts the latencies of several runs together
    Merge(merge::MergeArgs),
    /// Directs agents on several hosts, which measure by one schedule, and writes down their
    /// results
    Coordinate(coordinate::CoordinateArgs),
    /// Measures when a coordinator says so
    Agent(agent::AgentArgs),
    /// Prints a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Prints the manual page, or writes one for each subcommand
    Man(man::ManArgs),
    /// Prints the JSON Schema of a run's document
    Schema,
}

/// A measurement that may start: every rule has accepted it.
#[derive(Debug)]
struct Measurement {
    plan: CheckedPlan,
    target: Target,
    /// Time that a server may take to come.
    wait_for_server: Option<Duration>,
    output: OutputArgs,
    sinks: SinkArgs,
}

/// Runs a command line (the program's name first); returns the exit status.
///
/// # Errors
/// When the command line cannot be carried out, or its result could not be handed over.
pub fn run_command_line<I: IntoIterator<Item = OsString>>(arguments: I) -> Result<u8> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match parse(&arguments) {
        Ok(cli) => cli,
        Err(message) => {
            if message.use_stderr() {
                refusal::print_if_asked(&arguments, &refusal::of_parser(&message));
            }
            return Ok(print_message(&message));
        }
    };
    let status = carry_out(cli.command, &arguments);
    if let Err(error) = &status
        && error.kind == Kind::Usage
    {
        refusal::print_if_asked(&arguments, error);
    }
    status
}

fn carry_out(command: Command, arguments: &[OsString]) -> Result<u8> {
    match command {
        Command::Serve(args) => serve::run(&args, &System::read()),
        Command::Stream(args) => run_measurement(args.resolve(&System::read())?, arguments),
        Command::Rr(args) => run_measurement(args.resolve(&System::read())?, arguments),
        Command::Crr(args) => run_measurement(args.resolve(&System::read())?, arguments),
        Command::Udp(args) => run_measurement(args.resolve(&System::read())?, arguments),
        #[cfg(feature = "documents")]
        Command::Saturate(args) => saturate::run(args, &System::read(), arguments),
        #[cfg(not(feature = "documents"))]
        Command::Saturate(args) => saturate::run(&args),
        Command::Doctor(args) => doctor::run(args, &System::read()),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Coordinate(args) => coordinate::run(&args, &System::read()),
        Command::Agent(args) => agent::run(args, &System::read()),
        Command::Completions(args) => completions::run(&args, &mut Cli::command()),
        Command::Man(args) => man::run(&args, Cli::command()),
        Command::Schema => schema::run(),
    }
}

/// Checks the words of a measurement (subcommand first) by the rules that hold on any system.
///
/// # Errors
/// Naming the option, its value and what is allowed.
pub fn check_command_line(words: &[String]) -> Result<()> {
    agent::measurement(words, &System::anywhere()).map(|_| ())
}

/// Prints help, the version, or a usage error; returns the exit status.
fn print_message(message: &clap::Error) -> u8 {
    // Without a subcommand it is the whole help, which is no sentence to be prefixed.
    if message.use_stderr() && message.kind() != MissingSubcommand {
        let _ = write!(io::stderr(), "podperf: ");
    }
    match (message.print(), u8::try_from(message.exit_code())) {
        (Ok(()), Ok(status)) => status,
        (Ok(()), Err(_)) => Kind::Usage.exit_status(),
        // Whoever has closed it does not want it; of standard error nobody would hear.
        (Err(error), _) if error.kind() == io::ErrorKind::BrokenPipe => Kind::Usage.exit_status(),
        (Err(error), _) => {
            output::print_line(&format!("error: write to standard output: {error}"));
            Kind::Usage.exit_status()
        }
    }
}

/// Names of values that are quantities. A negative one begins with a hyphen and is still a value,
/// so that it is refused by what is allowed and not as an option that nobody knows.
const QUANTITIES: [&str; 9] =
    ["BYTES", "CPUS", "DSCP", "N", "PERCENT", "PORT", "RATE", "SIZE", "TIME"];

fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let with_hyphens = |arg: Arg| {
        let mut names = arg.get_value_names().unwrap_or_default().iter();
        let quantity = names.any(|name| QUANTITIES.contains(&name.as_str()));
        if quantity { arg.allow_hyphen_values(true) } else { arg }
    };
    let command = Cli::command().mut_subcommands(|command| command.mut_args(with_hyphens));
    let matches = command.try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// Measures and hands the result over.
fn run_measurement(measurement: Measurement, arguments: &[OsString]) -> Result<u8> {
    let Measurement { plan, mut target, wait_for_server, output, sinks } = measurement;
    let output = Output::open(output)?;
    let sinks = sinks.check()?;
    let stop = signals::watch()?;
    let sinks = RefCell::new(sinks.start()?);
    if let Some(wait_for_server) = wait_for_server {
        wait_for_server::wait(&mut target, wait_for_server, &stop);
    }
    let mut live = output.live(&plan).filter(|_| !plan.interval.is_zero());
    let mut watch = |interval: &Interval| {
        if let Some(live) = &mut live {
            live.interval(interval);
        }
        sinks.borrow_mut().interval(interval);
    };
    let mut opened = |run: &OpenedRun<'_>| sinks.borrow_mut().opened(run);
    let log = output.log();
    let mut queued = |place: QueuePlace| log(&in_queue(place));
    let hooks = Hooks {
        watch: &mut watch,
        queued: &mut queued,
        before_start: &mut || Ok(()),
        opened: &mut opened,
    };
    let mut run = measure_with(&plan, &target, hooks, &stop);
    if let Some(live) = &mut live {
        live.finish();
    }
    calibrate::hold_against_stored(&mut run);
    run.command = masked_words(arguments);
    // The result first: a sink may take its time.
    let written = output.write(&run);
    let sunk = sinks.into_inner().finish(&run);
    written.map(|status| if status == 0 { sunk } else { status })
}

/// What is said of a run that has to wait for its turn.
fn in_queue(QueuePlace { place, longest_wait }: QueuePlace) -> String {
    let longest = format_duration(Duration::from_secs(longest_wait.as_secs()));
    format!("waiting in the server's queue: place {place}, for {longest} at most")
}
