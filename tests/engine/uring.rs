//! io_uring in streams and in request/response over many flows: every byte arrives, budgets are
//! exact, faults and stops end a run, and a kernel that refuses io_uring is named or worked around.

use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::process::{self, Client, Outcome, Server, podperf_json};
use crate::support::runs::{TIMED, complete, exchange, multiplexing, run};
use crate::support::sandbox::without_io_uring;
use crate::support::{TIMEOUT, at, count, list, number, sum, text};

/// Methods of both ends; at least one is io_uring.
const METHODS: [&[&str]; 5] = [
    &["--send", "uring", "--recv", "read"],
    &["--send", "uring-zc", "--recv", "read"],
    &["--send", "write", "--recv", "uring"],
    &["--send", "uring", "--recv", "uring"],
    &["--send", "uring-zc", "--recv", "uring"],
];
const DIRECTIONS: [&[&str]; 3] = [&[], &["-R"], &["--bidir"]];
/// One flow a worker, or three.
const LAYOUTS: [&[&str]; 2] =
    [&["-P", "1"], &["-P", "3", "--workers", "1", "--server-workers", "1"]];
const URING: &[&str] = &["--backend", "uring"];
/// Both ends serve all flows by one worker.
const ONE_WORKER: &[&str] = &["--workers", "1", "--server-workers", "1"];
/// A run that outlives every fault.
const LONG: &[&str] = &["-t", "30", "-O", "0.1", "-i", "0.1", "-J"];

/// What one end says of how it sent or received; absent where it did not.
fn method<'a>(json: &'a Value, end: &str, way: &str) -> Option<&'a str> {
    json.pointer(&format!("/transport/{end}/{way}/used"))?.as_str()
}

#[test]
fn every_method_loses_nothing_in_any_direction_and_layout() {
    let server = Server::start(&[]);
    for methods in METHODS {
        for direction in DIRECTIONS {
            for layout in LAYOUTS {
                let json = run(&server, "stream", &[TIMED, methods, direction, layout]).json;
                for (end, sends, receives) in [
                    ("client", direction != ["-R"], !direction.is_empty()),
                    ("server", !direction.is_empty(), direction != ["-R"]),
                ] {
                    let sent = sends.then_some(methods[1]);
                    assert_eq!(method(&json, end, "send"), sent, "{methods:?} {direction:?} {end}");
                    let received = receives.then_some(methods[3]);
                    assert_eq!(
                        method(&json, end, "receive"),
                        received,
                        "{methods:?} {direction:?}"
                    );
                    let by_uring =
                        (sends && methods[1] != "write") || (receives && methods[3] == "uring");
                    assert_eq!(multiplexing(&json, end) == "uring", by_uring, "{methods:?} {end}");
                }
            }
        }
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn budgets_are_exact_and_sizes_of_messages_do_not_matter() {
    let server = Server::start(&[]);
    // Neither a multiple of the message size nor of the number of streams.
    let asked = 20_000_003;
    for methods in METHODS {
        for layout in LAYOUTS {
            let json = run(&server, "stream", &[&["-n", "20000003"], methods, layout]).json;
            assert_eq!(count(&json, "/throughput/bytes_received"), asked, "{methods:?} {layout:?}");
            assert_eq!(sum(&json, "/lifetime/bytes_sent"), asked, "{methods:?} {layout:?}");
            // More than one chain of small messages, and not a multiple of it.
            let json = run(&server, "stream", &[&["-n", "4099", "-l", "1"], methods, layout]).json;
            assert_eq!(sum(&json, "/lifetime/bytes_received"), 4099, "{methods:?} {layout:?}");
            run(&server, "stream", &[TIMED, &["-l", "1"], methods, layout]);
            run(&server, "stream", &[TIMED, &["-l", "4M"], methods, layout]);
        }
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn zero_copy_to_this_machine_is_told_to_have_been_copied() {
    let server = Server::start(&[]);
    for (direction, end) in [(&[][..], "client"), (&["-R"][..], "server")] {
        let options = [TIMED, &["--send", "uring-zc", "-P", "2"], direction];
        let json = run(&server, "stream", &options).json;
        let zerocopy = at(&json, &format!("/transport/{end}/send/zerocopy"));
        let sends = count(zerocopy, "/sends");
        assert!(sends > 0, "{zerocopy}");
        assert_eq!(count(zerocopy, "/copied"), sends, "{zerocopy}");
        assert!((number(zerocopy, "/copied_share") - 1.0).abs() < f64::EPSILON);
    }
}

#[test]
fn requests_of_every_size_and_number_in_flight_are_answered_and_counted_once() {
    let server = Server::start(&[]);
    let rows: [&[&str]; 7] = [
        &["-P", "1"],
        &["-P", "70"],
        &["-P", "3", "--burst", "16"],
        &["-P", "4", "--request", "3", "--response", "70000", "--burst", "5"],
        // More in flight than all buffers hold: neither end may wait for the other to read.
        &["--request", "256K", "--response", "256K", "--burst", "64"],
        &["-P", "8", "--rate", "1000"],
        &["-P", "5", "--request", "70000", "--response", "3", "--rate", "500"],
    ];
    for row in rows {
        for layout in [&[][..], ONE_WORKER] {
            let json = exchange(&server, &[TIMED, URING, row, layout]).json;
            for end in ["client", "server"] {
                assert_eq!(multiplexing(&json, end), "uring", "{row:?} {end}");
            }
        }
    }
    for row in [&["-P", "7", "--burst", "4"][..], &["-P", "3", "--rate", "5000"]] {
        let json = exchange(&server, &[&["-n", "1001"], URING, ONE_WORKER, row]).json;
        assert_eq!(count(&json, "/transactions/count"), 1001, "{row:?}");
        // One byte each way.
        assert_eq!(sum(&json, "/lifetime/bytes_received"), 2002, "{row:?}");
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn the_backend_follows_the_number_of_flows_unless_it_is_named() {
    let server = Server::start(&[]);
    for (row, expected) in [
        (&["-P", "1"][..], "blocking"),
        (&["-P", "3", "--workers", "1", "--server-workers", "1"], "epoll"),
        (&["-P", "8", "--workers", "1", "--server-workers", "1"], "uring"),
        (&["-P", "1", "--backend", "epoll"], "epoll"),
    ] {
        let json = exchange(&server, &[&["-n", "1000"], row]).json;
        for end in ["client", "server"] {
            assert_eq!(multiplexing(&json, end), expected, "{row:?} {end}");
        }
        assert!(list(&json, "/placement/client/fallbacks").is_empty(), "{row:?}");
    }
}

/// Workloads that use io_uring on both ends.
fn workloads() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut all: Vec<_> = [&["-P", "1"][..], &["-P", "3", "--workers", "1"], &["-R", "-P", "2"]]
        .iter()
        .flat_map(|layout| {
            ["uring", "uring-zc"]
                .map(|send| ("stream", [&["--send", send, "--recv", "uring"], *layout].concat()))
        })
        .collect();
    all.push(("rr", vec!["--backend", "uring", "-P", "3", "--workers", "1"]));
    all
}

#[test]
fn a_peer_that_closes_early_ends_the_run_and_is_named() {
    for (workload, options) in workloads() {
        let mut server = Server::start(&[]);
        let target = server.target();
        let client = Client::start(&[&[workload, &target], &options[..], LONG].concat());
        server.wait_mid_run(Duration::from_millis(500));
        server.kill();
        let outcome = client.wait(TIMEOUT);
        outcome.assert_failed(4, &["podperf: error: ", &target]);
        assert!(number(&outcome.json, "/throughput/bits_per_second") > 0.0, "{options:?}");
    }
}

#[test]
fn a_stop_while_sends_are_blocked_ends_both_ends() {
    for (workload, options) in workloads() {
        let server = Server::start(&[]);
        let target = server.target();
        let patience = ["--peer-timeout", "2"];
        let args = [&[workload, &target], &options[..], &patience, LONG].concat();
        let client = Client::start(&args);
        server.wait_mid_run(Duration::from_millis(500));
        server.signal(Signal::SIGSTOP);
        let outcome = client.wait(TIMEOUT);
        outcome.assert_failed(4, &["silent for 2.0 s"]);
        server.signal(Signal::SIGCONT);
        server.assert_serves();
        server.assert_all_freed(TIMEOUT);
    }
}

#[test]
fn a_client_that_stalls_leaves_nothing_behind_on_the_server() {
    for send in ["uring", "uring-zc"] {
        let server = Server::start(&["--peer-timeout", "2"]);
        let methods = ["--send", send, "--recv", "uring", "-R", "-P", "3"];
        let client = Client::start(&[&["stream", &server.target()], &methods[..], LONG].concat());
        server.wait_mid_run(Duration::from_millis(500));
        client.signal(Signal::SIGSTOP);
        server.assert_all_freed(TIMEOUT);
        server.assert_serves();
    }
}

#[test]
fn ten_thousand_flows_are_served_by_one_worker_a_side() {
    let test = "ten_thousand_flows_are_served_by_one_worker_a_side";
    let limit = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit").0;
    if limit < 10_100 {
        eprintln!("{test}: skipped: needs 10100 open files (ulimit -n), has {limit}");
        return;
    }
    let server = Server::start(&[]);
    let target = server.target();
    let args = ["rr", &target, "-P", "10000", "-t", "2", "-O", "1", "-J"];
    // Connecting so many takes a busy machine its time.
    let args = [&args[..], ONE_WORKER, &["--connect-timeout", "60s"]].concat();
    let outcome = Client::start(&args).wait(Duration::from_secs(120));
    complete(&args, &outcome);
    let json = &outcome.json;
    assert_eq!(list(json, "/streams").len(), 10_000);
    assert_eq!(count(json, "/latency/count"), count(json, "/transactions/count"));
    for end in ["client", "server"] {
        assert_eq!(multiplexing(json, end), "uring", "{end}");
        // An idle process has some 6 MiB.
        let resident = count(json, &format!("/cpu/{end}/process/max_rss_bytes"));
        assert!(resident / 10_000 < 32 << 10, "{end}: {resident} bytes for 10,000 flows");
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn a_refused_ring_is_an_error_where_it_was_named() {
    let test = "a_refused_ring_is_an_error_where_it_was_named";
    let rows: [&[&str]; 4] = [
        &["stream", "--send", "uring"],
        &["stream", "--send", "uring-zc"],
        &["stream", "-R", "--recv", "uring"],
        &["rr", "-P", "64", "--backend", "uring"],
    ];
    let says = ["io_uring_setup", "Operation not permitted", "seccomp", "a profile that permits"];
    for row in rows {
        let Some(podperf) = without_io_uring(test) else { return };
        let server = Server::start(&[]);
        let target = server.target();
        let args = [&row[..1], &[&target, "-J"], &row[1..]].concat();
        let outcome = Client::launch(podperf, &args).wait(TIMEOUT);
        outcome.assert_failed(3, &says);
        assert_eq!(at(&outcome.json, "/throughput"), &Value::Null, "{row:?}: something moved");
        server.assert_all_freed(TIMEOUT);
    }
    let Some(podperf) = without_io_uring(test) else { return };
    let server = Server::launch(podperf, &[]);
    let target = server.target();
    for row in [&["stream", "--recv", "uring"][..], &["rr", "--backend", "uring"]] {
        let args = [&row[..1], &[&target, "-J"], &row[1..]].concat();
        podperf_json(&args).assert_failed(3, &[&says[..], &[&target]].concat());
    }
    server.assert_serves();
    server.assert_all_freed(TIMEOUT);
}

/// Warnings that something stands in for what was refused.
fn fallbacks(outcome: &Outcome) -> Vec<&str> {
    let warnings = list(&outcome.json, "/warnings").iter();
    warnings.filter(|one| text(one, "/code") == "fallback").map(|one| text(one, "/text")).collect()
}

#[test]
fn a_refused_ring_is_stood_in_for_where_it_was_not_named() {
    let test = "a_refused_ring_is_stood_in_for_where_it_was_not_named";
    let row = ["-P", "200", "--backend", "auto", "-n", "5000", "-J"];
    for refusing in ["client", "server"] {
        let Some(podperf) = without_io_uring(test) else { return };
        let (server, client) = if refusing == "client" {
            (Server::start(&[]), podperf)
        } else {
            (Server::launch(podperf, &[]), process::podperf(None))
        };
        let target = server.target();
        let args = [&["rr", &target], &row[..], ONE_WORKER].concat();
        let outcome = Client::launch(client, &args).wait(TIMEOUT);
        complete(&args, &outcome);
        assert_eq!(count(&outcome.json, "/transactions/count"), 5000);
        for end in ["client", "server"] {
            let expected = if end == refusing { "epoll" } else { "uring" };
            assert_eq!(multiplexing(&outcome.json, end), expected, "{end}");
        }
        let told = fallbacks(&outcome);
        let [warning] = told[..] else { panic!("one warning expected: {told:?}") };
        for part in [refusing, "io_uring_setup", "Operation not permitted", "epoll"] {
            assert!(warning.contains(part), "no '{part}' in '{warning}'");
        }
    }
}
