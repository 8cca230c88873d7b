//! A run of every kind at once against one server: what happens to the server or to the path
//! happens to each of them, however it moves its bytes and waits.

use std::time::Duration;

use podperf_model::plan::Choice as _;
use podperf_model::plan::{ReceiveMethod, SendMethod};
use serde_json::Value;

use super::namespaces::busy_connections;
use super::path::Path;
use super::process::Client;
use super::{TIMEOUT, at, eventually, list, text};

/// Within so long a fault has to end all runs, on a machine that they keep busy.
const LIMIT: Duration = Duration::from_secs(30);
/// What is measured before a fault.
const MEASURED: Duration = Duration::from_millis(800);
/// How a run outlives every fault, and gives up a silent peer soon.
const LONG: &str = "-t 60 -O 0.1 -i 0.1 --peer-timeout 3";
const SHARED: &str = "--workers 1 --server-workers 1";

/// Streams and transactions that last on their connections. Messages are large enough for a
/// connection to be known by what it moves.
pub(crate) fn lasting() -> Vec<String> {
    let layouts = ["-P 1".to_owned(), format!("-P 2 {SHARED}")];
    let sends = SendMethod::ALL.iter().zip(layouts.iter().cycle());
    let sends = sends.map(|(send, layout)| format!("stream --send {} {layout}", send.name()));
    let receives = ReceiveMethod::ALL.iter().zip(layouts.iter().cycle());
    let receives =
        receives.map(|(receive, layout)| format!("stream -R --recv {} {layout}", receive.name()));
    let exchanges = [
        "-P 1".to_owned(),
        "--wait spin".to_owned(),
        "--server-wait spin -P 1".to_owned(),
        format!("-P 2 --backend epoll {SHARED}"),
        format!("-P 2 --backend uring {SHARED}"),
    ]
    .map(|options| format!("rr --request 64K {options}"));
    sends.chain(receives).chain(exchanges).collect()
}

/// Connections that come and go, and datagrams.
pub(crate) fn fleeting() -> Vec<String> {
    let all = ["crr -P 1", "crr -P 3 --workers 1 --server-workers 1", "crr --wait spin"];
    let datagrams = ["udp -b 5M", "udp -R -b 5M", "udp --rr --timeout 20"];
    [all, datagrams].concat().into_iter().map(str::to_owned).collect()
}

/// All of them.
pub(crate) fn all() -> Vec<String> {
    [lasting(), fleeting()].concat()
}

/// Runs under way.
#[derive(Debug)]
pub(crate) struct MixedRuns<'a> {
    path: &'a Path,
    runs: Vec<(String, Client)>,
}

impl<'a> MixedRuns<'a> {
    /// Starts them all, and comes back when the last has been measuring for a while.
    pub(crate) fn start(path: &'a Path, kinds: Vec<String>) -> Self {
        let start = |options: String| {
            let client = path.start(&format!("{options} {LONG}"));
            (options, client)
        };
        let runs: Vec<_> = kinds.into_iter().map(start).collect();
        for _ in 1..runs.len() {
            path.server.wait_mid_run(Duration::ZERO);
        }
        path.server.wait_mid_run(MEASURED);
        Self { path, runs }
    }

    pub(crate) fn each(&self, act: impl FnMut(&Client)) {
        self.runs.iter().map(|(_, client)| client).for_each(act);
    }

    /// Whom they measure with.
    pub(crate) fn target(&self) -> &str {
        &self.path.target
    }

    /// Ports of the clients' data connections, once each of them has moved something. Of runs over
    /// lasting connections alone.
    pub(crate) fn connections(&self) -> Vec<String> {
        let many = |options: &str| if options.contains("-P 2") { 2 } else { 1 };
        let expected: usize = self.runs.iter().map(|(options, _)| many(options)).sum();
        let mut found = Vec::new();
        let all = eventually(TIMEOUT, || {
            found = busy_connections(self.path.place.as_deref(), self.path.server.port);
            found.len() == expected
        });
        assert!(all, "{expected} connections expected: {found:?}");
        found.into_iter().map(|(_, local)| local).collect()
    }

    /// Waits until nothing moves on any connection any more.
    pub(crate) fn wait_until_stuck(&self) {
        let mut before = Vec::new();
        let stuck = eventually(TIMEOUT, || {
            let now = busy_connections(self.path.place.as_deref(), self.path.server.port);
            let same = !now.is_empty() && now == before;
            before = now;
            same
        });
        assert!(stuck, "bytes still move: {before:?}");
    }

    /// Each ends with `status`, says all of `parts`, and leaves what was measured; `more` is seen
    /// of it besides.
    pub(crate) fn assert_ended(self, status: i32, parts: &[&str], more: impl Fn(&str, &Value)) {
        for (options, client) in self.runs {
            // Told where a test fails.
            eprintln!("{options}");
            let outcome = client.wait(LIMIT);
            outcome.assert_failed(status, parts);
            let json = &outcome.json;
            assert_eq!(text(json, "/status"), "incomplete", "{options}");
            assert!(!list(json, "/intervals").is_empty(), "{options}: nothing was kept");
            assert_ne!(at(json, "/throughput"), &Value::Null, "{options}");
            more(&options, json);
        }
    }
}
