//! Places of a server that clients take and do not use: they are free again after a time that does
//! not depend on how long their runs were to be.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::process::{Server, podperf_json};
use crate::support::wire::{WireClient, plan};
use crate::support::{TIMEOUT, text};

/// What the program of today is asked for; earlier ones have no such option.
fn start_timeout() -> &'static [&'static str] {
    let earlier = std::env::var_os("PODPERF_UNDER_TEST").is_some();
    if earlier { &[] } else { &["--start-timeout", "1.5"] }
}

#[test]
fn runs_that_are_ready_and_never_started_give_their_places_back() {
    let server = Server::start(&[&["--max-sessions", "5"], start_timeout()].concat());
    let prepared: Vec<_> = (0..5)
        .map(|number| {
            let mut plan = plan();
            // By time, however long, and by a count that is never reached.
            plan["stop_condition"] = if number % 2 == 0 {
                json!({"kind": "time", "window_seconds": 3_000.0})
            } else {
                json!({"kind": "bytes", "total_bytes": 1_u64 << 50})
            };
            plan["extent"] = plan["stop_condition"].clone();
            let ready = WireClient::ready(server.port, &plan);
            (ready.client, ready.data)
        })
        .collect();
    let busy = podperf_json(&["rr", &server.target(), "-n", "10"]);
    busy.assert_failed(3, &["busy with 5 sessions"]);

    // They all stay there, and say so.
    let deadline = Instant::now() + Duration::from_secs(8);
    let mut served = false;
    while !served && Instant::now() < deadline {
        for (client, _) in &prepared {
            let mut client = WireClient(client.0.try_clone().unwrap());
            client.try_send(b"\"heartbeat\"");
        }
        std::thread::sleep(Duration::from_millis(200));
        served = podperf_json(&["rr", &server.target(), "-n", "10"]).status == 0;
    }
    assert!(served, "all places are held: {:#?}", server.log());
    for (mut client, _) in prepared {
        let refusal = client.receive();
        assert!(text(&refusal, "/refused/cause").contains("not started within 1.5 s"), "{refusal}");
        assert!(text(&refusal, "/refused/remedy").contains("--start-timeout"), "{refusal}");
    }
    server.assert_all_freed(TIMEOUT);
    server.assert_serves();
}

#[test]
fn streams_that_never_come_give_their_place_back() {
    let server = Server::start(&["--max-sessions", "1"]);
    let mut client = WireClient::welcome(server.port);
    client.send(&json!({"prepare": {"plan": plan()}}));
    assert!(client.receive()["connect"].is_object());
    podperf_json(&["rr", &server.target(), "-n", "10"]).assert_failed(3, &["busy"]);
    // It stays there, says so, and opens no stream.
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut served = false;
    while !served && Instant::now() < deadline {
        client.try_send(b"\"heartbeat\"");
        std::thread::sleep(Duration::from_millis(400));
        served = podperf_json(&["rr", &server.target(), "-n", "10"]).status == 0;
    }
    assert!(served, "the place is held: {:#?}", server.log());
    assert!(client.receive()["refused"].is_object(), "it is told");
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn one_address_leaves_places_to_others() {
    let server = Server::start(&[]);
    let ready: Vec<_> = (0..48).map(|_| WireClient::ready(server.port, &plan())).collect();
    let refused = podperf_json(&["rr", &server.target(), "-n", "10"]);
    refused.assert_failed(3, &["sessions are limited to 48 at a time from one address"]);
    let from = |own: &str| podperf_json(&["rr", &server.target(), "-n", "10", "--bind", own]);
    // Of the same network, and of another.
    for own in ["127.0.0.2", "127.0.1.1"] {
        assert_eq!(from(own).status, 0, "{own}, {:#?}", server.log());
    }
    drop(ready);
    server.assert_all_freed(TIMEOUT);
    server.assert_serves();
}
