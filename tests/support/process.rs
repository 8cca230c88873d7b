//! podperf as processes: servers that end with their owner, clients that end or are ended.

use std::cell::Cell;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::namespaces::within;
use super::{TIMEOUT, assert_valid, eventually};

/// For a run that should take a second or two.
const RUN: Duration = Duration::from_secs(60);

/// The program that the tests judge: this tree's, or the earlier one that `PODPERF_UNDER_TEST`
/// names, to see that a test of a fault fails there.
pub(crate) fn program() -> String {
    std::env::var("PODPERF_UNDER_TEST").unwrap_or_else(|_| env!("CARGO_BIN_EXE_podperf").to_owned())
}

/// podperf in the network namespace `place`, or in this process's own.
pub(crate) fn podperf(place: Option<&str>) -> Command {
    let mut command = within(place, &program());
    // What is stored on this machine has no part in any test.
    command.env("PODPERF_CALIBRATION", "/nonexistent/calibration.json");
    command.env_remove("PODPERF_TOKEN").stdin(Stdio::null());
    command
}

/// Sends `signal` to one process.
pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("process ids are small"));
    kill(pid, signal).unwrap_or_else(|error| panic!("send {signal} to {pid}: {error}"));
}

/// Threads and open descriptors of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) threads: usize,
    pub(crate) descriptors: usize,
}

impl Resources {
    fn of(pid: u32) -> Self {
        let entries =
            |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).expect("it runs").count();
        Self { threads: entries("task"), descriptors: entries("fd") }
    }
}

/// `podperf serve` on a free port; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    log: Arc<Mutex<Vec<(Instant, String)>>>,
    /// Where it listens, as it says.
    pub(crate) address: String,
    pub(crate) port: u16,
    baseline: Resources,
    /// Runs that it must have announced so far.
    runs: Cell<usize>,
}

impl Server {
    /// On 127.0.0.1, unless `args` say otherwise.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::launch(podperf(None), args)
    }

    /// In a network namespace, on all its addresses.
    pub(crate) fn in_namespace(place: &str, args: &[&str]) -> Self {
        let wildcard = [&["--bind", "0.0.0.0"], args].concat();
        Self::launch(podperf(Some(place)), &wildcard)
    }

    /// `command` with `serve` and its options behind.
    pub(crate) fn launch(mut command: Command, args: &[&str]) -> Self {
        command.arg("serve").args(args);
        if !args.contains(&"-p") {
            command.args(["-p", "0"]);
        }
        if !args.contains(&"--bind") {
            command.args(["--bind", "127.0.0.1"]);
        }
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("podperf starts");
        let log: Arc<Mutex<Vec<(Instant, String)>>> = Arc::default();
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let notes = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                notes.lock().unwrap().push((Instant::now(), line));
            }
        });
        let mut server = Self {
            child,
            log,
            address: String::new(),
            port: 0,
            baseline: Resources { threads: 0, descriptors: 0 },
            runs: Cell::new(0),
        };
        let line = server.wait_for_log("listening on ").1;
        let (_, rest) = line.split_once("listening on ").expect("found by it");
        let address = rest.split(',').next().expect("split has a first part");
        server.address = address.to_owned();
        let port = address.rsplit(':').next().expect("split has a first part");
        server.port = port.parse().unwrap_or_else(|_| panic!("no port in '{line}'"));
        server.baseline = server.resources();
        server
    }

    /// `HOST:PORT` for a client on the same host.
    pub(crate) fn target(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// kill -9, and wait until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was killed");
    }

    pub(crate) fn alive(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked").is_none()
    }

    /// Its exit status, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().expect("it can be asked").map(code)
    }

    /// Every line it has logged.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().iter().map(|(_, line)| line.clone()).collect()
    }

    /// The first line with `part` in it, and when it came.
    pub(crate) fn wait_for_log(&self, part: &str) -> (Instant, String) {
        self.wait_for_logs(part, 1)
    }

    /// The line with `part` in it that is number `number`, from 1, and when it came.
    fn wait_for_logs(&self, part: &str, number: usize) -> (Instant, String) {
        let mut found = None;
        eventually(TIMEOUT, || {
            let log = self.log.lock().unwrap();
            found = log.iter().filter(|(_, line)| line.contains(part)).nth(number - 1).cloned();
            found.is_some()
        });
        found.unwrap_or_else(|| panic!("no {number}. '{part}' in the log: {:#?}", self.log()))
    }

    /// When the first line with `part` in it came that is not `known`.
    pub(crate) fn wait_for_other_log(&self, part: &str, known: &str) -> Instant {
        let mut found = None;
        eventually(TIMEOUT, || {
            let log = self.log.lock().unwrap();
            let other = |line: &str| line.contains(part) && line != known;
            found = log.iter().find(|(_, line)| other(line)).map(|(at, _)| *at);
            found.is_some()
        });
        found.unwrap_or_else(|| panic!("no other '{part}' in the log: {:#?}", self.log()))
    }

    /// The next run is measuring: the server has started it, and `measured` has passed since. When
    /// it was started.
    pub(crate) fn wait_mid_run(&self, measured: Duration) -> Instant {
        self.runs.set(self.runs.get() + 1);
        let started = self.wait_for_logs("run of ", self.runs.get()).0;
        std::thread::sleep(measured);
        started
    }

    pub(crate) fn resources(&self) -> Resources {
        Resources::of(self.pid())
    }

    /// Threads and descriptors come back to what they were before the first client.
    pub(crate) fn assert_all_freed(&self, timeout: Duration) {
        let freed = eventually(timeout, || self.resources() == self.baseline);
        assert!(
            freed,
            "the server holds {:?}, before the first client {:?}; its log: {:#?}",
            self.resources(),
            self.baseline,
            self.log()
        );
    }

    /// The next client is served.
    pub(crate) fn assert_serves(&self) {
        self.runs.set(self.runs.get() + 1);
        let outcome = podperf_json(&["rr", &self.target(), "-n", "100", "-J"]);
        assert_eq!(outcome.status, 0, "the next client: {outcome:#?}, log {:#?}", self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself or been killed by the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a client left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// As a shell says it: the exit status, or 128 and the signal.
    pub(crate) status: i32,
    /// Standard output as JSON; null when it is none.
    pub(crate) json: Value,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// From the start of the process to its end.
    pub(crate) took: Duration,
}

impl Outcome {
    /// Standard error has all of `parts`.
    pub(crate) fn assert_says(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.stderr.contains(part), "no '{part}' in: {}", self.stderr);
        }
    }

    /// It failed with `status`, and standard error has all of `parts`.
    pub(crate) fn assert_failed(&self, status: i32, parts: &[&str]) {
        assert_eq!(self.status, status, "{self:#?}");
        self.assert_says(parts);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

/// A client under way; killed when dropped.
#[derive(Debug)]
pub(crate) struct Client {
    child: Child,
    begun: Instant,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    /// What it has said on standard error so far.
    told: Arc<Mutex<String>>,
}

impl Client {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::launch(podperf(None), args)
    }

    pub(crate) fn in_namespace(place: &str, args: &[&str]) -> Self {
        Self::launch(podperf(Some(place)), args)
    }

    /// `command` with `args` behind.
    pub(crate) fn launch(mut command: Command, args: &[&str]) -> Self {
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = command.spawn().expect("podperf starts");
        let stdout = child.stdout.take().map(|from| collect(from, Arc::default()));
        let told: Arc<Mutex<String>> = Arc::default();
        let stderr = child.stderr.take().map(|from| collect(from, Arc::clone(&told)));
        Self { child, begun, stdout, stderr, told }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Waits until it has told of its first interval, so that it has moved something.
    pub(crate) fn wait_for_interval(&self) {
        let told = || self.told.lock().unwrap().contains(" s  ");
        assert!(eventually(TIMEOUT, told), "no interval: {}", self.told.lock().unwrap());
    }

    /// Waits until it has said `part` on standard error.
    pub(crate) fn wait_until_told(&self, part: &str) {
        let told = || self.told.lock().unwrap().contains(part);
        assert!(eventually(TIMEOUT, told), "no '{part}': {}", self.told.lock().unwrap());
    }

    /// Waits until it ends; a client that outlives `limit` hangs, and the test fails. Whatever
    /// document it leaves, complete or not, is valid.
    pub(crate) fn wait(mut self, limit: Duration) -> Outcome {
        let mut ended = None;
        let within = eventually(limit, || {
            ended = self.child.try_wait().expect("it can be asked");
            ended.is_some()
        });
        if !within {
            let _ = self.child.kill();
        }
        let took = self.begun.elapsed();
        let text = |thread: &mut Option<JoinHandle<String>>| {
            thread.take().map_or_else(String::new, |thread| thread.join().expect("it reads"))
        };
        let (stdout, stderr) = (text(&mut self.stdout), text(&mut self.stderr));
        let Some(status) = ended else {
            panic!("still running after {limit:?}; stderr: {stderr}");
        };
        let json: Value = serde_json::from_str(&stdout).unwrap_or_default();
        // An earlier program keeps to an earlier schema, and wrong usage has one of its own.
        let earlier = std::env::var_os("PODPERF_UNDER_TEST").is_some();
        if !json.is_null() && json["schema"] != "podperf.usage-error/v1" && !earlier {
            assert_valid(&json);
        }
        Outcome { status: code(status), json, stdout, stderr, took }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The checks of `podperf doctor` in the network namespace `place`, about the server `target`.
pub(crate) fn doctor(place: &str, target: &str) -> Value {
    let output = podperf(Some(place)).args(["doctor", target, "-J"]).output().expect("it runs");
    let json = serde_json::from_slice(&output.stdout);
    json.unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The one of them that is called `name`.
pub(crate) fn check<'a>(checks: &'a Value, name: &str) -> &'a Value {
    let all = checks.as_array().expect("a list");
    let found = all.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no check {name}: {checks:#}"))
}

/// Runs a client to its end.
pub(crate) fn podperf_json(args: &[&str]) -> Outcome {
    Client::start(args).wait(RUN)
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Reads all of it, and shows meanwhile what has come.
fn collect(mut from: impl Read + Send + 'static, told: Arc<Mutex<String>>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut bytes, mut part) = (Vec::new(), [0; 8192]);
        // What came before a pipe broke is what there is.
        while let Ok(count @ 1..) = from.read(&mut part) {
            bytes.extend(&part[..count]);
            told.lock().unwrap().push_str(&String::from_utf8_lossy(&part[..count]));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
