//! Every workload, direction and layout of workers over loopback, with real client and server
//! processes: each byte sent arrives, the figures of a document agree with each other, and what is
//! asked of sockets is granted on both ends.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::process::{Client, Outcome, Server, podperf_json};
use crate::support::runs::{TIMED, complete, exchange, multiplexing, run};
use crate::support::{TIMEOUT, at, count, eventually, histogram, list, number, sum, text};

/// Two workers at one end share three flows, or one serves all.
const EPOLL: &[&str] = &["--workers", "2", "--server-workers", "1"];
const ONE_EACH: &[&str] = &["--workers", "1", "--server-workers", "1"];

/// The window has about the length asked for. A busy machine may wake the client late.
fn window_is(outcome: &Outcome, seconds: f64) {
    let window = number(&outcome.json, "/window/seconds");
    assert!(window > seconds * 0.95 && window < seconds + 2.0, "{window} s, asked {seconds} s");
    let end = list(&outcome.json, "/intervals").last().expect("intervals");
    let last = number(end, "/end_seconds");
    assert!((last - window).abs() < 0.1, "the last interval ends at {last} of {window} s");
}

#[test]
fn streams_of_every_direction_number_and_layout_of_workers_lose_nothing() {
    let server = Server::start(&[]);
    let layouts: [(&[&str], u64, &str); 4] = [
        (&["-P", "1"], 1, "blocking"),
        (&["-P", "3"], 3, "blocking"),
        (&["-P", "3", "--workers", "2", "--server-workers", "1"], 3, "epoll"),
        (&["-P", "3", "--workers", "1", "--server-workers", "1"], 3, "epoll"),
    ];
    for (direction, ways) in [(&[][..], 1), (&["-R"][..], 1), (&["--bidir"][..], 2)] {
        for (layout, flows, multiplex) in layouts {
            let outcome = run(&server, "stream", &[TIMED, direction, layout]);
            let json = &outcome.json;
            assert_eq!(list(json, "/streams").len() as u64, flows * ways, "{direction:?}");
            for end in ["client", "server"] {
                assert_eq!(multiplexing(json, end), multiplex, "{direction:?} {layout:?} {end}");
            }
            window_is(&outcome, 0.5);
            for (way, goes) in
                [("up", direction != ["-R"]), ("down", direction == ["-R"] || ways == 2)]
            {
                let rate = at(json, &format!("/throughput/{way}_bits_per_second"));
                assert_eq!(rate.as_f64().is_some_and(|rate| rate > 0.0), goes, "{way}: {rate}");
            }
        }
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn sixty_four_streams_share_workers_and_all_move() {
    let server = Server::start(&[]);
    for direction in [&[][..], &["-R"], &["--bidir"]] {
        let outcome = run(&server, "stream", &[TIMED, &["-P", "64", "-l", "16K"], direction]);
        assert!(number(&outcome.json, "/fairness") > 0.0);
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn runs_by_bytes_move_exactly_what_was_asked() {
    let server = Server::start(&[]);
    // Neither a multiple of the message size nor of the number of streams.
    let asked = 20_000_003;
    for (direction, ways) in [(&[][..], 1), (&["-R"][..], 1), (&["--bidir"][..], 2)] {
        for layout in [&["-P", "1"][..], &["-P", "3"], &[&["-P", "3"], EPOLL].concat()] {
            let outcome = run(&server, "stream", &[&["-n", "20000003"], direction, layout]);
            let received = count(&outcome.json, "/throughput/bytes_received");
            assert_eq!(received, asked * ways, "{direction:?} {layout:?}");
            assert_eq!(sum(&outcome.json, "/lifetime/bytes_received"), asked * ways);
        }
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn one_byte_messages_and_messages_larger_than_socket_buffers_arrive() {
    let server = Server::start(&[]);
    for direction in [&[][..], &["-R"], &["--bidir"]] {
        for (layout, length) in
            [(&["-P", "1"][..], "1"), (&[&["-P", "3"], EPOLL].concat(), "1"), (&["-P", "1"], "16M")]
        {
            run(&server, "stream", &[TIMED, &["-l", length], direction, layout]);
        }
    }
}

#[test]
fn requests_of_every_layout_are_answered_and_counted_once() {
    let server = Server::start(&[]);
    let rows: [&[&str]; 12] = [
        &["-P", "1"],
        &["-P", "3"],
        &["-P", "16"],
        &["-P", "3", "--workers", "2", "--server-workers", "1"],
        &["--burst", "8"],
        &["-P", "3", "--burst", "16"],
        &["--request", "64K", "--response", "1M"],
        // More in flight than all buffers hold: neither end may wait for the other to read.
        &["--request", "256K", "--response", "256K", "--burst", "64"],
        &["-P", "4", "--request", "300", "--response", "70000", "--burst", "5"],
        &["--rate", "2000"],
        &["-P", "4", "--rate", "2000"],
        &["-P", "8", "--rate", "1000", "--workers", "1", "--server-workers", "1"],
    ];
    for row in rows {
        let outcome = exchange(&server, &[TIMED, row]);
        window_is(&outcome, 0.5);
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn a_load_is_moved_beside_the_requests_and_told_apart_from_them() {
    let server = Server::start(&[]);
    let rows: [(&[&str], u64, [&str; 3]); 4] = [
        (&["--load", "2"], 2, ["exchange", "up", "up"]),
        (&["--load", "2", "--load-direction", "down"], 2, ["exchange", "down", "down"]),
        (&["--load", "1", "--load-direction", "both"], 2, ["exchange", "up", "down"]),
        (&["--load", "2", "--rate", "500", "--workers", "2"], 2, ["exchange", "up", "up"]),
    ];
    for (row, load, directions) in rows {
        let outcome = podperf_json(&[&["rr", &server.target(), "-J"], TIMED, row].concat());
        let json = &outcome.json;
        assert_eq!((outcome.status, text(json, "/status")), (0, "complete"), "{row:?}: {json:#}");
        let streams = list(json, "/streams");
        let way = |stream: &Value| text(stream, "/direction").to_owned();
        assert_eq!(streams.iter().map(way).collect::<Vec<_>>(), directions, "{row:?}");
        let received = |stream: &Value| count(stream, "/bytes_received");
        let (flow, bulk) = streams.split_at(1);
        assert_eq!(count(json, "/throughput/bytes_received"), received(&flow[0]), "{row:?}");
        let bulk_bytes: u64 = bulk.iter().map(received).sum();
        assert_eq!(count(json, "/load/bytes_received"), bulk_bytes, "{row:?}");
        assert!(bulk_bytes > 0 && bulk.len() as u64 == load, "{row:?}");
        for stream in streams {
            let life = |what: &str| count(stream, &format!("/lifetime/{what}"));
            assert_eq!(life("bytes_sent"), life("bytes_received"), "{row:?}: {stream:#}");
        }
        let transactions = count(json, "/transactions/count");
        assert_eq!(histogram(json).len(), transactions, "{row:?}");
        // One byte each way, but for the windows' edges, which are not the same on both ends: what
        // the load moved is not in it.
        let exchanged = received(&flow[0]);
        assert!(exchanged.abs_diff(2 * transactions) <= transactions, "{row:?}: {exchanged}");
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn runs_by_transactions_do_exactly_what_was_asked() {
    let server = Server::start(&[]);
    let rows: [&[&str]; 5] =
        [&["-P", "1"], &["-P", "3"], &["-P", "7", "--burst", "4"], ONE_EACH, &["--rate", "5000"]];
    for row in rows {
        let outcome = exchange(&server, &[&["-n", "1001"], row]);
        assert_eq!(count(&outcome.json, "/transactions/count"), 1001, "{row:?}");
        // One byte each way.
        assert_eq!(sum(&outcome.json, "/lifetime/bytes_received"), 2002, "{row:?}");
    }
}

#[test]
fn an_open_loop_keeps_its_rate_and_accounts_for_every_request_due() {
    let server = Server::start(&[]);
    let outcome = exchange(&server, &[&["-t", "2", "-O", "0.2", "--rate", "500", "-P", "4"]]);
    let json = &outcome.json;
    let (due, unfinished) = (count(json, "/schedule/due"), count(json, "/schedule/unfinished"));
    let window = number(json, "/window/seconds");
    assert!((due as f64 - window * 500.0).abs() <= 8.0, "{due} due in {window} s");
    // Requests due before an edge of the window and answered after it.
    let counted = count(json, "/transactions/count");
    assert!(counted.abs_diff(due - unfinished) <= 8, "{counted} of {due}, {unfinished} unfinished");
    assert_eq!(count(json, "/service_time/count"), counted);
}

#[test]
fn every_address_form_reaches_a_server() {
    let six = Server::start(&["--bind", "::1"]);
    let port = six.port.to_string();
    let target = format!("[::1]:{port}");
    for args in [
        &["rr", target.as_str(), "-n", "10", "-J"][..],
        &["stream", "::1", "-6", "-p", &port, "-n", "1M", "-J"],
    ] {
        let outcome = podperf_json(args);
        complete(args, &outcome);
        assert_eq!(text(&outcome.json, "/target"), target);
        assert!(text(&outcome.json, "/streams/0/socket/client/local").starts_with("[::1]:"));
    }

    let own = Server::start(&["--bind", "0.0.0.0"]);
    let args = ["rr", &own.target(), "--bind", "127.0.0.1", "-n", "10", "-J"];
    let outcome = podperf_json(&args);
    complete(&args, &outcome);
    assert!(text(&outcome.json, "/streams/0/socket/client/local").starts_with("127.0.0.1:"));

    let dual = Server::start(&["--bind", "::"]);
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let target = format!("{host}:{}", dual.port);
        let args = ["rr", &target, "-n", "10", "-J"];
        complete(&args, &podperf_json(&args));
    }
}

/// What `ss` says of the sockets of `port`, a line each.
fn sockets(port: u16) -> Option<String> {
    let filter = format!("sport = :{port}");
    let output = Command::new("ss").args(["-tnH", "--tos"]).arg(filter).output().ok()?;
    String::from_utf8(output.stdout).ok()
}

#[test]
fn packets_carry_the_code_point_whatever_family_the_server_listens_on() {
    if sockets(1).is_none() {
        eprintln!("skipped: needs ss");
        return;
    }
    for (bind, host, mark) in [
        ("127.0.0.1", "127.0.0.1", " tos:0xb8"),
        ("::1", "[::1]", "tclass:0xb8"),
        // IPv4 packets of an IPv6 socket.
        ("::", "127.0.0.1", " tos:0xb8"),
    ] {
        let server = Server::start(&["--bind", bind]);
        let target = format!("{host}:{}", server.port);
        let client = Client::start(&["stream", &target, "-R", "-S", "ef", "-t", "20", "-J"]);
        server.wait_mid_run(Duration::ZERO);
        let marked = || sockets(server.port).is_some_and(|table| table.contains(mark));
        let seen = eventually(TIMEOUT, marked);
        assert!(seen, "{bind} {host}: no '{mark}' in {:?}", sockets(server.port));
        drop(client);
    }
}

#[test]
fn without_a_host_the_server_is_in_the_same_process() {
    for args in [
        &["stream", "-J", "-n", "10M"][..],
        &["rr", "-J", "-n", "100"],
        &["rr", "-6", "-J", "-n", "100"],
    ] {
        let outcome = podperf_json(args);
        complete(args, &outcome);
        assert!(outcome.json["warnings"].is_array());
    }
}

#[test]
fn what_is_asked_of_sockets_is_granted_on_both_ends() {
    let server = Server::start(&[]);
    let facts = |options: &[&str]| {
        let outcome = run(&server, "stream", &[TIMED, options]);
        let fact = |end: &str, what: &str| {
            at(&outcome.json, &format!("/streams/0/socket/{end}/{what}")).clone()
        };
        ["client", "server"].map(|end| {
            [
                "congestion_control",
                "mss_bytes",
                "send_buffer_bytes",
                "receive_buffer_bytes",
                "dscp",
                "no_delay",
                "pacing_bits_per_second",
            ]
            .map(|what| fact(end, what))
        })
    };
    for [congestion, mss, send, receive, dscp, no_delay, pacing] in
        facts(&["-C", "reno", "-M", "1000", "-w", "64K", "-S", "46", "-N"])
    {
        assert_eq!(congestion, "reno");
        let mss = mss.as_u64().unwrap();
        // TCP options such as timestamps take their part of a segment.
        assert!((900..=1000).contains(&mss), "{mss}");
        // socket(7): the kernel doubles what is asked, for its own bookkeeping.
        assert_eq!((send, receive), (Value::from(131_072), Value::from(131_072)));
        assert_eq!((dscp, no_delay, pacing), (Value::from(46), Value::from(true), Value::Null));
    }
    let [client, server_end] = facts(&["-b", "80M"]);
    assert_eq!((&client[6], &server_end[6]), (&Value::from(80_000_000), &Value::Null));
    let [client, server_end] = facts(&["-b", "80M", "-R"]);
    assert_eq!((&client[6], &server_end[6]), (&Value::Null, &Value::from(80_000_000)));
}

#[test]
fn pacing_holds_a_stream_to_its_rate() {
    let server = Server::start(&[]);
    for direction in [&[][..], &["-R"]] {
        let options = ["-t", "2", "-O", "0.5", "-b", "80M", "-l", "8K"];
        let outcome = run(&server, "stream", &[&options, direction]);
        let rate = number(&outcome.json, "/throughput/bits_per_second");
        // The kernel paces segments with their headers; a busy machine may send less.
        assert!(rate < 84e6 && rate > 40e6, "{rate} bit/s, asked 80 Mbit/s");
    }
}
