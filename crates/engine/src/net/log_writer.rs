//! A log that no server ever waits for: lines go to a bounded queue, and one thread writes them.
//!
//! Enters: lines, from any thread. Leaves: the same lines, in their order, as text or each as an
//! object of JSON. Left out is what finds the queue full because nobody reads what is written, what
//! one address brings about beyond a rate, and what all together do; a later line says how much
//! that was.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde::Serialize;

use super::address_limits::address_of;
use podperf_model::run_record::RunRecord;

/// Lines that wait to be written.
const MAX_QUEUED_LINES: usize = 512;
/// Characters of a line; the rest of it is cut.
const MAX_LINE_CHARACTERS: usize = 1000;
/// Lines about one address, /32 or /64: at once, and then each second.
const OF_ADDRESS: Rate = Rate { at_once: 256.0, per_second: 10.0 };
/// Lines about whomever: at once, and then each second.
const OF_ALL: Rate = Rate { at_once: 1024.0, per_second: 100.0 };
/// Addresses whose lines are counted apart.
const MAX_ADDRESSES: usize = 4096;
/// Between two lines about what was left out.
const NOTE_INTERVAL: Duration = Duration::from_secs(1);
/// For the last lines to be written at the end.
const LAST_LINES_TIMEOUT: Duration = Duration::from_millis(500);

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people: the program's name, and what happened.
    Text,
    /// For programs: an object a line.
    Json,
}

/// An event that is no run, as JSON.
#[derive(Debug, Serialize)]
struct LogEvent<'a> {
    /// RFC 3339, UTC.
    time: String,
    event: &'static str,
    program: &'a str,
    text: &'a str,
}

/// The way to the thread that writes.
#[derive(Debug)]
pub struct LogWriter {
    /// Absent: the log is at its end.
    lines: Option<Sender<String>>,
    limits: Arc<Mutex<LogLimits>>,
    left_out: LinesLeftOut,
    /// Disconnected when all is written.
    written: Receiver<()>,
    style: LineStyle,
}

/// How many lines a log has left out since it began.
#[derive(Debug, Clone, Default)]
pub struct LinesLeftOut(Arc<AtomicU64>);

impl LinesLeftOut {
    /// How many they are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What every line has.
#[derive(Debug, Clone, Copy)]
struct LineStyle {
    program: &'static str,
    format: LogFormat,
}

impl LogWriter {
    /// Starts the thread, which writes to `to`, each line with the name of `program`.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(
        program: &'static str,
        format: LogFormat,
        to: impl Write + Send + 'static,
    ) -> io::Result<Self> {
        let style = LineStyle { program, format };
        let (lines, queued) = bounded(MAX_QUEUED_LINES);
        let (writing, written) = bounded(0);
        let limits = Arc::new(Mutex::new(LogLimits::new(Instant::now())));
        let shared = Arc::clone(&limits);
        let write = move || {
            write_lines(&queued, &shared, style, to);
            drop(writing);
        };
        Builder::new().name("podperf-log".into()).stack_size(256 << 10).spawn(write)?;
        let left_out = LinesLeftOut::default();
        Ok(Self { lines: Some(lines), limits, left_out, written, style })
    }

    /// What it leaves out, for whoever counts.
    #[must_use]
    pub fn left_out(&self) -> LinesLeftOut {
        self.left_out.clone()
    }

    /// Hands a line over, or leaves it out; never waits. What a peer wrote may stand in it, so
    /// control characters do not reach a terminal.
    pub fn write(&self, line: &str) {
        self.hand_over(address_in(line), || self.style.framed(line));
    }

    /// Hands over what came of a run, as JSON, or leaves it out; never waits.
    pub fn write_run(&self, run: &RunRecord) {
        self.hand_over(address_in(&run.peer), || {
            let error = run.error.as_deref().map(|error| cut(error).0);
            as_json(&RunRecord { time: now(), error, ..run.clone() })
        });
    }

    fn hand_over(&self, address: Option<IpAddr>, line: impl FnOnce() -> String) {
        let mut limits = lock(&self.limits);
        if !limits.admit(address, Instant::now()) {
            self.left_out.0.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let line = line();
        if self.lines.as_ref().is_none_or(|lines| lines.try_send(line).is_err()) {
            limits.left_out.unread += 1;
            self.left_out.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.lines = None;
        // A reader that takes nothing more does not hold the end up.
        let _: Result<(), RecvTimeoutError> = self.written.recv_timeout(LAST_LINES_TIMEOUT);
    }
}

/// As much of a text as a line may have, without control characters; and what stands for the rest.
fn cut(text: &str) -> (String, &'static str) {
    let characters = text.chars().take(MAX_LINE_CHARACTERS);
    let plain = characters.map(|char| if char.is_control() { ' ' } else { char });
    let is_longer = text.chars().nth(MAX_LINE_CHARACTERS).is_some();
    (plain.collect(), if is_longer { "…" } else { "" })
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

/// Makes an object a line. One of texts and numbers alone can always be written.
fn as_json(object: &impl Serialize) -> String {
    serde_json::to_string(object).unwrap_or_default() + "\n"
}

impl LineStyle {
    /// Makes one whole line of the log.
    fn framed(self, line: &str) -> String {
        let (plain, rest) = cut(line);
        let Self { program, format } = self;
        match format {
            LogFormat::Text => format!("{program}: {plain}{rest}\n"),
            LogFormat::Json => {
                let text = &format!("{plain}{rest}");
                as_json(&LogEvent { time: now(), event: "log", program, text })
            }
        }
    }
}

/// Writes what is queued until there is nobody who logs. With its reader gone there is nobody to
/// tell.
fn write_lines(
    lines: &Receiver<String>,
    limits: &Mutex<LogLimits>,
    style: LineStyle,
    mut to: impl Write,
) {
    let mut noted = Instant::now();
    loop {
        let line = lines.recv_timeout(NOTE_INTERVAL);
        if let Ok(line) = &line {
            let _ = to.write_all(line.as_bytes());
        }
        let last = line == Err(RecvTimeoutError::Disconnected);
        if last || noted.elapsed() >= NOTE_INTERVAL {
            noted = Instant::now();
            let left_out = std::mem::take(&mut lock(limits).left_out);
            if let Some(note) = left_out.note() {
                let _ = to.write_all(style.framed(&note).as_bytes());
            }
        }
        if last {
            return;
        }
    }
}

/// A thread that panicked has left the counts whole, so poison does not matter.
fn lock(limits: &Mutex<LogLimits>) -> MutexGuard<'_, LogLimits> {
    limits.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Finds the address that a line is about: the first in it, for what a peer wrote stands behind
/// its address. Of IPv6 the /64, which one client has to itself.
fn address_in(line: &str) -> Option<IpAddr> {
    let address = line.split_whitespace().find_map(|word| {
        let word = word.trim_start_matches('(').trim_end_matches([':', ',', ';', ')']);
        let with_port = word.parse::<SocketAddr>().map(|address| address.ip());
        with_port.or_else(|_| word.parse::<IpAddr>()).ok()
    })?;
    Some(IpAddr::from(Ipv6Addr::from_bits(address_of(address))).to_canonical())
}

/// How many lines may come.
#[derive(Debug, Clone, Copy)]
struct Rate {
    at_once: f64,
    per_second: f64,
}

/// What is left of a rate.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    lines: f64,
    at: Instant,
}

impl Allowance {
    const fn whole(rate: Rate, at: Instant) -> Self {
        Self { lines: rate.at_once, at }
    }

    /// Adds what time has brought.
    fn refill(&mut self, rate: Rate, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.lines = rate.per_second.mul_add(seconds, self.lines).min(rate.at_once);
        self.at = now;
    }

    /// Takes one line, if there is one.
    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        self.refill(rate, now);
        let allowed = self.lines >= 1.0;
        if allowed {
            self.lines -= 1.0;
        }
        allowed
    }
}

/// Lines that were left out since the last line about them, by cause.
#[derive(Debug, Default)]
struct OmittedLines {
    of_address: u64,
    /// One of those that had more than their share.
    address: Option<IpAddr>,
    of_all: u64,
    unread: u64,
}

impl OmittedLines {
    /// Says how many and why; nothing where there are none.
    fn note(&self) -> Option<String> {
        let mut causes = Vec::new();
        if let (count @ 1.., Some(address)) = (self.of_address, self.address) {
            let rate = OF_ADDRESS.per_second;
            causes.push(format!("{count} beyond {rate} a second of one address, as {address}"));
        }
        if self.of_all > 0 {
            causes.push(format!("{} beyond {} a second in all", self.of_all, OF_ALL.per_second));
        }
        if self.unread > 0 {
            causes.push(format!("{} while nobody read the log", self.unread));
        }
        let count = self.of_address + self.of_all + self.unread;
        (count > 0).then(|| format!("left out {count} lines of this log: {}", causes.join(", ")))
    }
}

/// What may be logged, by address and in all.
#[derive(Debug)]
struct LogLimits {
    all: Allowance,
    addresses: HashMap<IpAddr, Allowance>,
    left_out: OmittedLines,
}

impl LogLimits {
    fn new(now: Instant) -> Self {
        let all = Allowance::whole(OF_ALL, now);
        Self { all, addresses: HashMap::new(), left_out: OmittedLines::default() }
    }

    /// Whether a line about `address` may be written; counts it.
    fn admit(&mut self, address: Option<IpAddr>, now: Instant) -> bool {
        if let Some(address) = address
            && !self.admit_address(address, now)
        {
            self.left_out.of_address += 1;
            self.left_out.address = Some(address);
            return false;
        }
        let allowed = self.all.take(OF_ALL, now);
        if !allowed {
            self.left_out.of_all += 1;
        }
        allowed
    }

    /// Whether this address has a line left. One that there is no room to count is bound by what
    /// holds for all.
    fn admit_address(&mut self, address: IpAddr, now: Instant) -> bool {
        if self.addresses.len() >= MAX_ADDRESSES && !self.addresses.contains_key(&address) {
            // Those that have said nothing for long have all their lines again.
            self.addresses.retain(|_, left| {
                left.refill(OF_ADDRESS, now);
                left.lines < OF_ADDRESS.at_once
            });
            if self.addresses.len() >= MAX_ADDRESSES {
                return true;
            }
        }
        let whole = Allowance::whole(OF_ADDRESS, now);
        self.addresses.entry(address).or_insert(whole).take(OF_ADDRESS, now)
    }
}

#[cfg(test)]
mod tests;
