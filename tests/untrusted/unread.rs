//! Streams that a client never reads: when its control connection is gone, the server is left with
//! full send queues, and with pages that the kernel holds for them. All of it returns at once,
//! whichever way the bytes were sent, while the client keeps its ends open.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;
use podperf_engine::control::preamble::Preamble;
use podperf_engine::net::SessionId;
use podperf_model::plan::{Choice as _, SendMethod};
use podperf_netperf::wire::ask::OmniRequest;
use serde_json::{Value, json};

use crate::support::netserver::{Netserver, stream};
use crate::support::process::{Client, Server, send};
use crate::support::wire::{WireClient, connect, plan};
use crate::support::{TIMEOUT, eventually, text};

/// What a process may hold beyond what it held before: one arena of an allocator.
const MAX_REST_BYTES: u64 = 8 << 20;

/// Far more than it takes, and less than the kernel waits for a peer that does not read.
const RETURNS: Duration = Duration::from_secs(3);

/// Memory of a process that is there, in KiB: resident, or locked and pinned.
fn held_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
    };
    let pinned = value("VmPin:").unwrap_or(0).max(value("VmLck:").unwrap_or(0));
    value("VmRSS:").expect("a number").max(pinned)
}

/// Bytes in the send queues of all sockets of `port`, whether a process still has them or not
/// (/proc/net/tcp, proc(5)).
fn unsent_bytes(port: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("it is Linux");
    let ending = format!(":{port:04X}");
    let of_line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let unsent = words.get(4)?.split(':').next()?;
        words.get(1)?.ends_with(&ending).then(|| u64::from_str_radix(unsent, 16).unwrap_or(0))
    };
    table.lines().filter_map(of_line).sum()
}

/// A plan of `flows` streams that the server sends, which a client may never read.
fn down(method: &str, flows: u32, bytes: u64, workers: Option<u32>) -> Value {
    let mut plan = plan();
    plan["workload"]["direction"] = json!("down");
    plan["workload"]["send"] = json!(method);
    plan["workload"]["message_bytes"] = json!(bytes);
    plan["stop_condition"]["window_seconds"] = json!(50.0);
    plan["extent"] = plan["stop_condition"].clone();
    plan["flows"] = json!(flows);
    plan["server"]["workers"] = json!(workers);
    plan
}

/// A client whose streams have started, none of which it reads; nothing where the method is not to
/// be had here.
fn started(port: u16, plan: &Value) -> Option<(WireClient, Vec<TcpStream>)> {
    let mut client = WireClient::welcome(port);
    client.send(&json!({"prepare": {"plan": plan}}));
    let answer = client.receive();
    let session = SessionId::from_hex(text(&answer, "/connect/session")).expect("an id");
    let flows = u32::try_from(plan["flows"].as_u64().expect("a number")).expect("few");
    let data = (0..flows).map(|stream| {
        let mut data = connect(port);
        data.write_all(&Preamble::Data { session, stream }.encode()).unwrap();
        data
    });
    let data: Vec<TcpStream> = data.collect();
    let ready = client.receive();
    if !ready["ready"].is_object() {
        eprintln!("{}: skipped: {ready}", plan["workload"]["send"]);
        return None;
    }
    client.send(&json!("start"));
    client.send(&json!("open"));
    Some((client, data))
}

/// Runs of `plan` whose client goes without having read a byte; what is left of them.
fn left_behind(server: &Server, plan: &Value, runs: usize) -> Vec<String> {
    let before = held_kib(server.pid());
    let mut unread = Vec::new();
    for _ in 0..runs {
        let Some((client, data)) = started(server.port, plan) else { return vec![] };
        let full = eventually(TIMEOUT, || unsent_bytes(server.port) > 0);
        assert!(full, "nothing was sent: {:#?}", server.log());
        // Until nothing more fits.
        std::thread::sleep(Duration::from_millis(300));
        drop(client);
        unread.extend(data);
        server.assert_all_freed(TIMEOUT);
    }
    let left = what_is_left(server, before);
    drop(unread);
    let what = format!("{runs} runs of {}, {} streams", plan["workload"]["send"], plan["flows"]);
    left.into_iter().map(|left| format!("{what}: {left}")).collect()
}

/// What does not return in time.
fn what_is_left(server: &Server, before: u64) -> Vec<String> {
    let mut left = Vec::new();
    if !eventually(RETURNS, || held_kib(server.pid()) <= before + (MAX_REST_BYTES >> 10)) {
        left.push(format!("{} KiB held, {before} KiB before", held_kib(server.pid())));
    }
    if !eventually(RETURNS, || unsent_bytes(server.port) == 0) {
        left.push(format!("{} bytes wait to be sent", unsent_bytes(server.port)));
    }
    left
}

#[test]
fn memory_of_streams_that_nobody_reads_returns_by_every_method() {
    let mut left = Vec::new();
    for method in SendMethod::ALL {
        let server = Server::start(&[]);
        let method = method.name();
        // One run first: what the program needs once and for all.
        drop(started(server.port, &down(method, 1, 4096, None)));
        server.assert_all_freed(TIMEOUT);
        left.extend(left_behind(&server, &down(method, 3, 9 << 20, None), 2));
        left.extend(left_behind(&server, &down(method, 5, 1 << 20, Some(1)), 1));
        server.assert_serves();
    }
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn responses_that_nobody_reads_are_dropped_with_the_run() {
    let server = Server::start(&[]);
    for (response, connections, workers) in [(33 << 20, 6, 1), (7 << 20, 2, 2)] {
        let mut plan = down("write", 2, 1, Some(workers));
        plan["workload"] = json!({"kind": "crr", "request_bytes": 3, "response_bytes": response,
                                  "rate_per_second": null, "close": "client"});
        let mut client = WireClient::welcome(server.port);
        client.send(&json!({"prepare": {"plan": plan}}));
        let port = client.receive()["connect"]["port"].as_u64().expect("a port of the run");
        let port = u16::try_from(port).expect("a port");
        assert!(client.receive()["ready"].is_object());
        client.send(&json!("start"));
        let unread: Vec<TcpStream> = (0..connections)
            .map(|_| {
                let mut connection = connect(port);
                connection.write_all(b"all").unwrap();
                connection
            })
            .collect();
        assert!(eventually(TIMEOUT, || unsent_bytes(port) > 0), "{:#?}", server.log());
        std::thread::sleep(Duration::from_millis(300));
        drop(client);
        server.assert_all_freed(TIMEOUT);
        let sent = eventually(RETURNS, || unsent_bytes(port) == 0);
        assert!(sent, "{connections} connections: {} bytes wait to be sent", unsent_bytes(port));
        drop(unread);
    }
    server.assert_serves();
}

#[test]
fn netserver_keeps_nothing_of_what_nobody_reads() {
    let server = Netserver::start(&[]).measured();
    for send_size in [100_000, 5 << 20] {
        let mut client = server.client();
        let request = OmniRequest { send_size: Some(send_size), test_length: 40, ..stream(2) };
        let (response, data) = client.begin(&request);
        let port = response.data_port;
        assert!(eventually(TIMEOUT, || unsent_bytes(port) > 0), "nothing was sent");
        std::thread::sleep(Duration::from_millis(300));
        drop(client);
        server.assert_all_freed();
        let sent = eventually(RETURNS, || unsent_bytes(port) == 0);
        assert!(sent, "{send_size}: {} bytes wait to be sent", unsent_bytes(port));
        drop(data);
    }
    server.assert_serves();
}

#[test]
fn memory_returns_when_a_client_is_stopped_and_killed() {
    let mut left = Vec::new();
    for options in ["--send uring-zc -l 24M -P 2", "--send zerocopy -l 9M", "--bidir --send uring"]
    {
        let server = Server::start(&["--peer-timeout", "1"]);
        server.assert_serves();
        let before = held_kib(server.pid());
        for _ in 0..2 {
            let target = server.target();
            let mut args = vec!["stream", &target, "-R", "-t", "50", "-O", "0"];
            if options.starts_with("--bidir") {
                args.remove(2);
            }
            args.extend(options.split(' '));
            let client = Client::start(&args);
            server.wait_mid_run(Duration::from_millis(300));
            client.signal(Signal::SIGSTOP);
            // The server gives it up; the kernel of a stopped client answers for its connections.
            server.assert_all_freed(TIMEOUT);
            let of_run = what_is_left(&server, before);
            left.extend(of_run.into_iter().map(|left| format!("{options}: {left}")));
            send(client.pid(), Signal::SIGKILL);
        }
        server.assert_serves();
    }
    assert!(left.is_empty(), "{left:#?}");
}
