//! Memory before any proof: who has proved nothing makes no server take more than a few MiB,
//! however many connections it opens and whatever it sends; and no server makes a client take more
//! before it has shaken hands.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use podperf_engine::control::preamble::Preamble;
use serde_json::{Value, json};

use crate::support::may_open_files;
use crate::support::process::{Client, Server, podperf};
use crate::support::wire::{WireClient, connect, hello, is_dropped, peer};

/// What all unproved connections together may take, with what an allocator adds to it.
const MAX_UNPROVED_MIB: u64 = 32;

/// The most memory that a process has had resident, in MiB.
fn peak_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("proc(5)");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib >> 10
}

fn framed(json: &[u8]) -> Vec<u8> {
    [&u32::try_from(json.len()).unwrap().to_be_bytes()[..], json].concat()
}

/// A greeting whose list of features has so many empty members.
fn greeting(members: usize) -> Vec<u8> {
    let mut hello = hello();
    hello["hello"]["features"] = json!(vec![""; members]);
    framed(hello.to_string().as_bytes())
}

/// Control connections that say `bytes` behind their preamble, and then nothing more.
fn say(server: &Server, connections: usize, bytes: &[u8]) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = connect(server.port);
        stream.write_all(&Preamble::Control.encode()).unwrap();
        // It may be dropped before the last byte.
        let _ = stream.write_all(bytes);
        stream
    };
    (0..connections).map(open).collect()
}

#[test]
fn greetings_with_long_lists_cost_a_server_no_memory() {
    if !may_open_files(5_000, "greetings_with_long_lists_cost_a_server_no_memory") {
        return;
    }
    for token in [None, Some("correct horse")] {
        let mut command = podperf(None);
        command.envs(token.map(|token| ("PODPERF_TOKEN", token)));
        let server = Server::launch(command, &[]);
        let before = peak_mib(server.pid());
        let mut open = Vec::new();
        // 256 KiB each, then a sixth of it, then as much as a handshake may be.
        for (connections, members) in [(320, 87_000), (200, 15_000), (480, 1_250)] {
            open.extend(say(&server, connections, &greeting(members)));
        }
        assert!(open.iter_mut().all(is_dropped), "a greeting of too many members was taken");
        let taken = peak_mib(server.pid()) - before;
        assert!(taken < MAX_UNPROVED_MIB, "{taken} MiB, token: {token:?}");
        if token.is_none() {
            server.assert_serves();
        }
    }
}

#[test]
fn greetings_and_plans_that_do_not_end_cost_a_server_no_memory() {
    if !may_open_files(5_000, "greetings_and_plans_that_do_not_end_cost_a_server_no_memory") {
        return;
    }
    let server = Server::start(&[]);
    let before = peak_mib(server.pid());
    let length = |bytes: u32| [&bytes.to_be_bytes()[..], &vec![b' '; bytes as usize - 1]].concat();
    // One byte is missing of each.
    let greetings: Vec<TcpStream> =
        [250_000, 4_000].iter().flat_map(|bytes| say(&server, 300, &length(*bytes))).collect();
    let mut plans = Vec::new();
    for bytes in [250_000, 16_000] {
        for _ in 0..150 {
            let mut client = WireClient::welcome(server.port);
            let _ = client.0.write_all(&length(bytes));
            plans.push(client);
        }
    }
    let taken = peak_mib(server.pid()) - before;
    assert!(taken < MAX_UNPROVED_MIB, "{taken} MiB");
    drop((greetings, plans));
    server.assert_serves();
}

#[test]
fn a_client_reads_no_more_of_a_greeting_than_a_greeting_may_be() {
    let too_long = |bytes: u32| (bytes, "are allowed");
    for (bytes, says) in [too_long(60 << 20), too_long(9 << 20), too_long(4_097)] {
        let (taken, was_taken) = mpsc::channel();
        let port = peer(move |mut stream| {
            stream.read_exact(&mut [0; 32]).unwrap();
            stream.write_all(&Preamble::Control.encode()).unwrap();
            let mut client = WireClient(stream);
            assert!(matches!(client.receive(), Value::Object(_)));
            let _ = client.0.write_all(&bytes.to_be_bytes());
            let chunk = [b' '; 4096];
            let mut sent = 0;
            while sent < bytes && client.0.write_all(&chunk).is_ok() {
                sent += 4096;
            }
            taken.send(sent).unwrap();
            let _ = is_dropped(&mut client.0);
        });
        let target = format!("127.0.0.1:{port}");
        let outcome = Client::start(&["stream", &target, "-t", "1"]);
        let outcome = outcome.wait(Duration::from_secs(30));
        outcome.assert_failed(3, &["read hello from", &target, says]);
        // What the sockets on both sides hold is not the client's.
        let taken = was_taken.recv().unwrap();
        assert!(taken < 24 << 20, "the client took {taken} of {bytes} bytes");
    }
}

#[test]
fn a_client_takes_no_greeting_with_a_long_list() {
    let port = peer(|mut stream| {
        stream.read_exact(&mut [0; 32]).unwrap();
        stream.write_all(&Preamble::Control.encode()).unwrap();
        let mut client = WireClient(stream);
        assert!(matches!(client.receive(), Value::Object(_)));
        let _ = client.0.write_all(&greeting(1_000));
        let _ = is_dropped(&mut client.0);
    });
    let target = format!("127.0.0.1:{port}");
    let outcome = Client::start(&["rr", &target, "-n", "10"]).wait(Duration::from_secs(30));
    outcome.assert_failed(3, &["read hello from", &target, "a list of at most 64"]);
}
