//! Messages that wait while a server does something else: what they hold is bounded, however long
//! each is.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::TIMEOUT;
use crate::support::process::Server;
use crate::support::wire::{ReadyClient, WireClient, hello, plan};

/// Most that a process has held at a time, in KiB (VmHWM of proc(5)).
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line of it");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

/// A hello of `bytes` bytes at the most, all of it list members of three bytes.
fn long_hello(bytes: usize) -> Vec<u8> {
    let mut message = hello();
    let empty = message.to_string().len();
    message["hello"]["features"] = vec![Value::from(""); (bytes - empty) / 3].into();
    message.to_string().into_bytes()
}

#[test]
fn messages_during_the_drain_hold_little_memory() {
    let server = Server::start(&["--peer-timeout", "3"]);
    for (sessions, bytes) in [(4, 3_900), (4, 250_000)] {
        let message = long_hello(bytes);
        let mut draining: Vec<_> = (0..sessions)
            .map(|_| {
                let ReadyClient { mut client, data, .. } = WireClient::ready(server.port, &plan());
                for step in ["start", "open", "close", "stop"] {
                    client.send(&json!(step));
                }
                client.0.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
                (client, data)
            })
            .collect();
        // The streams stay open, so that the server waits for their end.
        let deadline = Instant::now() + Duration::from_millis(1_500);
        while Instant::now() < deadline && !draining.is_empty() {
            // One that does not take it all in time has hung up or has a full queue.
            draining.retain_mut(|(client, _)| client.try_send(&message));
        }
        let peak = peak_kib(server.pid());
        assert!(peak < 96 << 10, "{sessions} sessions, {bytes} bytes: {peak} KiB at the most");
    }
    server.assert_all_freed(TIMEOUT);
    server.assert_serves();
}
