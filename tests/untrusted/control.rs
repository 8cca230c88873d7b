//! Untrusted peers at the port: silent, slow, noisy, or speaking the protocol wrongly. None
//! disturbs a run beside it, none leaves anything behind, and the server serves the next client.

use std::io::Write as _;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use podperf_engine::control::preamble::Preamble;
use podperf_engine::net::SessionId;
use serde_json::{Value, json};

use crate::support::process::{Client, Server, podperf_json};
use crate::support::wire::{WireClient, connect, hello, is_dropped, plan};
use crate::support::{TIMEOUT, eventually, list, text};

/// Within so long the server has to give a client up: a preamble in 2 s, a handshake in 5 s.
const DROPPED: Duration = Duration::from_secs(15);

/// Says `bytes` again and again, one each time, until the server hangs up.
fn send_slowly(mut stream: TcpStream, bytes: &[u8], ended: &AtomicBool) -> bool {
    for byte in bytes.iter().cycle() {
        if ended.load(Ordering::Relaxed) {
            return false;
        }
        if stream.write_all(&[*byte]).is_err() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    false
}

#[test]
fn silent_slow_and_noisy_peers_do_not_disturb_a_run_and_are_dropped() {
    let server = Server::start(&[]);
    let idle: Vec<TcpStream> = (0..50).map(|_| connect(server.port)).collect();
    let noisy: Vec<TcpStream> = (0..10).map(|_| connect(server.port)).collect();
    let slow: Vec<TcpStream> = (0..10).map(|_| connect(server.port)).collect();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for mut stream in noisy.iter() {
            scope.spawn(move || while stream.write_all(&[0xa5; 1500]).is_ok() {});
        }
        let preamble = Preamble::Control.encode();
        let dropped: Vec<_> = slow
            .iter()
            .map(|stream| {
                let (stream, ended) = (stream.try_clone().unwrap(), &ended);
                scope.spawn(move || send_slowly(stream, &preamble, ended))
            })
            .collect();
        for workload in ["stream", "rr"] {
            let args = [workload, &server.target(), "-P", "2", "-t", "1.5", "-O", "0.1", "-J"];
            let outcome = podperf_json(&args);
            assert_eq!(outcome.status, 0, "{outcome:#?}");
            assert!(list(&outcome.json, "/errors").is_empty());
        }
        // None of them has hung up itself.
        server.assert_all_freed(DROPPED);
        // A write after the server has hung up fails at the second attempt.
        let all = eventually(TIMEOUT, || dropped.iter().all(|thread| thread.is_finished()));
        ended.store(true, Ordering::Relaxed);
        assert!(all, "the server still listens to slow peers");
    });
    for mut stream in idle.into_iter().chain(noisy).chain(slow) {
        assert!(is_dropped(&mut stream), "an untrusted peer was kept");
    }
    let said = server.log().iter().filter(|line| line.contains("is not podperf")).count();
    assert_eq!(said, 10, "one line a peer: {:#?}", server.log());
    server.assert_serves();
}

#[test]
fn slow_messages_after_the_preamble_meet_the_deadline_of_the_handshake() {
    let server = Server::start(&[]);
    let silent: Vec<WireClient> =
        (0..5).map(|_| WireClient::connect_control(server.port)).collect();
    let welcome: Vec<WireClient> = (0..5).map(|_| WireClient::welcome(server.port)).collect();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let slow: Vec<_> = (0..5)
            .map(|_| {
                let (WireClient(stream), ended) =
                    (WireClient::connect_control(server.port), &ended);
                // A message of 100 bytes whose bytes keep coming.
                scope.spawn(move || send_slowly(stream, &[0, 0, 0, 100], ended))
            })
            .collect();
        server.assert_serves();
        server.assert_all_freed(DROPPED);
        let all = eventually(TIMEOUT, || slow.iter().all(|thread| thread.is_finished()));
        ended.store(true, Ordering::Relaxed);
        assert!(all, "the server still listens to slow clients");
    });
    for WireClient(mut stream) in silent.into_iter().chain(welcome) {
        assert!(is_dropped(&mut stream), "a silent client was kept");
    }
}

#[test]
fn broken_messages_are_refused_before_anything_is_done() {
    let server = Server::start(&[]);
    let nested = |depth| {
        let mut bytes = b"{\"prepare\":{\"plan\":".to_vec();
        bytes.resize(bytes.len() + depth, b'[');
        bytes
    };
    let framed = |json: &[u8]| {
        let mut bytes = u32::try_from(json.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(json);
        bytes
    };
    let message = |value: Value| framed(value.to_string().as_bytes());
    let mut wrong_plan = plan();
    wrong_plan["flows"] = json!("many");
    let mut negative = plan();
    negative["warm_up_seconds"] = json!(-1.0);
    let mut endless = plan();
    endless["stop_condition"]["window_seconds"] = json!(1e300);
    let mut partial = plan();
    partial.as_object_mut().unwrap().remove("socket");
    let prepare = |plan: Value| message(json!({"prepare": {"plan": plan}}));
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("length 0", vec![0; 4]),
        ("length 0xffffffff", vec![0xff; 4]),
        ("a length above the cap", [&300_000_u32.to_be_bytes()[..], &[b' '; 5000]].concat()),
        ("cut short in the length", vec![0, 0]),
        ("cut short in the message", vec![0, 0, 1, 0, b'{']),
        ("no JSON", framed(b"\xff\xfe\x00garbage")),
        ("no message", message(json!({"unheard": {}}))),
        ("two messages in one", message(json!({"start": null, "stop": null}))),
        ("a number", message(json!(7))),
        ("nesting without end", framed(&nested(200_000))),
        ("a plan of wrong types", prepare(wrong_plan)),
        ("a plan that lacks a part", prepare(partial)),
        ("a negative time", prepare(negative)),
        ("a time beyond all clocks", prepare(endless)),
    ];
    for (name, bytes) in rows {
        // Before and after the hello; what is cut short ends there.
        for mut client in
            [WireClient::connect_control(server.port), WireClient::welcome(server.port)]
        {
            let _ = client.0.write_all(&bytes);
            let _ = client.0.shutdown(Shutdown::Write);
            assert!(is_dropped(&mut client.0), "{name}");
        }
    }
    server.assert_all_freed(DROPPED);
    assert!(!server.log().iter().any(|line| line.contains("panic")), "{:#?}", server.log());
    server.assert_serves();
}

#[test]
fn messages_out_of_order_are_refused_by_name() {
    let server = Server::start(&[]);
    for message in [json!("start"), json!("close"), json!({"prepare": {"plan": plan()}})] {
        let mut client = WireClient::connect_control(server.port);
        client.send(&message);
        assert!(is_dropped(&mut client.0), "{message}");
    }
    for message in [hello(), json!("open"), json!("stop"), json!({"prove": {"proof": "00"}})] {
        let mut client = WireClient::welcome(server.port);
        client.send(&message);
        assert!(is_dropped(&mut client.0), "{message}");
    }
    // A second plan, and a start before the streams.
    for message in [json!({"prepare": {"plan": plan()}}), json!("start")] {
        let mut client = WireClient::welcome(server.port);
        client.send(&json!({"prepare": {"plan": plan()}}));
        assert!(client.receive()["connect"].is_object());
        client.send(&message);
        let refusal = client.receive();
        assert!(refusal["refused"].is_object(), "{message}: {refusal}");
    }
    // Ready, and told to open a window that never started.
    let (mut client, _data) = ready(&server);
    client.send(&json!("open"));
    let refusal = client.receive();
    assert!(text(&refusal, "/refused/cause").contains("open"), "{refusal}");
    drop(client);
    server.assert_all_freed(DROPPED);
    server.assert_serves();
}

/// A session whose one stream is there.
fn ready(server: &Server) -> (WireClient, TcpStream) {
    let mut client = WireClient::welcome(server.port);
    client.send(&json!({"prepare": {"plan": plan()}}));
    let connect_to = client.receive();
    let session = SessionId::from_hex(text(&connect_to, "/connect/session")).expect("an id");
    let mut data = connect(server.port);
    data.write_all(&Preamble::Data { session, stream: 0 }.encode()).unwrap();
    assert!(client.receive()["ready"].is_object());
    (client, data)
}

/// A server that does what it should until the run starts, then says `message` without end. Its
/// port.
fn scripted_server(message: Value) -> u16 {
    // What a real server says when it is ready.
    let (facts, server) = {
        let server = Server::start(&[]);
        let ready = WireClient::ready(server.port, &plan());
        (ready.ready, ready.connect)
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut control, _) = listener.accept().expect("a client");
        control.write_all(&Preamble::Control.encode()).unwrap();
        let mut client = WireClient(control);
        for message in [&hello(), &json!({"welcome": {"proof": null}}), &server] {
            client.send(message);
        }
        let _data = listener.accept().expect("its stream");
        client.send(&facts);
        let bytes = message.to_string().into_bytes();
        while client.try_send(&bytes) {}
    });
    port
}

#[test]
fn a_server_that_talks_nonsense_without_end_does_not_hold_its_client() {
    for message in [
        json!({"flow_ended": {"flow": u32::MAX, "error": null}}),
        json!({"reading": {"edge": "close", "reading": {"at_ns": u64::MAX, "flows": [], "host": {
            "cpu": null, "process": null, "softnet": null, "softirqs": null, "cgroup": null,
            "sampler_ns": 0}}}}),
        json!("ready"),
    ] {
        let target = format!("127.0.0.1:{}", scripted_server(message.clone()));
        let args = ["stream", &target, "-t", "1", "-O", "0.1", "--peer-timeout", "1", "-J"];
        let outcome = Client::start(&args).wait(Duration::from_secs(20));
        assert!([3, 4].contains(&outcome.status), "{message}: {outcome:#?}");
        assert!(!outcome.stderr.contains("panicked"), "{message}: {}", outcome.stderr);
        assert_eq!(text(&outcome.json, "/status"), "incomplete", "{message}");
    }
}

#[test]
fn streams_of_no_session_or_one_too_many_are_dropped() {
    let server = Server::start(&[]);
    let join = |session, stream| {
        let mut data = connect(server.port);
        data.write_all(&Preamble::Data { session, stream }.encode()).unwrap();
        data
    };
    assert!(is_dropped(&mut join(SessionId([7; 16]), 0)), "an untrusted peer's stream was kept");

    // One too many, once the session has all of its own: the session goes on.
    let mut client = WireClient::welcome(server.port);
    client.send(&json!({"prepare": {"plan": plan()}}));
    let session = client.receive();
    let session = SessionId::from_hex(text(&session, "/connect/session")).expect("an id");
    let _own = join(session, 0);
    assert!(client.receive()["ready"].is_object());
    assert!(is_dropped(&mut join(session, 0)), "one stream too many was kept");
    client.send(&json!("start"));
    client.send(&json!("open"));
    assert!(client.receive()["reading"].is_object(), "the session does not go on");
    drop(client);

    // A number that the plan does not have ends the session.
    let mut client = WireClient::welcome(server.port);
    client.send(&json!({"prepare": {"plan": plan()}}));
    let session = client.receive();
    let session = SessionId::from_hex(text(&session, "/connect/session")).expect("an id");
    let _wrong = join(session, u32::MAX);
    assert!(client.receive()["refused"].is_object());
    drop(client);
    server.assert_all_freed(DROPPED);
    server.assert_serves();
}

#[test]
fn streams_announced_and_never_opened_free_their_place_with_their_client() {
    let server = Server::start(&["--max-sessions", "1"]);
    let mut client = WireClient::welcome(server.port);
    client.send(&json!({"prepare": {"plan": plan()}}));
    assert!(client.receive()["connect"].is_object());
    let busy = podperf_json(&["rr", &server.target(), "-n", "10", "-J"]);
    busy.assert_failed(3, &["busy", "--max-sessions"]);
    drop(client);
    server.assert_all_freed(DROPPED);
    let next = podperf_json(&["rr", &server.target(), "-n", "10", "-J"]);
    assert_eq!(next.status, 0, "{next:#?}");
}

#[test]
fn a_silent_session_is_given_up_and_its_place_is_free() {
    let server = Server::start(&["--max-sessions", "1", "--peer-timeout", "1"]);
    // Ready to start, and then not a word, not even a heartbeat.
    let (_client, _data) = ready(&server);
    server.assert_all_freed(DROPPED);
    let next = podperf_json(&["rr", &server.target(), "-n", "10", "-J"]);
    assert_eq!(next.status, 0, "{next:#?}");
}

#[test]
fn many_clients_at_once_are_all_served() {
    let server = Server::start(&[]);
    let target = server.target();
    let args = ["rr", &target, "-t", "0.5", "-O", "0.1", "-J"];
    let clients: Vec<Client> = (0..20).map(|_| Client::start(&args)).collect();
    for client in clients {
        let outcome = client.wait(Duration::from_secs(60));
        assert_eq!(outcome.status, 0, "{outcome:#?}\n{:#?}", server.log());
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn clients_beyond_the_cap_are_told_that_the_server_is_busy() {
    let server = Server::start(&["--max-sessions", "2"]);
    let target = server.target();
    let long = ["stream", &target, "-t", "30", "-O", "0", "-J"];
    let running: Vec<Client> = (0..2).map(|_| Client::start(&long)).collect();
    server.wait_mid_run(Duration::ZERO);
    server.wait_mid_run(Duration::ZERO);
    for _ in 0..5 {
        let refused = podperf_json(&["rr", &target, "-n", "10", "-J"]);
        refused.assert_failed(3, &[&target, "busy with 2 sessions", "--max-sessions"]);
    }
    drop(running);
    server.assert_all_freed(TIMEOUT);
    let next = podperf_json(&["rr", &target, "-n", "10", "-J"]);
    assert_eq!(next.status, 0, "{next:#?}");
}
