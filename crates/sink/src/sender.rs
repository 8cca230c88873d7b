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

use crate::answer::{Delivery, judge};
use crate::http::Transport;
use crate::retry::RetryWaits;
use crate::spool::{MAX_REQUEST_BYTES, RunSpool};
use podperf_model::During as _;
use podperf_model::error::{Code, Error, Kind, Result};

/// Lines that may wait for the thread: what the shortest interval brings while eight requests time
/// out.
const MAX_QUEUED_LINES: usize = 4096;
/// Lines are gathered for so long before they are sent.
const GATHER_TIME: Duration = Duration::from_secs(1);
/// At the end of a run, a sink that is away is tried again for so long.
const CLOSING_TIME: Duration = Duration::from_secs(5);
/// Kept in memory where there is no spool, or its disk is full.
const MAX_HELD_BYTES: usize = 8 << 20;

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

/// Points that could not be delivered yet.
#[derive(Debug, Default)]
struct Backlog {
    spool: Option<RunSpool>,
    spooled: u64,
    held: String,
    held_points: u64,
    lost: u64,
    spool_error: Option<io::Error>,
}

impl Backlog {
    const fn is_empty(&self) -> bool {
        self.spooled == 0 && self.held_points == 0
    }

    fn keep(&mut self, lines: &str, points: u64) {
        if points == 0 {
            return;
        }
        match self.spool.as_mut().map(|spool| spool.append(lines)) {
            Some(Ok(())) => return self.spooled += points,
            Some(Err(error)) => self.spool_error = Some(error),
            None => {}
        }
        if self.held.len() + lines.len() <= MAX_HELD_BYTES {
            self.held.push_str(lines);
            self.held_points += points;
        } else {
            self.lost += points;
        }
    }

    /// Delivers what is kept, as far as the sink takes it: what is on disk first.
    fn drain(&mut self, sink: &mut SinkState) {
        let spooled = &mut self.spooled;
        let drained = self.spool.as_mut().map(|spool| {
            spool.drain(|lines, points| {
                sink.post(lines, points)?;
                *spooled = spooled.saturating_sub(points);
                Ok(())
            })
        });
        match drained {
            Some(Err(error)) => self.spool_error = Some(error),
            Some(Ok(Err(Undelivered))) => return,
            Some(Ok(Ok(()))) | None => {}
        }
        while !self.held.is_empty() {
            let end = piece_end(&self.held);
            let points = self.held[..end].lines().count() as u64;
            if sink.post(&self.held[..end], points).is_err() {
                return;
            }
            self.held.drain(..end);
            self.held_points = self.held_points.saturating_sub(points);
        }
    }

    /// Writes what is held in memory to the spool, which may take it now.
    fn spool_held(&mut self) {
        let (held, points) =
            (std::mem::take(&mut self.held), std::mem::take(&mut self.held_points));
        self.keep(&held, points);
    }
}

/// Where the lines end that one request takes.
fn piece_end(lines: &str) -> usize {
    if lines.len() <= MAX_REQUEST_BYTES {
        return lines.len();
    }
    let fits = lines.as_bytes()[..MAX_REQUEST_BYTES].iter().rposition(|byte| *byte == b'\n');
    fits.or_else(|| lines.find('\n')).map_or(lines.len(), |end| end + 1)
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
        let delivery = DeliveryThread {
            lines,
            sink: SinkState {
                transport: Box::new(transport),
                waits: RetryWaits::default(),
                next_try: None,
                asks_to_wait: false,
                refuses: false,
                delivered: 0,
                error: None,
            },
            backlog: Backlog { spool: spool.map(RunSpool::new), ..Backlog::default() },
        };
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

/// How the sink took what it was sent.
struct SinkState {
    transport: Box<dyn Transport>,
    waits: RetryWaits,
    /// It is away until then.
    next_try: Option<Instant>,
    /// It said so itself.
    asks_to_wait: bool,
    /// It refuses for good.
    refuses: bool,
    delivered: u64,
    error: Option<Error>,
}

/// A request that delivered nothing.
struct Undelivered;

impl SinkState {
    fn may_be_tried(&self) -> bool {
        !self.refuses && self.next_try.is_none_or(|next| Instant::now() >= next)
    }

    fn post(&mut self, lines: &str, points: u64) -> Result<(), Undelivered> {
        let outcome = self.transport.post(lines);
        match judge(self.transport.url(), outcome) {
            Delivery::Delivered => {
                self.delivered += points;
                (self.next_try, self.waits, self.error) = (None, RetryWaits::default(), None);
                return Ok(());
            }
            Delivery::Later(error, asked) => {
                let wait = self.waits.next_wait(asked);
                self.next_try = Some(Instant::now() + wait);
                self.asks_to_wait = asked.is_some();
                self.error = Some(error);
            }
            Delivery::Refused(error) => {
                (self.next_try, self.refuses, self.error) = (None, true, Some(error));
            }
        }
        Err(Undelivered)
    }
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
mod tests {
    use std::collections::VecDeque;
    use std::fs;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::answer::HttpAnswer;
    use crate::spool::send_spool;
    use crate::url::SinkUrl;

    /// Answers each request by the next of its statuses (0: is away), the last again and again, and
    /// keeps the lines that it took.
    #[derive(Clone)]
    struct ScriptedSink {
        url: SinkUrl,
        statuses: Arc<Mutex<VecDeque<u16>>>,
        taken: Arc<Mutex<Vec<String>>>,
    }

    impl ScriptedSink {
        fn new(statuses: &[u16]) -> Self {
            let url = SinkUrl::read("--sink", "http://h/write?db=d").unwrap();
            let statuses = Arc::new(Mutex::new(statuses.iter().copied().collect()));
            Self { url, statuses, taken: Arc::default() }
        }

        fn taken(&self) -> Vec<String> {
            self.taken.lock().unwrap().clone()
        }
    }

    impl Transport for ScriptedSink {
        fn url(&self) -> &SinkUrl {
            &self.url
        }

        fn post(&mut self, lines: &str) -> io::Result<HttpAnswer> {
            let mut statuses = self.statuses.lock().unwrap();
            let status =
                if statuses.len() > 1 { statuses.pop_front().unwrap() } else { statuses[0] };
            match status {
                0 => return Err(io::ErrorKind::ConnectionRefused.into()),
                204 => self.taken.lock().unwrap().extend(lines.lines().map(str::to_owned)),
                _ => {}
            }
            let retry_after = (status == 429).then_some(Duration::from_secs(60));
            Ok(HttpAnswer { status, retry_after, ..HttpAnswer::default() })
        }
    }

    fn numbered(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("m value={number} {number}")).collect()
    }

    /// Hands over lines, half of them at the end, and returns what became of them.
    fn sent(sink: &ScriptedSink, spool: Option<PathBuf>, lines: &[String]) -> DeliveryReport {
        let sender = Sender::start(sink.clone(), spool).unwrap();
        let (first, last) = lines.split_at(lines.len() / 2);
        assert!(first.iter().all(|line| sender.send(line)));
        sender.finish(last.iter().cloned())
    }

    #[test]
    fn every_point_is_delivered_once_and_in_order() {
        let (sink, lines) = (ScriptedSink::new(&[204]), numbered(100));
        let report = sent(&sink, None, &lines);
        assert_eq!((report.delivered, report.lost, report.spooled), (100, 0, 0));
        assert_eq!(sink.taken(), lines);
        assert!(report.error.is_none());
    }

    #[test]
    fn a_sink_that_comes_back_gets_everything_and_the_spool_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        for spool in [Some(folder.path().to_owned()), None] {
            let (sink, lines) = (ScriptedSink::new(&[0, 500, 204]), numbered(9));
            let report = sent(&sink, spool, &lines);
            assert_eq!((report.delivered, report.lost, report.spooled), (9, 0, 0), "{report:?}");
            assert_eq!(sink.taken(), lines);
            assert!(report.error.is_none() && report.spool.is_none(), "{report:?}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_sink_does_not_take_waits_in_the_spool_and_is_sent_later() {
        for (status, words) in [
            (401, "it answers 401; give a token"),
            (429, "it answers 429; try again"),
            (404, "it answers 404; check the address"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (sink, lines) = (ScriptedSink::new(&[status]), numbered(7));
            let report = sent(&sink, Some(folder.path().to_owned()), &lines);
            assert_eq!((report.delivered, report.lost, report.spooled), (0, 0, 7), "{report:?}");
            assert!(report.error.unwrap().to_string().contains(words));
            let path = report.spool.unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), lines.join("\n") + "\n");
            let refused = send_spool(folder.path(), &mut sink.clone(), Duration::ZERO).unwrap_err();
            assert!(refused.to_string().contains(words) && path.exists(), "{refused}");
            let mut mended = ScriptedSink::new(&[204]);
            let done = send_spool(folder.path(), &mut mended, Duration::ZERO).unwrap();
            assert_eq!((done.files, done.points, done.in_use), (1, 7, 0));
            assert_eq!(mended.taken(), lines);
            assert!(!path.exists());
        }
    }

    #[test]
    fn without_a_spool_the_points_are_lost_and_that_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for (spool, failed) in [(None, false), (Some(file), true)] {
            let report = sent(&ScriptedSink::new(&[403]), spool, &numbered(4));
            assert_eq!((report.delivered, report.lost, report.spooled), (0, 4, 0), "{report:?}");
            assert_eq!(report.spool_error.is_some(), failed);
        }
    }

    #[test]
    fn a_file_that_a_run_still_writes_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = RunSpool::new(folder.path().to_owned());
        spool.append("m value=1 1\n").unwrap();
        let mut sink = ScriptedSink::new(&[204]);
        let report = send_spool(folder.path(), &mut sink, Duration::ZERO).unwrap();
        assert_eq!((report.files, report.in_use, sink.taken().len()), (0, 1, 0));
        drop(spool);
        let report = send_spool(folder.path(), &mut sink, Duration::ZERO).unwrap();
        assert_eq!((report.files, report.in_use, sink.taken().len()), (1, 0, 1));
    }

    /// Takes nothing until it is let go.
    struct StuckSink(ScriptedSink, Receiver<()>);

    impl Transport for StuckSink {
        fn url(&self) -> &SinkUrl {
            self.0.url()
        }

        fn post(&mut self, lines: &str) -> io::Result<HttpAnswer> {
            let _ = self.1.recv();
            self.0.post(lines)
        }
    }

    #[test]
    fn whoever_has_a_line_never_waits_and_what_was_not_taken_is_handed_over_at_the_end() {
        let (sink, (let_go, stuck)) = (ScriptedSink::new(&[204]), bounded(0));
        let sender = Sender::start(StuckSink(sink.clone(), stuck), None).unwrap();
        // More than the queue and one request hold.
        let lines = numbered(MAX_QUEUED_LINES * 8);
        // Were it to wait for the sink, which takes nothing, this would not end.
        let mut untaken: Vec<String> = Vec::new();
        for line in &lines {
            untaken.extend((!sender.send(line)).then(|| line.clone()));
        }
        assert!(!untaken.is_empty(), "the queue has no bound");
        drop(let_go);
        let report = sender.finish(untaken);
        assert_eq!((report.delivered, report.lost), (lines.len() as u64, 0), "{report:?}");
        let mut taken = sink.taken();
        taken.sort();
        let mut expected = lines;
        expected.sort();
        assert_eq!(taken, expected);
    }

    #[test]
    fn a_request_ends_where_a_line_does() {
        assert_eq!(piece_end("a\nb\n"), 4);
        let line = format!("{}\n", "x".repeat(MAX_REQUEST_BYTES / 2));
        assert_eq!(piece_end(&line.repeat(3)), line.len());
    }
}
