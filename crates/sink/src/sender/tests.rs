//! What becomes of points, by a sink that answers as it is told to.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Arc, Mutex};

use super::*;
use crate::answer::HttpAnswer;
use crate::spool::RunSpool;
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
        let status = if statuses.len() > 1 { statuses.pop_front().unwrap() } else { statuses[0] };
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
