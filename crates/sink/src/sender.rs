//! Sends points while a run goes on, from a thread of its own.
//!
//! Enters: lines, one a point, which are handed over without waiting. Leaves: requests of many
//! lines. While the sink is away the lines go to the spool and it is tried again, ever more seldom;
//! when it is back, the spool goes first.

use std::io;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::backlog::Backlog;
use crate::delivery::SinkState;
use crate::http::Transport;
use crate::retry::RetryWaits;
use crate::spool::MAX_REQUEST_BYTES;
use podperf_model::During as _;
use podperf_model::error::{Code, Error, Kind, Result};

/// Lines that may wait for the thread: what the shortest interval brings while eight requests time
/// out.
const MAX_QUEUED_LINES: usize = 4096;
/// Lines are gathered for so long before they are sent.
const GATHER_TIME: Duration = Duration::from_secs(1);
/// At the end of a run, a sink that is away is tried again for so long.
const CLOSING_TIME: Duration = Duration::from_secs(5);
/// What became of all points.
#[derive(Debug, Default)]
pub struct DeliveryReport {
    /// Points that the sink took.
    pub delivered: u64,
    /// Points that wait in `spool`.
    pub spooled: u64,
    /// The file.
    pub spool: Option<PathBuf>,
    /// Points that nobody has: they were not delivered, and could not be spooled.
    pub lost: u64,
    /// Why not all were delivered.
    pub error: Option<Error>,
    /// Why not all of the others were spooled.
    pub spool_error: Option<io::Error>,
}

/// Takes the points of one run.
#[derive(Debug)]
pub struct Sender {
    queue: crossbeam_channel::Sender<String>,
    thread: JoinHandle<DeliveryReport>,
}

impl Sender {
    /// Starts the thread. `spool`: the folder for what cannot be sent; absent: it is kept in memory
    /// until the end of the run.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(transport: impl Transport + 'static, spool: Option<PathBuf>) -> Result<Self> {
        let (queue, lines) = bounded(MAX_QUEUED_LINES);
        let delivery =
            DeliveryThread { lines, sink: SinkState::new(transport), backlog: Backlog::new(spool) };
        let thread = thread::Builder::new()
            .name("sink".to_owned())
            .spawn(|| delivery.run())
            .during("start the thread that sends points")?;
        Ok(Self { queue, thread })
    }

    /// Hands over a line, without its end, and never waits; says whether it was taken. Where the
    /// thread is behind by too many lines it is not, and is to be handed over at the end.
    #[must_use]
    pub fn send(&self, line: &str) -> bool {
        self.queue.try_send(format!("{line}\n")).is_ok()
    }

    /// Hands over the last lines, and waits until everything is delivered; where the sink is away,
    /// for a moment, then what is left is spooled.
    #[must_use]
    pub fn finish(self, last: impl IntoIterator<Item = String>) -> DeliveryReport {
        let mut untaken = 0;
        for line in last {
            untaken += u64::from(self.queue.send(line + "\n").is_err());
        }
        drop(self.queue);
        let report = self.thread.join().unwrap_or_else(|_| {
            let cause = "a fault of podperf itself: its thread panicked";
            let error = Error::new(Kind::Incomplete, "send points", cause);
            let error = error.with_code(Code::Internal).with_remedy("please report it");
            DeliveryReport { error: Some(error), ..DeliveryReport::default() }
        });
        DeliveryReport { lost: report.lost + untaken, ..report }
    }
}

struct DeliveryThread {
    lines: Receiver<String>,
    sink: SinkState,
    backlog: Backlog,
}

impl DeliveryThread {
    fn run(mut self) -> DeliveryReport {
        while let Some((lines, points)) = self.gather() {
            self.hand_over(&lines, points);
        }
        self.close();
        let Backlog { spool, spooled, held_points, lost, spool_error, .. } = self.backlog;
        DeliveryReport {
            delivered: self.sink.delivered,
            spooled,
            spool: spool.as_ref().and_then(|spool| spool.path().map(Into::into)),
            lost: lost + held_points,
            error: self.sink.error,
            spool_error,
        }
    }

    /// Waits for lines, and for more of them for a while; nothing when there will be no more. Where
    /// the sink is to be tried again, there may be none.
    fn gather(&self) -> Option<(String, u64)> {
        let (mut gathered, mut points) = (String::new(), 0);
        let mut until = self.sink.next_try;
        while gathered.len() < MAX_REQUEST_BYTES / 2 {
            let next = match until {
                Some(until) => self.lines.recv_deadline(until),
                None => self.lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(line) => {
                    if points == 0 {
                        until = Some(Instant::now() + GATHER_TIME);
                    }
                    gathered.push_str(&line);
                    points += 1;
                }
                Err(RecvTimeoutError::Disconnected) if points == 0 => return None,
                Err(_) => break,
            }
        }
        Some((gathered, points))
    }

    /// Delivers lines, behind those that were kept; or keeps them.
    fn hand_over(&mut self, lines: &str, points: u64) {
        let can_try = self.sink.may_be_tried();
        if can_try && self.backlog.is_empty() && self.sink.post(lines, points).is_ok() {
            return;
        }
        let was_empty = self.backlog.is_empty();
        self.backlog.keep(lines, points);
        if can_try && !was_empty {
            self.backlog.drain(&mut self.sink);
        }
    }

    /// Tries to deliver what is left, for a while.
    fn close(&mut self) {
        let until = Instant::now() + CLOSING_TIME;
        self.sink.waits = RetryWaits::default();
        if !self.sink.asks_to_wait {
            self.sink.next_try = None;
        }
        while !self.backlog.is_empty() && !self.sink.refuses {
            match self.sink.next_try {
                Some(next) if next >= until => break,
                Some(next) => thread::sleep(next.saturating_duration_since(Instant::now())),
                None => {}
            }
            self.backlog.drain(&mut self.sink);
            if self.sink.next_try.is_none() {
                break;
            }
        }
        self.backlog.spool_held();
    }
}

#[cfg(test)]
mod tests;
