//! A coordinator and its agents as processes, and what the coordinator's log says.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;
use podperf_model::result::run::Run;
use podperf_model::run_log::{Item, LogRecord, Reader, ResultHeader};
use serde_json::{Value, json};

use super::process::{Client, podperf, send};
use super::{TIMEOUT, eventually};

/// A window that is short, with a warm-up.
pub(crate) const SHORT: &[&str] = &["-t", "300ms", "-O", "100ms", "-i", "100ms"];
/// A window that is still open whatever a test does meanwhile.
pub(crate) const LONG: &[&str] = &["-t", "60s", "-O", "0s", "-i", "100ms"];

type Lines = Arc<Mutex<Vec<String>>>;

/// `podperf coordinate` on a free port of loopback; killed when dropped.
#[derive(Debug)]
pub(crate) struct Coordinator {
    child: Child,
    log: Lines,
    messages: Lines,
    readers: Vec<std::thread::JoinHandle<()>>,
    pub(crate) port: u16,
}

/// A coordinator's log at its end.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) status: i32,
    pub(crate) records: Vec<LogRecord>,
    pub(crate) results: Vec<(ResultHeader, Run)>,
    pub(crate) messages: Vec<String>,
}

impl Coordinator {
    pub(crate) fn start(schedule: &Value, args: &[&str], token: Option<&str>) -> Self {
        let mut command = podperf(None);
        command.args(["coordinate", "-p", "0", "--bind", "127.0.0.1"]).args(args);
        command.env("PODPERF_SCHEDULE", schedule.to_string());
        command.envs(token.map(|token| ("PODPERF_TOKEN", token)));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("podperf starts");
        let (log, messages) = (Lines::default(), Lines::default());
        let out = child.stdout.take().expect("piped");
        let err = child.stderr.take().expect("piped");
        let readers =
            vec![collect_lines(out, Arc::clone(&log)), collect_lines(err, Arc::clone(&messages))];
        let mut coordinator = Self { child, log, messages, readers, port: 0 };
        let line = coordinator.wait_for_message("coordinating on ");
        let address = line.split("coordinating on ").nth(1).and_then(|rest| rest.split(',').next());
        let port = address.and_then(|address| address.rsplit(':').next()).expect("an address");
        coordinator.port = port.parse().expect("a port");
        coordinator
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// A line on standard error with `config` in it.
    pub(crate) fn wait_for_message(&self, config: &str) -> String {
        self.wait(&self.messages, |line| line.contains(config), config)
    }

    /// A record of which `wanted` says so.
    pub(crate) fn wait_for(&self, what: &str, wanted: impl Fn(&LogRecord) -> bool) {
        let record = |line: &str| serde_json::from_str(line).is_ok_and(|record| wanted(&record));
        self.wait(&self.log, record, what);
    }

    /// An agent of step `step` is in its window: it has brought an interval.
    pub(crate) fn wait_mid_run(&self, step: u32) {
        self.wait_for("heartbeat with a rate", |record| match record {
            LogRecord::Heartbeat { step: Some(number), bits_per_second, .. } => {
                *number == step && bits_per_second.is_some()
            }
            _ => false,
        });
    }

    fn wait(&self, lines: &Lines, wanted: impl Fn(&str) -> bool, what: &str) -> String {
        let mut found = None;
        eventually(TIMEOUT, || {
            found = lines.lock().unwrap().iter().find(|line| wanted(line)).cloned();
            found.is_some()
        });
        found.unwrap_or_else(|| {
            let (log, messages) = (self.log.lock().unwrap(), self.messages.lock().unwrap());
            panic!("no {what}; log: {log:#?}, talk: {messages:#?}")
        })
    }

    /// Waits for its end, and reads its log, which is whole.
    pub(crate) fn finish(mut self) -> Log {
        let mut ended = None;
        eventually(TIMEOUT * 2, || {
            ended = self.child.try_wait().expect("it can be asked");
            ended.is_some()
        });
        let Some(status) = ended else {
            panic!("the coordinator goes on: {:#?}", self.messages.lock().unwrap());
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("it reads");
        }
        let mut reader = Reader::new();
        let log = self.log.lock().unwrap().clone();
        let (mut records, mut results) = (Vec::new(), Vec::new());
        for line in &log {
            assert!(line.len() <= 4000, "a line of {} characters", line.len());
            match reader.line(line) {
                Some(Item::LogRecord(record)) => records.push(record),
                Some(Item::Result { header, run }) => results.push((header, *run)),
                Some(Item::Damaged { .. }) | None => {}
            }
        }
        assert_eq!(reader.finish(), [], "damaged results");
        assert!(matches!(records.first(), Some(LogRecord::Started { .. })), "{records:#?}");
        let messages = self.messages.lock().unwrap().clone();
        assert!(!messages.iter().any(|line| line.contains("panicked")), "{messages:#?}");
        Log { status: status.code().expect("it was not killed"), records, results, messages }
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Log {
    /// "step test/sample agent" of each result, in their order.
    pub(crate) fn order(&self) -> Vec<String> {
        let name = |(header, _): &(ResultHeader, Run)| {
            let ResultHeader { step, test, sample, agent, .. } = header;
            format!("{step} {test}/{sample} {agent}")
        };
        self.results.iter().map(name).collect()
    }

    /// Step, agent and cause of everything missing.
    pub(crate) fn missing(&self) -> Vec<(u32, &str, &str)> {
        let missing = |record: &'_ LogRecord| match record {
            LogRecord::Missing { step, agent: Some(_), .. } => Some(*step),
            _ => None,
        };
        let with = self.records.iter().filter(|record| missing(record).is_some());
        with.map(|record| match record {
            LogRecord::Missing { step, agent: Some(agent), cause, .. } => {
                (*step, agent.as_str(), cause.as_str())
            }
            _ => unreachable!("filtered above"),
        })
        .collect()
    }

    /// Who was lost.
    pub(crate) fn lost(&self) -> Vec<&str> {
        let lost = |record: &'_ LogRecord| matches!(record, LogRecord::Lost { .. });
        let lost = self.records.iter().filter(|record| lost(record));
        lost.map(|record| match record {
            LogRecord::Lost { agent, .. } => agent.as_str(),
            _ => unreachable!("filtered above"),
        })
        .collect()
    }

    /// The last record: results, and why it is not all.
    pub(crate) fn finished(&self) -> (u32, Option<&str>) {
        match self.records.last() {
            Some(LogRecord::Finished { results, cause }) => (*results, cause.as_deref()),
            other => panic!("the last record is {other:?}"),
        }
    }
}

fn collect_lines(from: impl Read + Send + 'static, to: Lines) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            to.lock().unwrap().push(line);
        }
    })
}

/// A schedule of `(test, agents)` steps, each with a limit of `limit` seconds.
pub(crate) fn schedule(agents: &[&str], steps: &[(&str, &[&str])], limit: u32) -> Value {
    let mut samples = std::collections::BTreeMap::new();
    let steps: Vec<Value> = steps
        .iter()
        .map(|(test, agents)| {
            let sample = samples.entry(*test).or_insert(0);
            *sample += 1;
            json!({"test": test, "sample": *sample, "agents": agents, "limit_seconds": limit})
        })
        .collect();
    json!({"agents": agents, "join_seconds": 20, "steps": steps})
}

/// An agent's configuration: its tests, each the words and options of a command line.
pub(crate) fn agent_config(agent: &str, tests: &[(&str, &[&str], &[&str])]) -> Value {
    let tests: serde_json::Map<String, Value> = tests
        .iter()
        .map(|(name, words, options)| ((*name).to_owned(), json!([*words, *options].concat())))
        .collect();
    json!({"agent": agent, "tests": tests, "probes": [], "probe_seconds": 2})
}

/// `podperf agent` with `config`.
pub(crate) fn start_agent(port: u16, config: &Value, args: &[&str], token: Option<&str>) -> Client {
    let mut command = podperf(None);
    command.env("PODPERF_AGENT_CONFIG", config.to_string());
    command.envs(token.map(|token| ("PODPERF_TOKEN", token)));
    let target = format!("127.0.0.1:{port}");
    Client::launch(command, &[&["agent", target.as_str()], args].concat())
}

/// An agent ends with `status`.
pub(crate) fn ends(agent: Client, status: i32) -> String {
    let outcome = agent.wait(TIMEOUT + Duration::from_secs(10));
    assert_eq!(outcome.status, status, "{outcome:#?}");
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, "");
    outcome.stderr
}

/// All agents end well.
pub(crate) fn all_end(agents: [Client; 2]) {
    for agent in agents {
        ends(agent, 0);
    }
}
