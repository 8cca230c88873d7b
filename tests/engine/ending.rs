//! The end of a server, a client, an agent's coordinator and netserver by signals: runs under way
//! have a time to end by themselves, then they end with what was measured; a further signal ends at
//! once, and what comes within a second is one request.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::netserver::{Netserver, netperf, stream};
use crate::support::process::{Client, Outcome, Server, program, send};
use crate::support::{TIMEOUT, at, count, eventually, list, number, text};

/// More than the time within which signals are one, with room for a busy machine.
const LATER: Duration = Duration::from_millis(1600);

/// What the program of today is told; earlier ones have no such option.
fn drain(time: &'static str) -> Vec<&'static str> {
    let earlier = std::env::var_os("PODPERF_UNDER_TEST").is_some();
    if earlier { Vec::new() } else { vec!["--drain", time] }
}

fn run(server: &Server, args: &[&str]) -> Client {
    let target = server.target();
    Client::start(&[args, &[target.as_str(), "-O", "0.1", "-J"]].concat())
}

/// The exit status, in time.
fn status(mut child: impl FnMut() -> Option<i32>) -> i32 {
    let mut ended = None;
    eventually(TIMEOUT, || {
        ended = child();
        ended.is_some()
    });
    ended.expect("it ends")
}

fn code(child: &mut Child) -> Option<i32> {
    child.try_wait().expect("it can be asked").map(|status| status.code().unwrap_or(-1))
}

/// Twice within milliseconds, as timeout(1) does to a process of its group.
fn signal_twice(pid: u32, signal: Signal) {
    send(pid, signal);
    std::thread::sleep(Duration::from_millis(5));
    send(pid, signal);
}

/// It broke off because the server ended, and has what was measured until then.
fn assert_ended_with(outcome: &Outcome, server: &Server) {
    outcome.assert_failed(4, &["the server is ending", &server.target()]);
    let json = &outcome.json;
    assert_eq!(text(json, "/status"), "incomplete");
    assert_eq!(text(json, "/errors/0/code"), "signal", "{json:#}");
    assert!(text(json, "/errors/0/remedy").contains("--drain"), "{json:#}");
    assert!(number(json, "/window/seconds") > 0.0);
}

/// timeout(1) signals its child, and microseconds later the group that both are in.
#[test]
fn a_client_that_timeout_ends_has_its_result_each_time() {
    let server = Server::start(&[]);
    let target = server.target();
    let signals = [("TERM", 143), ("HUP", 143), ("INT", 130)];
    let start = |number: usize| {
        let (signal, status) = signals[number % signals.len()];
        let own = program();
        let words = ["--preserve-status", "-s", signal, "4", &own, "udp", &target, "-t", "60"];
        (
            status,
            Client::launch(Command::new("timeout"), &[&words[..], &["-O", "0", "-J"]].concat()),
        )
    };
    let clients: Vec<(i32, Client)> = (0..10).map(start).collect();
    for (status, client) in clients {
        let outcome = client.wait(TIMEOUT);
        outcome.assert_failed(status, &["ended by SIG"]);
        assert_eq!(text(&outcome.json, "/status"), "incomplete", "{outcome:#?}");
        assert_eq!(text(&outcome.json, "/errors/0/code"), "signal", "{outcome:#?}");
    }
}

#[test]
fn a_client_that_ignores_hang_ups_goes_on() {
    let server = Server::start(&[]);
    let (target, own) = (server.target(), program());
    let words = [own.as_str(), "udp", &target, "-t", "2", "-O", "0", "-i", "0.2", "-J"];
    let client = Client::launch(Command::new("nohup"), &words);
    client.wait_for_interval();
    client.signal(Signal::SIGHUP);
    let outcome = client.wait(TIMEOUT);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert_eq!(text(&outcome.json, "/status"), "complete");
}

#[test]
fn runs_under_way_end_by_themselves_within_the_drain() {
    let rows: [&[&str]; 5] =
        [&["stream", "-P", "2"], &["stream", "-R"], &["rr"], &["crr"], &["udp", "-b", "50M"]];
    let mut server = Server::start(&drain("30s"));
    let clients = rows.map(|row| run(&server, &[row, &["-t", "4"]].concat()));
    for _ in rows {
        server.wait_mid_run(Duration::from_millis(300));
    }
    // Once is asked, however often within a moment.
    signal_twice(server.pid(), Signal::SIGTERM);
    server.wait_for_log("may end within 30s");
    let late = run(&server, &["rr", "-t", "1"]).wait(TIMEOUT);
    late.assert_failed(3, &["the server is ending", "try again", &server.target()]);
    assert_eq!(text(&late.json, "/errors/0/code"), "refused");
    for (row, client) in rows.iter().zip(clients) {
        let outcome = client.wait(TIMEOUT);
        assert_eq!(outcome.status, 0, "{row:?}: {outcome:#?}");
        assert_eq!(text(&outcome.json, "/status"), "complete", "{row:?}");
    }
    assert_eq!(status(|| server.ended()), 143);
}

#[test]
fn who_waits_in_a_queue_is_told_at_once_that_no_run_begins_any_more() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let policy = "[[rule]]\nname = \"all\"\naddresses = [\"any\"]\nanonymous = true\n\
                  sessions = 1\nqueue = { length = 3, wait = \"1m\" }\n";
    std::fs::write(&file, policy).unwrap();
    let path = file.path().to_str().unwrap();
    let mut server = Server::start(&["--policy", path, "--drain", "30s"]);
    let first = run(&server, &["rr", "-t", "5"]);
    server.wait_mid_run(Duration::from_millis(100));
    let second = run(&server, &["rr", "-t", "1"]);
    server.wait_for_log("waits in the queue");
    server.signal(Signal::SIGTERM);
    second.wait(TIMEOUT).assert_failed(3, &["the server is ending", "try again"]);
    assert!(server.alive(), "the first has its time");
    assert_eq!(first.wait(TIMEOUT).status, 0);
    assert_eq!(status(|| server.ended()), 143);
}

#[test]
fn a_server_without_a_policy_goes_on_at_sighup() {
    let server = Server::start(&[]);
    server.signal(Signal::SIGHUP);
    server.wait_for_log("nothing to read again");
    server.assert_serves();
}

#[test]
fn without_a_drain_and_past_it_runs_end_with_what_was_measured() {
    let interval: [&[&str]; 2] = [&["-i", "0.2"], &["-i", "20"]];
    for (time, least) in [("0s", Duration::ZERO), ("1500ms", Duration::from_millis(1400))] {
        // Also where no reading came before the end.
        for (row, interval) in [(&["stream"][..], interval[1]), (&["rr", "-P", "2"], interval[0])] {
            let mut server = Server::start(&drain(time));
            let client = run(&server, &[row, interval, &["-t", "30"]].concat());
            server.wait_mid_run(Duration::from_millis(700));
            let told = Instant::now();
            server.signal(Signal::SIGTERM);
            let outcome = client.wait(TIMEOUT);
            assert!(told.elapsed() > least, "{time}: ended after {:?}", told.elapsed());
            assert_ended_with(&outcome, &server);
            assert!(!list(&outcome.json, "/intervals").is_empty(), "{:#}", outcome.json);
            let (sent, received) = (
                count(&outcome.json, "/throughput/bytes_sent"),
                count(&outcome.json, "/throughput/bytes_received"),
            );
            assert!(received > 0 && sent > 0, "{row:?}: {sent} {received}");
            assert_eq!(status(|| server.ended()), 143);
        }
    }
}

#[test]
fn a_run_that_has_not_begun_is_told_why_it_never_will() {
    let mut server = Server::start(&drain("0s"));
    let target = server.target();
    let client = Client::start(&["rr", &target, "-t", "20", "-O", "9", "-J"]);
    server.wait_mid_run(Duration::from_millis(500));
    server.signal(Signal::SIGINT);
    let outcome = client.wait(TIMEOUT);
    outcome.assert_failed(3, &["the server is ending", &server.target()]);
    assert_eq!(at(&outcome.json, "/throughput"), &serde_json::Value::Null);
    assert_eq!(status(|| server.ended()), 130);
}

#[test]
fn a_second_signal_ends_a_server_at_once_and_one_within_a_second_does_not() {
    let mut server = Server::start(&drain("60s"));
    let client = run(&server, &["stream", "-t", "30", "-i", "0.2"]);
    server.wait_mid_run(Duration::from_millis(500));
    signal_twice(server.pid(), Signal::SIGTERM);
    std::thread::sleep(LATER);
    assert!(server.alive(), "two signals within milliseconds are two: {:#?}", server.log());
    server.signal(Signal::SIGTERM);
    assert_eq!(status(|| server.ended()), 143);
    client.wait(TIMEOUT).assert_failed(4, &[&server.target()]);
}

#[test]
fn a_client_brings_its_result_at_two_signals_within_a_moment_and_ends_at_a_later_one() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let status = if signal == Signal::SIGINT { 130 } else { 143 };
        let server = Server::start(&[]);
        let client = run(&server, &["stream", "-t", "30", "-i", "0.2"]);
        server.wait_mid_run(Duration::from_millis(900));
        signal_twice(client.pid(), signal);
        let outcome = client.wait(TIMEOUT);
        outcome.assert_failed(status, &["ended by SIG"]);
        assert_eq!(text(&outcome.json, "/status"), "incomplete");
        assert!(number(&outcome.json, "/throughput/bits_per_second") > 0.0);

        // A server that has stopped is waited for; not by whom is asked twice.
        let client = run(&server, &["stream", "-t", "30", "--peer-timeout", "60"]);
        server.wait_mid_run(Duration::from_millis(500));
        server.signal(Signal::SIGSTOP);
        client.signal(signal);
        std::thread::sleep(LATER);
        client.signal(signal);
        let outcome = client.wait(TIMEOUT);
        assert_eq!((outcome.status, outcome.stdout.as_str()), (status, ""), "{outcome:#?}");
    }
}

#[test]
fn netserver_lets_tests_end_takes_no_new_one_and_ends_at_a_later_signal() {
    let drain = |time| if drain("0s").is_empty() { vec![] } else { vec!["--drain", time] };
    let test = |server: &Netserver, options: &[&str]| {
        let port = server.port.to_string();
        let mut command = netperf(&["-H", "127.0.0.1", "-p", &port]);
        command.args(options).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("netperf starts")
    };
    for options in [&["-l", "3"][..], &["-l", "3", "-t", "TCP_RR"], &["-l", "3", "-t", "TCP_CRR"]] {
        let mut server = Netserver::start(&drain("20"));
        let client = test(&server, options);
        server.wait_for_log("test of ");
        // A client between two tests does not hold the end up.
        let idle = server.client();
        signal_twice(server.child.id(), Signal::SIGTERM);
        server.wait_for_log("no new run begins");
        assert_eq!(server.client().refusal(&stream(4)), libc::ESHUTDOWN);
        let output = client.wait_with_output().unwrap();
        assert!(output.status.success(), "{options:?}: {output:?}");
        assert!(idle.dropped());
        assert_eq!(status(|| code(&mut server.child)), 143);
    }

    let mut server = Netserver::start(&drain("0"));
    let client = test(&server, &["-l", "30", "--json"]);
    server.wait_for_log("test of ");
    std::thread::sleep(Duration::from_millis(700));
    send(server.child.id(), Signal::SIGTERM);
    let output = client.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.contains("netserver: it is ending") && said.contains("incomplete"), "{said}");
    assert_eq!(status(|| code(&mut server.child)), 143);

    let mut server = Netserver::start(&drain("60"));
    let mut client = test(&server, &["-l", "30"]);
    server.wait_for_log("test of ");
    signal_twice(server.child.id(), Signal::SIGTERM);
    std::thread::sleep(LATER);
    assert_eq!(code(&mut server.child), None, "two signals within milliseconds are two");
    send(server.child.id(), Signal::SIGTERM);
    let ended = eventually(TIMEOUT, || server.child.try_wait().unwrap().is_some());
    assert!(ended, "it goes on");
    let _ = client.kill();
    let _ = client.wait();
}
