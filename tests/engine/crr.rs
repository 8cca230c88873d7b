//! A connection a transaction: every layout of workers and way of closing, what goes wrong with
//! peers, ports and untrusted peers; and the ways of waiting and Multipath TCP, which it shares
//! with lasting connections.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::support::process::{Client, Outcome, Server, podperf, podperf_json};
use crate::support::runs::{connections_conserved, ended_well, multiplexing};
use crate::support::wire::is_dropped;
use crate::support::{
    TIMEOUT, at, codes, count, eventually, free_port, histogram, list, number, root, text,
};

/// What is measured before a fault.
const MEASURED: Duration = Duration::from_millis(800);
const LONG: &[&str] = &["-t", "30", "-O", "0.1", "-i", "0.1", "-J"];
/// Blocking workers, shared workers, and each against the other.
const LAYOUTS: [(&[&str], &str, &str); 5] = [
    (&["-P", "1"], "blocking", "blocking"),
    (&["-P", "3"], "blocking", "blocking"),
    (&["-P", "3", "--workers", "1", "--server-workers", "1"], "epoll", "epoll"),
    (&["-P", "5", "--workers", "2"], "epoll", "blocking"),
    (&["-P", "5", "--server-workers", "2"], "blocking", "epoll"),
];

fn run(args: &[&str]) -> Outcome {
    let outcome = podperf_json(args);
    ended_well(args, &outcome);
    outcome
}

fn crr(server: &Server, options: &[&[&str]]) -> Outcome {
    run(&[&["crr", &server.target(), "-J"], options.concat().as_slice()].concat())
}

#[test]
fn every_layout_and_way_of_closing_does_exactly_what_was_asked() {
    let server = Server::start(&[]);
    for close in ["server", "client", "rst"] {
        for (layout, client, other) in LAYOUTS {
            let sizes = ["--request", "3", "--response", "70000", "-n", "200"];
            let json = crr(&server, &[&["--close", close], layout, &sizes]).json;
            assert_eq!(count(&json, "/transactions/count"), 200, "{close} {layout:?}");
            assert_eq!(histogram(&json).len(), 200, "{close} {layout:?}");
            assert_eq!(count(&json, "/connect_time/count"), 200, "{close} {layout:?}");
            connections_conserved(&json, 70_003);
            assert_eq!(
                (multiplexing(&json, "client"), multiplexing(&json, "server")),
                (client, other)
            );
            let (connect, all) =
                (number(&json, "/connect_time/mean_ns"), number(&json, "/latency/mean_ns"));
            assert!(connect < all, "{connect} ns to connect, {all} ns in all");
            for stream in list(&json, "/streams") {
                assert_eq!(at(stream, "/tcp/client"), &Value::Null);
                assert!(count(stream, "/transactions") > 0);
            }
        }
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn large_requests_arrive_whole() {
    let server = Server::start(&[]);
    for (layout, ..) in LAYOUTS {
        let json =
            crr(&server, &[layout, &["--request", "1M", "--response", "1M", "-n", "20"]]).json;
        connections_conserved(&json, 2 << 20);
    }
}

#[test]
fn timed_runs_and_schedules_keep_their_window_and_raise_no_false_alarm() {
    let server = Server::start(&[]);
    for (layout, ..) in LAYOUTS {
        for rate in [&[][..], &["--rate", "300"]] {
            let window = ["-t", "1", "-O", "0.1", "-i", "0.25"];
            let json = crr(&server, &[layout, &window, rate]).json;
            let transactions = count(&json, "/transactions/count");
            assert!(transactions > 0 && transactions == histogram(&json).len());
            connections_conserved(&json, 2);
            assert_eq!(at(&json, "/service_time").is_object(), !rate.is_empty());
            if !rate.is_empty() {
                let due = 300.0 * number(&json, "/window/seconds");
                let told = number(&json, "/schedule/due");
                assert!((told - due).abs() < 0.05 * due, "{told} due, {due} by the clock");
            }
            let alarms = ["stream_stalled", "stream_ended_early", "not_drained", "retransmits"];
            let codes = codes(&json);
            assert!(!codes.iter().any(|code| alarms.contains(code)), "{codes:?}");
        }
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn a_server_that_dies_ends_the_run_with_what_was_measured() {
    for (layout, ..) in LAYOUTS {
        let mut server = Server::start(&[]);
        let client = Client::start(&[&["crr", &server.target()], LONG, layout].concat());
        server.wait_mid_run(MEASURED);
        server.kill();
        let outcome = client.wait(TIMEOUT);
        outcome.assert_failed(4, &["podperf: error: ", "127.0.0.1:"]);
        assert_eq!(text(&outcome.json, "/status"), "incomplete");
        assert!(count(&outcome.json, "/transactions/count") > 0, "{:#}", outcome.json);
    }
}

#[test]
fn a_client_that_dies_or_is_stopped_leaves_nothing_behind() {
    let server = Server::start(&["--peer-timeout", "2"]);
    for (layout, ..) in LAYOUTS {
        let target = server.target();
        let args = [&["crr", &target], LONG, layout].concat();
        let client = Client::start(&args);
        server.wait_mid_run(Duration::from_millis(300));
        drop(client);
        server.assert_all_freed(TIMEOUT);
        let client = Client::start(&args);
        server.wait_mid_run(MEASURED);
        client.signal(Signal::SIGSTOP);
        server.assert_all_freed(TIMEOUT);
        client.signal(Signal::SIGCONT);
        client.wait(TIMEOUT).assert_failed(4, &["podperf: error: "]);
    }
    server.assert_serves();
}

#[test]
fn a_signal_ends_a_run_in_order() {
    let server = Server::start(&[]);
    for (layout, ..) in LAYOUTS {
        for wait in [&[][..], &["--wait", "spin", "--server-wait", "spin"]] {
            let client = Client::start(&[&["crr", &server.target()], LONG, layout, wait].concat());
            server.wait_mid_run(MEASURED);
            client.signal(Signal::SIGINT);
            let outcome = client.wait(TIMEOUT);
            outcome.assert_failed(130, &["SIGINT"]);
            connections_conserved(&outcome.json, 2);
            server.assert_all_freed(TIMEOUT);
        }
    }
}

#[test]
fn a_fixed_port_takes_the_run_and_nobody_else() {
    let port = free_port();
    let number = port.to_string();
    let server = Server::start(&["--data-port", &number]);
    for (layout, ..) in LAYOUTS {
        let target = server.target();
        let client = Client::start(&[&["crr", &target], LONG, layout].concat());
        server.wait_mid_run(Duration::from_millis(300));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        other.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
        other.connect(&address.into()).unwrap();
        other.set_read_timeout(Some(TIMEOUT)).unwrap();
        assert!(is_dropped(&mut TcpStream::from(other)), "an untrusted peer was served");
        // Two runs cannot share one port.
        let refused = podperf_json(&["crr", &server.target(), "-n", "1", "-J"]);
        refused.assert_failed(3, &["in use", &number, "--data-port"]);
        client.signal(Signal::SIGINT);
        let outcome = client.wait(TIMEOUT);
        outcome.assert_failed(130, &["SIGINT"]);
        let json = &outcome.json;
        assert_eq!(text(json, "/streams/0/socket/client/peer"), format!("127.0.0.1:{port}"));
        assert_eq!(count(json, "/connections/server/foreign"), 1);
        assert!(codes(json).contains(&"foreign_connections"));
        connections_conserved(json, 2);
        let closed = eventually(TIMEOUT, || TcpStream::connect(address).is_err());
        assert!(closed, "the port is open after the run");
    }
}

#[test]
fn own_address_and_both_families_work() {
    for (bind, own, host) in [("127.0.0.1", "127.0.0.3", "127.0.0.1"), ("::", "::1", "[::1]")] {
        let server = Server::start(&["--bind", bind]);
        let target = format!("{host}:{}", server.port);
        let json = run(&["crr", &target, "--bind", own, "-P", "2", "-n", "100", "-J"]).json;
        assert!(text(&json, "/streams/0/socket/client/local").contains(own), "{json:#}");
        connections_conserved(&json, 2);
    }
    let dual = Server::start(&["--bind", "::"]);
    let target = format!("127.0.0.1:{}", dual.port);
    connections_conserved(&run(&["crr", &target, "-n", "100", "-J"]).json, 2);
}

#[test]
fn every_way_of_waiting_serves_every_layout() {
    let server = Server::start(&[]);
    let layouts = [
        &["-P", "1"][..],
        &["-P", "3"],
        &["-P", "3", "--workers", "1", "--server-workers", "1"],
        &["-P", "1", "--burst", "4"],
    ];
    for waits in [["spin", "spin"], ["spin", "block"], ["block", "spin"]] {
        let [own, other] = waits;
        for layout in layouts {
            for stop_condition in
                [&["-n", "300"][..], &["-t", "0.3", "-O", "0.1"], &["-t", "0.3", "--rate", "200"]]
            {
                if layout.contains(&"--burst") && stop_condition.contains(&"--rate") {
                    continue;
                }
                let args = ["rr", &server.target(), "--wait", own, "--server-wait", other, "-J"];
                let json = run(&[&args, layout, stop_condition].concat()).json;
                assert_eq!(text(&json, "/placement/client/wait"), own);
                assert_eq!(text(&json, "/placement/server/wait"), other);
                // By time, spinning threads may keep each other from the CPU for the whole window.
                let done = count(&json, "/transactions/count");
                assert!(stop_condition[0] == "-t" || done > 0, "{layout:?} {stop_condition:?}");
            }
        }
        let json = crr(&server, &[&["-n", "100", "--wait", own, "--server-wait", other]]).json;
        connections_conserved(&json, 2);
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn spinning_ends_with_a_signal_a_stopped_server_and_a_killed_one() {
    for kill in [false, true] {
        let mut server = Server::start(&[]);
        let target = server.target();
        let spin = ["--wait", "spin", "--server-wait", "spin", "--peer-timeout", "2"];
        let client = Client::start(&[&["rr", &target], LONG, &spin].concat());
        server.wait_mid_run(MEASURED);
        if kill {
            server.kill();
        } else {
            server.signal(Signal::SIGSTOP);
        }
        let outcome = client.wait(TIMEOUT);
        outcome.assert_failed(4, &["podperf: error: "]);
        assert!(count(&outcome.json, "/transactions/count") > 0);
        if !kill {
            server.signal(Signal::SIGCONT);
            server.assert_all_freed(TIMEOUT);
        }
    }
}

#[test]
fn busy_polling_is_granted_to_those_who_may_and_says_where_it_polls_nothing() {
    if !root("busy_polling_is_granted_to_those_who_may_and_says_where_it_polls_nothing") {
        return;
    }
    let server = Server::start(&[]);
    let target = server.target();
    let polled = ["--wait", "busy-poll=50", "--server-wait", "busy-poll=20"];
    for layout in [&["-P", "1"][..], &["-P", "3", "--workers", "1", "--server-workers", "1"]] {
        let json = run(&[&["rr", &target, "-n", "200", "-J"], &polled[..], layout].concat()).json;
        assert_eq!(count(&json, "/streams/0/socket/client/busy_poll_us"), 50);
        assert_eq!(count(&json, "/streams/0/socket/server/busy_poll_us"), 20);
        assert_eq!(count(&json, "/placement/client/wait/busy_poll_us"), 50);
        assert!(codes(&json).contains(&"busy_poll_idle"), "{:?}", codes(&json));
    }
    connections_conserved(&crr(&server, &[&["-n", "100"], &polled]).json, 2);
    // Before Linux 6.7 the kernel refuses it without CAP_NET_ADMIN (capabilities(7)).
    let mut ordinary = std::process::Command::new("setpriv");
    let without = ["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"];
    let program = podperf(None);
    ordinary.args(without).arg(program.get_program());
    ordinary.env_remove("PODPERF_TOKEN");
    let args = ["rr", &target, "-n", "10", "-J", "--wait", "busy-poll=50"];
    let refused = Client::launch(ordinary, &args).wait(TIMEOUT);
    if refused.status != 0 {
        refused.assert_failed(3, &["SO_BUSY_POLL", "not permitted", "CAP_NET_ADMIN"]);
    } else {
        eprintln!("this kernel lets everybody poll");
    }
}

#[test]
fn multipath_tcp_loses_nothing_and_says_whether_it_is_in_use() {
    if !std::fs::read_to_string("/proc/sys/net/mptcp/enabled").is_ok_and(|on| on.trim() == "1") {
        eprintln!("skipped: net.mptcp.enabled is not 1");
        return;
    }
    let server = Server::start(&["--mptcp"]);
    let target = server.target();
    for args in [
        &["stream", "-n", "20M"][..],
        &["stream", "-R", "-n", "20M", "-P", "3", "--workers", "1", "--server-workers", "1"],
        &["stream", "--bidir", "-t", "0.4", "-O", "0.1", "-P", "2", "-C", "cubic"],
        &["rr", "-n", "200", "-P", "2"],
    ] {
        let json = run(&[args, &[&target, "--mptcp", "-J"]].concat()).json;
        for stream in list(&json, "/streams") {
            let life = |what: &str| count(stream, &format!("/lifetime/{what}"));
            assert_eq!(life("bytes_sent"), life("bytes_received"), "{args:?}");
            assert!(life("bytes_sent") > 0);
            for end in ["client", "server"] {
                assert_eq!(at(stream, &format!("/socket/{end}/mptcp")), true, "{args:?} {end}");
            }
            assert!(count(stream, "/tcp/client/mss_bytes") > 0, "TCP_INFO is missing");
            if args.contains(&"cubic") {
                assert_eq!(text(stream, "/socket/server/congestion_control"), "cubic");
            }
        }
        assert!(!codes(&json).contains(&"mptcp_fallback"));
    }
    for close in ["server", "client", "rst"] {
        let json = crr(&server, &[&["--mptcp", "--close", close, "-P", "2", "-n", "100"]]).json;
        assert_eq!(at(&json, "/streams/0/socket/client/mptcp"), true);
        connections_conserved(&json, 2);
    }
    // What the kernel does not grant to it is named.
    let refused = podperf_json(&["stream", &target, "--mptcp", "-b", "80M", "-t", "0.2", "-J"]);
    if refused.status != 0 {
        refused.assert_failed(3, &["SO_MAX_PACING_RATE", "Multipath TCP"]);
    }
    let plain = run(&["rr", &target, "-n", "10", "-J"]).json;
    assert_eq!(at(&plain, "/streams/0/socket/client/mptcp"), false);
    // A server that was not asked for it.
    let other = Server::start(&[]);
    let fallen = run(&["stream", &other.target(), "--mptcp", "-n", "10M", "-J"]).json;
    assert_eq!(at(&fallen, "/streams/0/socket/client/mptcp"), false);
    assert!(codes(&fallen).contains(&"mptcp_fallback"), "{:?}", codes(&fallen));
    let own = run(&["stream", "--mptcp", "-n", "10M", "-J"]).json;
    assert_eq!(at(&own, "/streams/0/socket/server/mptcp"), true);
}

#[test]
fn corking_and_quick_acknowledgements_are_read_back() {
    let server = Server::start(&[]);
    let target = server.target();
    let facts = |args: &[&str]| {
        let json = run(&[args, &[&target, "-J"]].concat()).json;
        let fact = |what: &str| at(&json, &format!("/streams/0/socket/{what}")).clone();
        [fact("client/cork"), fact("server/cork"), fact("client/quick_ack")]
    };
    let on = Value::from(true);
    let off = Value::from(false);
    // A message that is no multiple of a segment still arrives at the end of the stream.
    let [client, other, _] = facts(&["stream", "-n", "1000003", "-l", "777", "--cork"]);
    assert_eq!((client, other), (on.clone(), off.clone()));
    let [client, other, _] = facts(&["stream", "-R", "-n", "1000003", "--cork"]);
    assert_eq!((client, other), (off, on.clone()));
    let [_, _, quick] = facts(&["stream", "-n", "1M", "--quick-ack"]);
    assert_eq!(quick, on);
}
