//! What goes wrong with a peer, before and in mid-run: each end says what happened and with whom,
//! keeps what was measured, gives everything back, and the server serves the next client.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::namespaces::{busy_connections, cut};
use crate::support::process::{Client, Outcome, Server, podperf, podperf_json, send};
use crate::support::wire::{Proxy, peer};
use crate::support::{TIMEOUT, at, count, eventually, list, number, root, sum, text};

/// A run that outlives every fault, with readings often enough that some are there before it.
const LONG: &[&str] = &["-t", "30", "-O", "0.1", "-i", "0.1", "-J"];
/// What is measured before a fault.
const MEASURED: Duration = Duration::from_millis(1500);

fn long_run(server: &Server, workload: &str, options: &[&str]) -> Client {
    Client::start(&[&[workload, &server.target()], LONG, options].concat())
}

/// The run broke off: it names the peer, and what was measured before stands.
fn assert_partial(server: &Server, outcome: &Outcome) {
    outcome.assert_failed(4, &["podperf: error: ", &server.target()]);
    let json = &outcome.json;
    assert_eq!(text(json, "/schema"), "podperf.run/v1", "{}", outcome.stdout);
    assert_eq!(text(json, "/status"), "incomplete");
    let first = list(json, "/errors").first().expect("errors");
    assert!(!text(first, "/operation").is_empty() && !text(first, "/cause").is_empty());
    assert!(!list(json, "/intervals").is_empty(), "nothing of 1.5 s was kept: {json:#}");
    assert!(number(json, "/throughput/bits_per_second") > 0.0);
    assert!(number(json, "/window/seconds") < 25.0);
}

#[test]
fn a_killed_server_ends_the_run_with_what_was_measured() {
    for (workload, options) in
        [("stream", &["-P", "3"][..]), ("stream", &["-R"]), ("stream", &["--bidir"]), ("rr", &[])]
    {
        let mut server = Server::start(&[]);
        let client = long_run(&server, workload, options);
        server.wait_mid_run(MEASURED);
        server.kill();
        assert_partial(&server, &client.wait(TIMEOUT));
    }
}

#[test]
fn a_stopped_server_is_noticed_and_serves_again_once_it_goes_on() {
    for (workload, options) in
        [("stream", &["--peer-timeout", "2"][..]), ("rr", &["--peer-timeout", "2", "-P", "3"])]
    {
        let server = Server::start(&[]);
        let client = long_run(&server, workload, options);
        server.wait_mid_run(MEASURED);
        server.signal(Signal::SIGSTOP);
        let outcome = client.wait(TIMEOUT);
        assert_partial(&server, &outcome);
        outcome.assert_says(&["silent for 2.0 s"]);
        server.signal(Signal::SIGCONT);
        server.assert_serves();
        server.assert_all_freed(TIMEOUT);
    }
}

#[test]
fn one_reset_stream_of_four_is_named_and_ends_the_run() {
    if !root("one_reset_stream_of_four_is_named_and_ends_the_run") {
        return;
    }
    let server = Server::start(&[]);
    let client = long_run(&server, "stream", &["-P", "4"]);
    server.wait_mid_run(MEASURED);
    let mut local = None;
    eventually(TIMEOUT, || {
        local = busy_connections(None, server.port).pop().map(|(_, local)| local);
        local.is_some()
    });
    let local = local.expect("a connection that carries data");
    if !cut(None, server.port, std::slice::from_ref(&local)) {
        eprintln!("skipped: this kernel destroys no sockets (CONFIG_INET_DIAG_DESTROY)");
        return;
    }
    let outcome = client.wait(TIMEOUT);
    assert_partial(&server, &outcome);
    let errors = list(&outcome.json, "/errors");
    let id = errors.iter().find_map(|error| error["stream"].as_u64()).expect("a stream is named");
    outcome.assert_says(&[&format!("stream {id}: ")]);
    let named = text(&outcome.json, &format!("/streams/{id}/socket/client/local"));
    assert_eq!(named, format!("127.0.0.1:{local}"), "another stream was named");
    server.assert_serves();
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn a_stream_that_stalls_but_stays_open_is_reported_and_ends_with_the_run() {
    let server = Server::start(&[]);
    let proxy = Proxy::before(server.port);
    let target = format!("127.0.0.1:{}", proxy.port);
    let args = ["stream", &target, "-P", "3", "-t", "3", "-O", "0.1", "-i", "0.25", "-J"];
    let client = Client::start(&args);
    server.wait_mid_run(MEASURED);
    // The control connection comes first, then the streams in order.
    proxy.hold(3);
    let outcome = client.wait(TIMEOUT);
    let json = &outcome.json;
    let last = list(json, "/intervals").last().expect("intervals");
    let rates = list(last, "/stream_bits_per_second");
    assert_eq!(rates[1].as_f64(), Some(0.0), "{last:#}");
    assert!([0, 2].iter().all(|&id| rates[id].as_f64().is_some_and(|rate| rate > 0.0)), "{last:#}");
    let told = list(json, "/warnings").iter().any(|warning| {
        let (code, text) = (text(warning, "/code"), text(warning, "/text"));
        code.starts_with("stream_") && text.contains("1 stream (1)")
    });
    assert!(told, "nothing is said of stream 1: {:#}", json["warnings"]);
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn a_killed_client_leaves_nothing_behind_at_the_server() {
    let server = Server::start(&[]);
    for (workload, options) in
        [("stream", &["-P", "3"][..]), ("stream", &["-R", "-P", "9"]), ("rr", &["-P", "2"])]
    {
        let client = long_run(&server, workload, options);
        server.wait_mid_run(Duration::from_millis(500));
        drop(client);
        server.assert_all_freed(TIMEOUT);
        server.assert_serves();
    }
}

#[test]
fn a_stopped_client_is_given_up_by_the_server() {
    let server = Server::start(&["--peer-timeout", "2"]);
    for options in [&["-P", "3"][..], &["-R", "-P", "3"]] {
        let client = long_run(&server, "stream", options);
        server.wait_mid_run(Duration::from_millis(500));
        client.signal(Signal::SIGSTOP);
        server.assert_all_freed(TIMEOUT);
        server.assert_serves();
        client.signal(Signal::SIGCONT);
        assert_eq!(client.wait(TIMEOUT).status, 4);
    }
    assert!(
        server.log().iter().any(|line| line.contains("silent for 2.0 s")),
        "{:?}",
        server.log()
    );
}

#[test]
fn a_refused_connection_names_the_peer_and_what_to_do() {
    // Bound and closed again: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let target = format!("127.0.0.1:{port}");
    let outcome = Client::start(&["stream", &target, "-J"]).wait(TIMEOUT);
    outcome.assert_failed(3, &[&target, "refused", "podperf serve"]);
    assert_eq!(text(&outcome.json, "/status"), "incomplete");
    assert_eq!(at(&outcome.json, "/throughput"), &Value::Null);
}

/// Runs a client against something that is not a server like itself.
fn against(port: u16, status: i32, options: &[&str]) -> Outcome {
    let target = format!("127.0.0.1:{port}");
    let outcome = Client::start(&[&["rr", &target, "-J"], options].concat()).wait(TIMEOUT);
    outcome.assert_failed(status, &[&target]);
    assert_eq!(text(&outcome.json, "/status"), "incomplete");
    outcome
}

#[test]
fn a_peer_that_never_answers_meets_the_connect_timeout() {
    let silent = || {
        peer(|mut stream| {
            let mut ignored = Vec::new();
            let _ = stream.read_to_end(&mut ignored);
        })
    };
    let outcome = against(silent(), 3, &["--connect-timeout", "1"]);
    assert!(outcome.took >= Duration::from_secs(1), "{:?}", outcome.took);
    // The deadline of the whole command may come first.
    let outcome = against(silent(), 5, &["--connect-timeout", "1h", "--deadline", "1"]);
    assert!(outcome.took >= Duration::from_secs(1), "{:?}", outcome.took);
}

#[test]
fn a_signal_ends_the_wait_for_a_peer_that_never_answers() {
    let (tell, reached) = std::sync::mpsc::channel();
    let port = peer(move |mut stream| {
        let _ = stream.read_exact(&mut [0; 32]);
        tell.send(()).expect("the test waits");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let target = format!("127.0.0.1:{port}");
    let client = Client::start(&["rr", &target, "--connect-timeout", "1h", "-J"]);
    reached.recv_timeout(TIMEOUT).expect("the client sends its preamble");
    client.signal(Signal::SIGINT);
    client.wait(TIMEOUT).assert_failed(130, &[&target, "signal"]);
}

#[test]
fn a_peer_that_is_not_podperf_is_recognised() {
    let port = peer(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    });
    against(port, 3, &[]).assert_says(&["not podperf", "HTTP/1.1 400"]);
    let port = peer(drop);
    against(port, 3, &[]).assert_says(&["not podperf"]);
}

#[test]
fn a_peer_of_another_version_is_told_apart() {
    let port = peer(|mut stream| {
        let mut preamble = [0; 32];
        let _ = stream.read_exact(&mut preamble);
        preamble[8..10].copy_from_slice(&9_u16.to_be_bytes());
        let _ = stream.write_all(&preamble);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    against(port, 3, &[]).assert_says(&["version 9", "version 1"]);
}

#[test]
fn a_token_is_demanded_proved_and_never_sent() {
    const SECRET: &str = "correct-horse-battery-staple";
    let with = |token: &str| {
        let mut command = podperf(None);
        command.env("PODPERF_TOKEN", token);
        command
    };
    let open = Server::start(&[]);
    let server = Server::launch(with(SECRET), &[]);
    let proxy = Proxy::before(server.port);
    let target = format!("127.0.0.1:{}", proxy.port);
    let args = ["rr", target.as_str(), "-n", "10", "-J"];
    let run = |token: Option<&str>, args: &[&str]| {
        let command = token.map_or_else(|| podperf(None), with);
        Client::launch(command, args).wait(TIMEOUT)
    };
    run(None, &args).assert_failed(3, &["demands a token", "--token-file", "PODPERF_TOKEN"]);
    run(Some("a-wrong-guess"), &args).assert_failed(3, &["wrong token"]);
    let outcome = run(Some(SECRET), &args);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    let to_open = ["rr", &open.target(), "-n", "10", "-J"];
    run(Some(SECRET), &to_open).assert_failed(3, &["it has no token"]);

    assert!(proxy.saw(b"\"hello\""), "the proxy recorded nothing");
    for secret in [SECRET, "a-wrong-guess"] {
        assert!(!proxy.saw(secret.as_bytes()), "the token crossed the wire");
        assert!(!outcome.stdout.contains(secret), "the token stands in the document");
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn a_signal_ends_a_run_with_what_there_is() {
    for (signal, status) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        for workload in ["stream", "rr"] {
            let server = Server::start(&[]);
            let client = long_run(&server, workload, &[]);
            server.wait_mid_run(MEASURED);
            client.signal(signal);
            let outcome = client.wait(TIMEOUT);
            outcome.assert_failed(status, &[signal.as_str()]);
            let json = &outcome.json;
            assert_eq!(text(json, "/status"), "incomplete");
            assert!(!list(json, "/intervals").is_empty());
            assert!(number(json, "/throughput/bits_per_second") > 0.0);
            // Both ends were stopped in order: nothing that was sent is lost.
            assert_eq!(sum(json, "/lifetime/bytes_sent"), sum(json, "/lifetime/bytes_received"));
            server.assert_all_freed(TIMEOUT);
        }
    }
}

#[test]
fn a_stop_while_a_stream_is_stuck_tells_that_it_was_not_drained() {
    let server = Server::start(&[]);
    let proxy = Proxy::before(server.port);
    let target = format!("127.0.0.1:{}", proxy.port);
    for (held, options) in [(2, ["-P", "2"]), (6, ["-R", "-P2"])] {
        let client = Client::start(&[&["stream", &target], LONG, &options].concat());
        server.wait_mid_run(Duration::from_millis(500));
        // The control connection comes first; a run has three connections.
        proxy.hold(held);
        std::thread::sleep(Duration::from_millis(500));
        client.signal(Signal::SIGINT);
        let outcome = client.wait(TIMEOUT);
        outcome.assert_failed(130, &["SIGINT"]);
        let json = &outcome.json;
        let drained: Vec<_> =
            list(json, "/streams").iter().map(|stream| at(stream, "/lifetime/drained")).collect();
        let stuck = (held - 2) % 3;
        assert_eq!(drained[stuck], false, "{options:?}: {drained:?}");
        assert_eq!(drained[1 - stuck], true, "{options:?}: {drained:?}");
        assert!(sum(json, "/lifetime/bytes_sent") > sum(json, "/lifetime/bytes_received"));
        server.assert_all_freed(TIMEOUT);
    }
}

/// Signals sent to `pid` that it has not taken (proc(5), ShdPnd).
fn signals_pending(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    pending.is_some_and(|mask| mask.trim().bytes().any(|digit| digit != b'0'))
}

#[test]
fn a_second_signal_ends_at_once() {
    let server = Server::start(&[]);
    let client = long_run(&server, "stream", &["--peer-timeout", "10m"]);
    server.wait_mid_run(Duration::from_millis(500));
    // A server that does not answer holds the end of the run up.
    server.signal(Signal::SIGSTOP);
    client.signal(Signal::SIGINT);
    assert!(eventually(TIMEOUT, || !signals_pending(client.pid())), "the first is not taken");
    // Within a second of the first it would be the same request.
    std::thread::sleep(Duration::from_millis(1500));
    send(client.pid(), Signal::SIGINT);
    assert_eq!(client.wait(TIMEOUT).status, 130);
}

#[test]
fn a_deadline_ends_a_run_with_what_there_is() {
    let server = Server::start(&[]);
    let outcome = long_run(&server, "stream", &["--deadline", "1s"]).wait(TIMEOUT);
    outcome.assert_failed(5, &["--deadline"]);
    assert!(number(&outcome.json, "/window/seconds") < 25.0);
    assert!(number(&outcome.json, "/throughput/bits_per_second") > 0.0);
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn a_server_that_pauses_shows_in_the_percentiles_of_an_open_loop() {
    let server = Server::start(&[]);
    let target = server.target();
    let client = Client::start(&["rr", &target, "--rate", "1000", "-t", "4", "-O", "0.2", "-J"]);
    server.wait_mid_run(MEASURED);
    server.signal(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_millis(300));
    server.signal(Signal::SIGCONT);
    let outcome = client.wait(Duration::from_secs(20));
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    // 300 of 4000 requests were due in the pause; the last 200 of them waited 100 ms or more.
    let p99 = count(&outcome.json, "/latency/p99_ns");
    assert!(p99 >= 100_000_000, "p99 {p99} ns");
    assert!(count(&outcome.json, "/latency/max_ns") >= 250_000_000);
}

#[test]
fn a_port_that_is_taken_is_named_at_once() {
    let server = Server::start(&[]);
    let port = server.port.to_string();
    for args in [&["serve", "-p", &port, "--bind", "127.0.0.1"][..], &["serve", "-p", &port]] {
        let outcome = Client::start(args).wait(TIMEOUT);
        if args.contains(&"--bind") {
            outcome.assert_failed(3, &[&server.address, "in use"]);
        } else {
            outcome.assert_failed(3, &[&format!(":{port}"), "in use"]);
        }
    }
    server.assert_serves();
}

#[test]
fn standard_output_closed_early_ends_quietly() {
    for args in [&["stream", "-t", "0.3", "-O", "0", "-J", "-q"][..], &["schema"], &["--help"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = podperf(None).args(args).stdout(writer).output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{args:?}");
        assert_eq!(stderr, "", "{args:?}");
    }
}

#[test]
fn a_server_ends_in_order_on_a_signal_and_after_one_run_with_once() {
    let mut server = Server::start(&[]);
    let client = long_run(&server, "stream", &[]);
    server.wait_mid_run(MEASURED);
    server.signal(Signal::SIGTERM);
    assert_partial(&server, &client.wait(TIMEOUT));
    assert!(eventually(TIMEOUT, || !server.alive()), "the server goes on: {:?}", server.log());

    let mut once = Server::start(&["--once"]);
    let outcome = podperf_json(&["rr", &once.target(), "-n", "10", "-J"]);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert!(eventually(TIMEOUT, || !once.alive()), "the server goes on: {:?}", once.log());
}
