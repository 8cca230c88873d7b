//! Every way of sending and receiving streams over loopback, with real client and server processes:
//! each byte arrives, the result says by which method, and what the kernel refuses is named before
//! anything moves.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::process::{Client, Server, podperf_json};
use crate::support::runs::{bytes_by, complete, run};
use crate::support::sandbox::{NOBODY, ordinary};
use crate::support::{TIMEOUT, at, count, list, number, root, sum, text};

const SEND: [&str; 5] = ["write", "zerocopy", "sendfile", "splice", "auto"];
const RECEIVE: [&str; 3] = ["read", "trunc", "mmap"];
const TIMED: &[&str] = &["-t", "0.2", "-O", "0.1", "-i", "0.1"];
/// Several flows a worker on both ends.
const SHARED: &[&str] = &["-P", "3", "--workers", "1", "--server-workers", "1"];
const SHARED_BIDIR: &[&str] = &["-P", "3", "--workers", "2", "--server-workers", "2"];
/// A run that outlives every fault.
const LONG: &[&str] = &["-t", "30", "-O", "0.1", "-i", "0.1", "-J"];

fn warned(json: &Value, code: &str) -> bool {
    list(json, "/warnings").iter().any(|warning| warning["code"] == code)
}

/// What the document says of how the bytes went.
fn told(json: &Value, send: &str, receive: &str) {
    let moved = sum(json, "/lifetime/bytes_sent");
    for (part, methods) in [("send", &SEND[..]), ("receive", &RECEIVE[..])] {
        let told: u64 = methods.iter().map(|method| bytes_by(json, part, method)).sum();
        assert_eq!(told, moved, "{send} {receive}: {part}: {:#}", at(json, "/transport"));
    }
    for end in ["client", "server"] {
        let facts = |part: &str| json.pointer(&format!("/transport/{end}/{part}"));
        if let Some(facts) = facts("send").filter(|facts| !facts.is_null()) {
            assert_eq!(text(facts, "/asked"), send);
            assert!(number(facts, "/mean_bytes_per_call") > 0.0);
            if send == "auto" {
                assert!(text(facts, "/reason").len() > 20, "{facts:#}");
                assert_ne!(text(facts, "/used"), "auto");
                // What this machine does with its own packets.
                assert_ne!(text(facts, "/used"), "zerocopy", "{facts:#}");
            } else {
                assert_eq!(text(facts, "/used"), send);
            }
            if send == "zerocopy" {
                assert!(count(facts, "/zerocopy/sends") > 0, "{facts:#}");
                assert!(number(facts, "/zerocopy/copied_share") > 0.99, "{facts:#}");
            }
        }
        if let Some(facts) = facts("receive").filter(|facts| !facts.is_null()) {
            assert_eq!(text(facts, "/asked"), receive);
            assert_eq!(at(facts, "/stack_only"), receive != "read");
        }
    }
    assert_eq!(warned(json, "zerocopy_copied"), send == "zerocopy");
    if receive == "mmap" {
        // The two ends of a run both ways may differ.
        assert!(warned(json, "mmap_unmapped") || warned(json, "stack_only"), "{json:#}");
        // Single pages of a pipe are the ones that can be mapped without a device in between.
        if send == "splice" {
            assert!(bytes_by(json, "receive", "mmap") > moved / 2, "{:#}", at(json, "/transport"));
        }
    } else {
        assert_eq!(warned(json, "stack_only"), receive == "trunc");
    }
}

/// Each send method with each receive method.
fn every_pair(row: impl Fn(&Server, &str, &str)) {
    let server = Server::start(&[]);
    for send in SEND {
        for receive in RECEIVE {
            row(&server, send, receive);
        }
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn every_pair_of_methods_with_a_worker_a_flow_loses_nothing() {
    every_pair(|server, send, receive| {
        for direction in [&[][..], &["-R"], &["--bidir"]] {
            let methods = ["--send", send, "--recv", receive];
            let outcome = run(server, "stream", &[TIMED, &["-P", "2"], direction, &methods]);
            told(&outcome.json, send, receive);
        }
    });
}

#[test]
fn every_pair_of_methods_with_many_flows_a_worker_loses_nothing() {
    every_pair(|server, send, receive| {
        for (direction, layout) in
            [(&[][..], SHARED), (&["-R"], SHARED), (&["--bidir"], SHARED_BIDIR)]
        {
            let methods = ["--send", send, "--recv", receive];
            let outcome = run(server, "stream", &[TIMED, layout, direction, &methods]);
            told(&outcome.json, send, receive);
        }
    });
}

#[test]
fn runs_by_bytes_move_exactly_what_was_asked_by_every_method() {
    every_pair(|server, send, receive| {
        // Neither a multiple of the message size nor of the number of streams.
        for layout in [&["-P", "1"][..], SHARED] {
            let methods = ["--send", send, "--recv", receive, "-n", "20000003"];
            let json = run(server, "stream", &[layout, &methods]).json;
            assert_eq!(sum(&json, "/lifetime/bytes_received"), 20_000_003, "{send} {receive}");
            assert_eq!(count(&json, "/throughput/bytes_received"), 20_000_003);
            if send == "auto" {
                let facts = at(&json, "/transport/client/send");
                assert_eq!(text(facts, "/used"), "write");
                assert!(text(facts, "/reason").contains("ends by a count"), "{facts:#}");
            }
        }
    });
}

#[test]
fn one_byte_messages_and_messages_larger_than_pipes_and_buffers_arrive() {
    let server = Server::start(&[]);
    for send in SEND {
        for layout in [&["-P", "1"][..], SHARED] {
            for (length, receive) in
                [("1", "read"), ("1", "trunc"), ("5000", "mmap"), ("16M", "trunc"), ("16M", "mmap")]
            {
                let methods = ["--send", send, "--recv", receive, "-l", length];
                run(&server, "stream", &[TIMED, layout, &methods]);
            }
        }
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn without_a_warm_up_auto_writes_and_says_why() {
    let server = Server::start(&[]);
    let json = run(&server, "stream", &[&["-t", "0.2", "-O", "0"]]).json;
    let facts = at(&json, "/transport/client/send");
    assert_eq!(text(facts, "/used"), "write");
    assert!(text(facts, "/reason").contains("the run has none"), "{facts:#}");
}

#[test]
fn a_peer_that_is_killed_ends_a_run_by_any_method() {
    let rows = SEND.map(|send| ["--send", send, "-P", "2"]);
    let receives = RECEIVE.map(|receive| ["--recv", receive, "-R", "-P2"]);
    let layouts = [&[][..], &["--workers", "1"]];
    for (number, row) in rows.iter().chain(&receives).enumerate() {
        let mut server = Server::start(&[]);
        let layout = layouts[number % 2];
        let target = server.target();
        let args = [&["stream", &target], LONG, row, layout].concat();
        let client = Client::start(&args);
        server.wait_mid_run(Duration::from_millis(500));
        server.kill();
        let outcome = client.wait(TIMEOUT);
        outcome.assert_failed(4, &[&target]);
        assert_eq!(text(&outcome.json, "/status"), "incomplete", "{row:?}");
    }
}

#[test]
fn senders_that_are_blocked_stop_by_any_method() {
    for send in SEND {
        for layout in [&["-P", "2"][..], SHARED] {
            let server = Server::start(&[]);
            let target = server.target();
            let args = ["stream", &target, "--send", send, "--peer-timeout", "1"];
            let args = [&args, LONG, layout].concat();
            let client = Client::start(&args);
            server.wait_mid_run(Duration::from_millis(500));
            server.signal(Signal::SIGSTOP);
            let outcome = client.wait(TIMEOUT);
            outcome.assert_failed(4, &["silent for 1.0 s"]);
            server.signal(Signal::SIGCONT);
            server.assert_all_freed(TIMEOUT);
        }
    }
}

#[test]
fn locked_memory_that_is_too_small_is_named_before_anything_moves() {
    if !root("locked_memory_that_is_too_small_is_named_before_anything_moves") {
        return;
    }
    let server = Server::start(&[]);
    let target = server.target();
    let (_folder, command) = ordinary(NOBODY);
    let args = ["stream", &target, "--send", "zerocopy", "-l", "128K", "-J"];
    let outcome = Client::launch(command, &args).wait(TIMEOUT);
    outcome.assert_failed(3, &["MSG_ZEROCOPY", "131072 B", "os error 105", "ulimit -l"]);
    assert_eq!(at(&outcome.json, "/window"), &Value::Null);
    assert_eq!(at(&outcome.json, "/throughput"), &Value::Null);

    // The same at the server, told to the client.
    let (_folder, command) = ordinary(NOBODY);
    let small = Server::launch(command, &[]);
    let target = small.target();
    let args = ["stream", &target, "-R", "--send", "zerocopy", "-l", "128K", "-J"];
    podperf_json(&args).assert_failed(3, &[&target, "MSG_ZEROCOPY", "ulimit -l"]);
    small.assert_serves();
    server.assert_all_freed(TIMEOUT);
}

/// The pages of a ring and of the buffers registered with it count as locked.
#[test]
fn locked_memory_that_is_too_small_for_registered_buffers_is_named_before_anything_moves() {
    if !root("locked_memory_that_is_too_small_for_registered_buffers") {
        return;
    }
    let server = Server::start(&[]);
    let target = server.target();
    let says = ["io_uring_register buffers", "os error 12", "locked memory", "ulimit -l"];
    for layout in [&["-P", "1"][..], SHARED] {
        let (_folder, command) = ordinary(NOBODY + 1);
        let args = ["stream", &target, "--send", "uring-zc", "-l", "128K", "-J"];
        let outcome = Client::launch(command, &[&args, layout].concat()).wait(TIMEOUT);
        outcome.assert_failed(3, &says);
        assert_eq!(at(&outcome.json, "/window"), &Value::Null);
        assert_eq!(at(&outcome.json, "/throughput"), &Value::Null);
    }

    // The same at the server, told to the client.
    let (_folder, command) = ordinary(NOBODY + 1);
    let small = Server::launch(command, &[]);
    let target = small.target();
    let args = ["stream", &target, "-R", "--send", "uring-zc", "-l", "128K", "-J"];
    let outcome = podperf_json(&args);
    outcome.assert_failed(3, &[&says[..], &[&target]].concat());
    assert_eq!(at(&outcome.json, "/throughput"), &Value::Null);
    small.assert_serves();
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn locked_memory_that_is_too_small_for_a_ring_is_stood_in_for_where_none_was_named() {
    if !root("locked_memory_that_is_too_small_for_a_ring") {
        return;
    }
    let server = Server::start(&[]);
    let target = server.target();
    // The ring of so many flows takes more than 64 KiB.
    let many = ["-P", "1000", "--workers", "1", "--server-workers", "1", "-n", "2000", "-J"];
    let (_folder, command) = ordinary(NOBODY + 2);
    let args = [&["rr", &target], &many[..]].concat();
    let outcome = Client::launch(command, &args).wait(TIMEOUT);
    complete(&args, &outcome);
    let told = text(&outcome.json, "/placement/client/fallbacks/0");
    assert!(told.contains("io_uring_setup") && told.contains("epoll stands in"), "{told}");
    assert!(warned(&outcome.json, "fallback"), "{:#}", at(&outcome.json, "/warnings"));

    let (_folder, command) = ordinary(NOBODY + 2);
    let args = [&args, &["--backend", "uring"][..]].concat();
    let says = ["io_uring_setup", "os error 12", "locked memory", "ulimit -l"];
    let outcome = Client::launch(command, &args).wait(TIMEOUT);
    outcome.assert_failed(3, &says);
    assert_eq!(at(&outcome.json, "/throughput"), &Value::Null);
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn locked_memory_that_runs_out_is_told_and_the_bytes_go_by_copying() {
    if !root("locked_memory_that_runs_out_is_told_and_the_bytes_go_by_copying") {
        return;
    }
    let server = Server::start(&[]);
    let target = server.target();
    for layout in [&["-P", "1"][..], SHARED] {
        let (_folder, command) = ordinary(NOBODY);
        let args = ["stream", &target, "--send", "zerocopy", "-l", "48K", "-J"];
        let args = [&args, TIMED, layout].concat();
        let outcome = Client::launch(command, &args).wait(TIMEOUT);
        complete(&args, &outcome);
        let json = &outcome.json;
        assert!(count(json, "/transport/client/send/zerocopy/enobufs") > 0);
        assert!(bytes_by(json, "send", "write") > 0);
        assert!(warned(json, "zerocopy_enobufs"), "{:#}", at(json, "/warnings"));
    }
    // What is refused is left out of a probe.
    let (_folder, command) = ordinary(NOBODY);
    let args = ["stream", &target, "-J", "-t", "0.2", "-O", "2"];
    let outcome = Client::launch(command, &args).wait(TIMEOUT);
    complete(&args, &outcome);
    let reason = text(&outcome.json, "/transport/client/send/reason");
    assert!(reason.contains("MSG_ZEROCOPY"), "{reason}");
}
