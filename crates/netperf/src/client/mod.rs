//! netperf: asks netserver for a test, does its own half, and prints what came of it.
//!
//! Enters: options. Leaves: netperf's output on both streams and its exit status.

mod ask;
mod control;
mod datagram_proof;
mod diagnosis;
mod dial;
mod figures;
mod measurement;

use std::io::{self, ErrorKind, Write as _};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use nix::sys::signal::Signal;

use super::confidence;
use super::figures::Figures;
use super::options::{ExitMessage, Options};
use super::output;
use super::signals;
use super::test_kind::NetperfTest;
use super::wire::{WireMessage, kind};
use control::ControlClient;
use podperf_model::error::Kind;

/// CPU rate that netperf and netserver tell where they read /proc/stat: clock ticks a second.
const CPU_RATE: &str = "100";
/// Most that netserver may tell: not all count clock ticks.
const MAX_CPU_RATE_PER_SECOND: f32 = 1e12;
/// After a SIGTERM it shows what there is within so long, or ends without.
const TERMINATION: Duration = Duration::from_secs(4);
/// netperf's exit status where no connection of a test of connections can be opened.
const NEVER_CONNECTED: u8 = 255;
/// As a shell tells that SIGTERM ended a process.
const TERMINATED: u8 = 143;

/// Carries out what was asked; the exit status.
///
/// # Errors
/// When there is nothing to show: the [`ExitMessage`] says what is printed instead.
pub fn run(options: &Options) -> Result<u8, ExitMessage> {
    for note in &options.notes {
        print_error(&format!("{note}\n"));
    }
    let signals = [Signal::SIGINT, Signal::SIGALRM, Signal::SIGTERM, Signal::SIGHUP];
    let (stop_sender, stop) =
        signals::watch(&signals, Some(TERMINATION)).map_err(ExitMessage::because)?;
    match options.test {
        NetperfTest::LocCpu => {
            let cpus = std::thread::available_parallelism().map_or(1, usize::from);
            return print_all(&rate(options, CPU_RATE, "local", cpus));
        }
        NetperfTest::Uuid => {
            return print_all(&uuid(options));
        }
        _ => {}
    }
    let payload = measurement::payload(options)?;
    let mut control = ControlClient::connect(options)?;
    if let Some(passphrase) = &options.passphrase {
        let mut message = WireMessage::of(kind::PASSPHRASE);
        message.put_text(8, 648, passphrase);
        control.send(&message)?;
    }
    if options.test == NetperfTest::RemCpu {
        let answer = control.ask(&WireMessage::of(kind::CPU_CALIBRATE))?;
        let told: f32 = answer.get(8);
        if !(0.0..=MAX_CPU_RATE_PER_SECOND).contains(&told) {
            let peer = control.peer;
            return Err(ExitMessage::because(format!("{peer} tells no CPU rate: {told}")));
        }
        let cpus = answer.get::<u32>(12) as usize;
        return print_all(&rate(options, &format!("{told:.0}"), "remote", cpus));
    }
    let names = measurement::names(options, control.peer);
    if options.header && !options.json {
        print(&output::banner(options, &names)).map_err(|error| unwritten(&error))?;
    }
    let native = options.native && control.is_native()?;
    if options.streams > 1 && !native {
        return Err(ExitMessage::because(format!(
            "{} streams: the netserver at {} is not podperf's, which takes one; run as many \
             netperfs instead",
            options.streams, control.peer
        )));
    }
    let session = TestSession { control, payload, native, stop_sender, stop };
    measure(options, session, names)
}

/// A CPU rate, which stands without a line end where nothing follows it.
fn rate(options: &Options, rate: &str, end: &str, cpus: usize) -> String {
    if options.verbosity > 1 {
        format!("{rate}\nThere are {cpus} {end} cpus\n")
    } else {
        rate.to_owned()
    }
}

/// What a measurement needs beside its options.
struct TestSession {
    control: ControlClient,
    payload: Option<std::sync::Arc<[u8]>>,
    native: bool,
    stop_sender: Sender<Kind>,
    stop: Receiver<Kind>,
}

/// All iterations of a test.
fn measure(
    options: &Options,
    mut session: TestSession,
    names: output::Names,
) -> Result<u8, ExitMessage> {
    let mut done: Vec<Figures> = Vec::new();
    let (fewest, most) = options.confidence.map_or((1, 1), |goal| goal.iterations);
    for number in 1..=most {
        let figures = measurement::once(options, &mut session)?;
        let over = figures.incomplete.is_some() || figures.stopped.is_some();
        done.push(figures);
        let reached = options.confidence.is_some_and(|goal| confidence::of(&goal, &done).reached);
        if over || (number >= fewest && reached) {
            break;
        }
    }
    let merged = match &options.confidence {
        Some(goal) => confidence::merge(goal, done),
        None => done.pop(),
    };
    let Some(figures) = merged else { return Ok(1) };
    let facts = output::Facts { uuid: uuid(options), names };
    finish(options, &figures, &facts)
}

/// Prints the result. What is incomplete is told on standard error, where nobody takes it for a
/// whole one; as a document it says so itself.
fn finish(options: &Options, figures: &Figures, facts: &output::Facts) -> Result<u8, ExitMessage> {
    if std::env::var_os("DUMP_TCP_INFO").is_some()
        && let Some(dump) = &figures.tcp_info
    {
        print_error(&output::tcp_info(dump));
    }
    for text in figures.allowed_cpus() {
        print_error(&format!("netperf: {text}\n"));
    }
    let Some(reason) = &figures.incomplete else {
        print_all(&output::result(options, figures, facts))?;
        return Ok(if figures.stopped == Some(Kind::Terminated) { TERMINATED } else { 0 });
    };
    if options.json {
        print_all(&output::result(options, figures, facts))?;
    }
    print_error(&format!("{reason}\n"));
    print_error(&format!(
        "netperf: incomplete: {} over {:.2} s until then\n",
        output::rate(options, figures),
        figures.elapsed_seconds
    ));
    let connected = options.shape.direction.lasts() || figures.transactions_per_second > Some(0.0);
    Ok(if connected { 1 } else { NEVER_CONNECTED })
}

/// What `-u` said, or a new one.
fn uuid(options: &Options) -> String {
    options.data.uuid.clone().unwrap_or_else(measurement::random_uuid)
}

/// On standard output.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// On standard output, as the last that is said there.
fn print_all(text: &str) -> Result<u8, ExitMessage> {
    print(text).map(|()| 0).map_err(|error| unwritten(&error))
}

/// What cannot be written: a reader that is gone wants to know nothing more.
pub(crate) fn unwritten(error: &io::Error) -> ExitMessage {
    if error.kind() == ErrorKind::BrokenPipe {
        return ExitMessage::failure("");
    }
    ExitMessage::because(format!("write to standard output: {}", control::cause(error)))
}

/// On standard error.
fn print_error(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
