//! Limits: what a server caps is refused by name before anything moves, what the system caps is
//! named, and a thousand streams fit.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::process::{Client, Outcome, Server, podperf, podperf_json};
use crate::support::wire::{WireClient, plan};
use crate::support::{TIMEOUT, at, list, number, sum, text};

/// Refused before any stream was connected, with `parts` in the error.
fn assert_refused(server: &Server, outcome: &Outcome, parts: &[&str]) {
    outcome.assert_failed(3, &[&[server.target().as_str()], parts].concat());
    assert_eq!(text(&outcome.json, "/status"), "incomplete");
    assert_eq!(at(&outcome.json, "/throughput"), &Value::Null);
    let log = server.log();
    assert!(!log.iter().any(|line| line.contains("run of ")), "a run was started: {log:?}");
}

#[test]
fn caps_of_a_server_are_named_before_anything_moves() {
    let server = Server::start(&["--max-streams", "4", "--max-time", "2s"]);
    let target = server.target();
    let rows: [(&[&str], &[&str]); 5] = [
        (&["stream", "-P", "5"], &["'5'", "--streams", "1 to 4"]),
        (&["stream", "-P", "3", "--bidir"], &["'3'", "--streams", "1 to 2"]),
        (&["rr", "-P", "5"], &["'5'", "--flows", "1 to 4"]),
        (&["stream", "-t", "3", "-O", "0"], &["'3s'", "--time", "at most 2s"]),
        (&["stream", "-t", "2", "-O", "1"], &["'2s'", "--time", "at most 1s"]),
    ];
    for (args, parts) in rows {
        let outcome = podperf_json(&[args, &[&target, "-J"]].concat());
        assert_refused(&server, &outcome, parts);
        assert_eq!(outcome.stderr.contains("--max-time there"), parts[1] == "--time");
    }
    server.assert_all_freed(TIMEOUT);
    let within = ["stream", &target, "-P", "4", "-t", "0.3", "-O", "0.1", "-J"];
    assert_eq!(podperf_json(&within).status, 0);
}

#[test]
fn a_server_takes_runs_of_an_hour_unless_it_is_told_otherwise() {
    // Past an hour alone, and by the warm-up.
    let over = [["-t", "3601", "-O", "0"], ["-t", "59m", "-O", "90"], ["-t", "7200", "-O", "5"]];
    let server = Server::start(&[]);
    for [time, length, omit, warm_up] in over {
        let target = server.target();
        let outcome =
            podperf_json(&["rr", &target, time, length, omit, warm_up, "--deadline", "9", "-J"]);
        assert_refused(&server, &outcome, &["--time", "at most", "raise --max-time there"]);
    }
    // Within it, as long as the server is told to, and in a server of the client's own.
    let longer = Server::start(&["--max-time", "7d"]);
    let (own, longer) = (server.target(), longer.target());
    let runs: [&[&str]; 3] = [&[&own, "-t", "59m"], &[&longer, "-t", "6d"], &["-t", "6d"]];
    for run in runs {
        let outcome =
            podperf_json(&[&["rr", "-O", "0", "-i", "60", "--deadline", "2", "-J"], run].concat());
        outcome.assert_failed(5, &["the deadline has passed"]);
    }
}

#[test]
fn a_client_that_ignores_the_rules_is_refused_by_the_server_all_the_same() {
    let server = Server::start(&[]);
    let refusal = |pointer: &str, value: Value| {
        let mut plan = plan();
        *plan.pointer_mut(pointer).expect("it is in the plan") = value;
        let mut client = WireClient::welcome(server.port);
        client.send(&json!({"prepare": {"plan": plan}}));
        let answer = client.receive();
        let error = at(&answer, "/refused");
        format!("{}: {}", text(error, "/operation"), text(error, "/cause"))
    };
    let rows = [
        ("/workload/message_bytes", json!(1_u64 << 50), "--length"),
        ("/workload/message_bytes", json!(0), "--length"),
        ("/flows", json!(0), "--streams"),
        ("/flows", json!(u32::MAX), "--streams"),
        ("/stop_condition/window_seconds", json!(1e12), "--time"),
        ("/stop_condition/window_seconds", json!(0.0), "--time"),
        ("/warm_up_seconds", json!(1e12), "--omit"),
        ("/interval_seconds", json!(1e-6), "--interval"),
        ("/server/workers", json!(0), "--server-workers"),
        ("/server/workers", json!(u32::MAX), "--server-workers"),
        ("/server/pin", json!({"list": [4_000_000_000_u32]}), "--server-pin"),
        ("/socket/buffer_bytes", json!(1_u64 << 40), "--window"),
        ("/socket/mss_bytes", json!(1), "--mss"),
        ("/socket/dscp", json!(64), "--dscp"),
        ("/socket/pacing_bits_per_second", json!(0), "--bitrate"),
        ("/socket/congestion_control", json!("x".repeat(1000)), "--congestion"),
    ];
    for (pointer, value, option) in rows {
        let refused = refusal(pointer, value.clone());
        assert!(refused.contains(option), "{pointer} {value}: {refused}");
    }
    server.assert_all_freed(TIMEOUT);
    server.assert_serves();
}

#[test]
fn what_only_the_server_can_refuse_is_told_to_the_client() {
    // The client's machine has the CPU and the server's process may not use it.
    let server = Server::start(&[]);
    let outcome = podperf_json(&["rr", &server.target(), "--server-pin", "1023", "-J", "-n", "1"]);
    outcome.assert_failed(3, &[&server.target(), "CPU 1023", "pin"]);
    server.assert_all_freed(TIMEOUT);
    server.assert_serves();
}

#[test]
fn a_thousand_streams_run_at_once() {
    let server = Server::start(&[]);
    let args = ["stream", &server.target(), "-P", "1000", "-t", "1", "-O", "0.5", "-l", "16K"];
    let outcome = Client::start(&[&args[..], &["-J"]].concat()).wait(Duration::from_secs(90));
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    let json = &outcome.json;
    assert_eq!(list(json, "/streams").len(), 1000);
    assert_eq!(sum(json, "/lifetime/bytes_sent"), sum(json, "/lifetime/bytes_received"));
    assert!(list(json, "/streams").iter().all(|stream| at(stream, "/lifetime/drained") == true));
    assert!(number(json, "/throughput/bits_per_second") > 0.0);
    server.assert_all_freed(TIMEOUT);
}

/// podperf with at most 64 open files.
fn few_files() -> Command {
    let mut command = Command::new("sh");
    let program = podperf(None);
    // `exec` keeps the process id.
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(program.get_program());
    command.env_remove("PODPERF_TOKEN");
    command
}

#[test]
fn too_few_open_files_at_the_client_are_named() {
    let server = Server::start(&[]);
    let args = ["stream", &server.target(), "-P", "100", "-J"];
    let outcome = Client::launch(few_files(), &args).wait(TIMEOUT);
    outcome.assert_failed(3, &["open files", "ulimit -n"]);
    server.assert_all_freed(TIMEOUT);
    server.assert_serves();
}

#[test]
fn too_few_open_files_at_the_server_are_named_and_it_serves_on() {
    let server = Server::launch(few_files(), &[]);
    let args = ["stream", &server.target(), "-P", "100", "-J"];
    let outcome = Client::start(&args).wait(TIMEOUT);
    outcome.assert_failed(3, &[&server.target(), "open files"]);
    server.assert_all_freed(TIMEOUT);
    server.assert_serves();
}
