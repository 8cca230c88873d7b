//! The UDP port seen from outside: untrusted peers get nothing, only who receives at its address
//! gets a flow, and what a hand-made sender does to a stream is counted.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use podperf_engine::control::flow_preamble::{
    ANSWER_BYTES, FlowAnswer, FlowRequest, REQUEST_BYTES,
};
use podperf_engine::net::SessionId;
use podperf_engine::transport::datagram::SETUP_MAGIC;
use serde_json::{Value, json};

use crate::support::process::{Server, podperf_json};
use crate::support::wire::{WireClient, plan};
use crate::support::{TIMEOUT, at, count, free_port, text};

/// A plan of `flows` flows of datagrams.
fn udp_plan(flows: u32, direction: &str) -> Value {
    let mut plan = plan();
    plan["flows"] = json!(flows);
    plan["workload"] = json!({
        "kind": "udp", "direction": direction, "datagram_bytes": 1000, "bits_per_second": 1_000_000,
        "gso": "auto", "gro": "auto", "fragment": false
    });
    plan
}

/// A session that waits for its flows.
fn waiting(server: &Server, flows: u32, direction: &str) -> (WireClient, SessionId) {
    let mut client = WireClient::welcome(server.port);
    client.send(&json!({"prepare": {"plan": udp_plan(flows, direction)}}));
    let connect = client.receive();
    let session = SessionId::from_hex(text(&connect, "/connect/session")).expect("an id");
    (client, session)
}

fn untrusted_socket(server: &Server) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", server.port)).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    socket
}

fn answer(socket: &UdpSocket) -> FlowAnswer {
    let mut bytes = [0; REQUEST_BYTES];
    let length = socket.recv(&mut bytes).expect("an answer");
    FlowAnswer::decode(&bytes[..length]).expect("an answer of podperf")
}

/// Makes `socket` a flow.
fn set_up(socket: &UdpSocket, session: SessionId, flow: u32) {
    let mut request = FlowRequest { session, flow, proof: [0; 16] };
    socket.send(&request.encode()).unwrap();
    let FlowAnswer::Challenge { proof, .. } = answer(socket) else { panic!("a challenge") };
    request.proof = proof;
    socket.send(&request.encode()).unwrap();
    assert_eq!(answer(socket), FlowAnswer::Accepted { flow });
}

/// Nothing came. What the server has read before it answered another is not answered any more.
fn assert_silent(socket: &UdpSocket) {
    socket.set_nonblocking(true).unwrap();
    let error = socket.recv(&mut [0; 2000]).expect_err("an answer to an untrusted peer");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn untrusted_peers_get_no_answer_and_only_who_receives_gets_a_flow() {
    let server = Server::start(&[]);
    let (mut client, session) = waiting(&server, 2, "down");
    let request = |session, flow, proof| FlowRequest { session, flow, proof }.encode();

    let junk = untrusted_socket(&server);
    for bytes in [&[][..], &[0; 1], &SETUP_MAGIC, &[0xff; 48], &[0xa5; 1472], &[0; 60_000]] {
        junk.send(bytes).unwrap();
    }
    // Flows that the plan does not have, requests too long or cut short.
    let wrong = untrusted_socket(&server);
    wrong.send(&request(session, 2, [0; 16])).unwrap();
    wrong.send(&request(session, u32::MAX, [0; 16])).unwrap();
    wrong.send(&[&request(session, 0, [0; 16])[..], &[0]].concat()).unwrap();
    wrong.send(&request(session, 0, [0; 16])[..47]).unwrap();

    // One who cannot have seen its challenge is challenged again, with fewer bytes than it sent.
    let own = untrusted_socket(&server);
    own.send(&request(session, 0, [9; 16])).unwrap();
    let FlowAnswer::Challenge { flow: 0, proof } = answer(&own) else { panic!("a challenge") };
    const { assert!(ANSWER_BYTES < REQUEST_BYTES) };
    // The proof of one address and flow is none of another's.
    let other = untrusted_socket(&server);
    other.send(&request(session, 0, proof)).unwrap();
    assert!(matches!(answer(&other), FlowAnswer::Challenge { flow: 0, .. }));
    own.send(&request(session, 1, proof)).unwrap();
    assert!(matches!(answer(&own), FlowAnswer::Challenge { flow: 1, .. }));

    own.send(&request(session, 0, proof)).unwrap();
    assert_eq!(answer(&own), FlowAnswer::Accepted { flow: 0 });
    // A client whose acceptance was lost asks again; it arrives at the flow's own socket.
    own.send(&request(session, 0, proof)).unwrap();
    assert_eq!(answer(&own), FlowAnswer::Accepted { flow: 0 });
    // The flow is taken: others get nothing.
    other.send(&request(session, 0, proof)).unwrap();

    let second = untrusted_socket(&server);
    set_up(&second, session, 1);
    assert!(client.receive()["ready"].is_object());
    for silent in [&junk, &wrong, &other] {
        assert_silent(silent);
    }

    // The flows run beside untrusted peers, and each has its own numbers.
    for message in ["start", "open"] {
        client.send(&json!(message));
    }
    for socket in [&own, &second] {
        let mut numbers = Vec::new();
        let mut bytes = [0; 2000];
        while numbers.len() < 20 {
            let length = socket.recv(&mut bytes).expect("a datagram of the stream");
            if !bytes.starts_with(&SETUP_MAGIC) {
                assert_eq!(length, 1000);
                numbers.push(u64::from_be_bytes(bytes[..8].try_into().unwrap()));
            }
        }
        assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    }
    for silent in [&junk, &wrong, &other] {
        assert_silent(silent);
    }
    drop(client);
    server.assert_all_freed(TIMEOUT);
    server.assert_serves();
}

#[test]
fn hand_made_loss_reordering_and_copies_are_counted() {
    let server = Server::start(&[]);
    let (mut client, session) = waiting(&server, 1, "up");
    let socket = untrusted_socket(&server);
    set_up(&socket, session, 0);
    assert!(client.receive()["ready"].is_object());
    client.send(&json!("start"));
    let datagram = |number: u64, in_window: bool| {
        let stamp = (u64::from(in_window) << 63) | (number * 1_000_000);
        let bytes = [&number.to_be_bytes()[..], &stamp.to_be_bytes(), &[7; 984]].concat();
        socket.send(&bytes).unwrap();
    };
    // Two before the window. In it 3 to 11, of which 5 and 9 are lost, 7 comes after 10, and 4
    // comes three times. Then one more, and what is no datagram of a stream.
    [0, 1].iter().for_each(|&number| datagram(number, false));
    [3, 4, 6, 4, 8, 10, 7, 4, 11].iter().for_each(|&number| datagram(number, true));
    datagram(12, false);
    socket.send(&[&SETUP_MAGIC[..], &[0; 500]].concat()).unwrap();
    socket.send(&[1; 15]).unwrap();
    // The end is answered, each time it is said.
    for _ in 0..2 {
        socket.send(&[]).unwrap();
        assert_eq!(socket.recv(&mut [0; 9]).unwrap(), 0);
    }
    client.send(&json!("stop"));
    let report = loop {
        let message = client.receive();
        assert!(!message.is_null(), "no report: {:#?}", server.log());
        if message["report"].is_object() {
            break message;
        }
    };
    let flow = at(&report, "/report/flows/0");
    assert_eq!(at(flow, "/drained"), true);
    // Each once: ten of a thousand bytes.
    assert_eq!(count(flow, "/bytes_received"), 10_000);
    let own = |what: &str| count(flow, &format!("/datagrams/{what}"));
    assert_eq!((own("life/received"), own("life/expected")), (10, 13));
    assert_eq!((own("window/received"), own("window/duplicates")), (7, 2));
    assert_eq!((own("window/reordered"), own("window/distance_max")), (1, 3));
    drop(client);
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn noise_at_the_udp_port_does_not_disturb_a_run() {
    let server = Server::start(&[]);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let noisy = untrusted_socket(&server);
        let ended = &ended;
        scope.spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let _ = noisy.send(&[0x70; 1200]);
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let target = server.target();
        let args = ["udp", &target, "-P", "4", "-b", "5M", "-t", "1", "-O", "0.1", "-J"];
        let outcome = podperf_json(&args);
        ended.store(true, Ordering::Relaxed);
        assert_eq!(outcome.status, 0, "{outcome:#?}");
        assert_eq!(count(&outcome.json, "/udp/datagrams/lost"), 0);
    });
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn a_taken_udp_port_leaves_tcp_serving_and_is_named() {
    // A port that is free for TCP and taken for UDP.
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let _taken = UdpSocket::bind(address).unwrap();
    let port = address.port().to_string();
    let server = Server::start(&["-p", &port]);
    let target = server.target();
    assert_eq!(target, address.to_string());
    let outcome = podperf_json(&["udp", &target, "-t", "0.5", "-J"]);
    outcome.assert_failed(3, &[&target, &format!("UDP port {port}"), "in use"]);
    server.assert_serves();
}

#[test]
fn requests_of_unknown_sessions_are_answered_only_so_often() {
    let server = Server::start(&[]);
    let unknown = untrusted_socket(&server);
    let request = FlowRequest { session: SessionId([7; 16]), flow: 9, proof: [0; 16] }.encode();
    let begun = Instant::now();
    for _ in 0..2000 {
        unknown.send(&request).unwrap();
        std::thread::sleep(Duration::from_micros(100));
    }
    // Each with fewer bytes than were sent.
    assert_eq!(answer(&unknown), FlowAnswer::UnknownSession { flow: 9 });
    // What is still under way comes now, if any.
    unknown.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut answers = 1;
    while unknown.recv(&mut [0; REQUEST_BYTES]).is_ok() {
        answers += 1;
    }
    let seconds = begun.elapsed().as_secs();
    assert!((1..=200 * (seconds + 2)).contains(&answers), "{answers} answers in {seconds} s");
    server.assert_serves();
}
