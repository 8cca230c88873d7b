//! What a link takes from a peer that sends more than its owner wants.

use std::net::TcpListener;

use super::*;
use podperf_model::error::Code;

const TIMEOUT: Duration = Duration::from_secs(20);

/// A connection by way of loopback: a server's end, and its client's.
fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, client)
}

/// A message of `bytes` bytes that a client may send.
fn proof(bytes: usize) -> FromClient {
    let empty = serde_json::to_string(&FromClient::Prove { proof: String::new() }).unwrap();
    FromClient::Prove { proof: "x".repeat(bytes - empty.len()) }
}

#[test]
fn a_queue_is_bounded_in_bytes_and_none_of_its_messages_is_lost() {
    let (server, client) = connected();
    let (_link, incoming) =
        Link::start::<FromClient, FromServer>(server, "client", TIMEOUT).unwrap();
    let (length, count) = (3_000, 500);
    let sender = std::thread::spawn(move || {
        for _ in 0..count {
            framing::write(&client, &proof(length), Instant::now() + TIMEOUT).unwrap();
        }
        client
    });
    // Full when one more would be too many, and a message more was under way.
    let most = FromClient::MAX_QUEUED_BYTES / length + 1;
    let deadline = Instant::now() + TIMEOUT;
    while incoming.len() < most && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(5 * QUEUE_POLL_INTERVAL);
    assert_eq!(incoming.len(), most);
    for number in 0..count {
        let message = incoming.recv_timeout(TIMEOUT).unwrap().unwrap();
        assert_eq!(message, proof(length), "{number}");
        assert!(incoming.len() <= most);
    }
    drop(sender.join().unwrap());
}

#[test]
fn a_message_beyond_the_bound_ends_the_link_by_name() {
    let (server, client) = connected();
    let started = Link::start_within::<FromClient, FromServer>(server, "client", TIMEOUT, 100);
    let (_link, incoming) = started.unwrap();
    framing::write(&client, &proof(100), Instant::now() + TIMEOUT).unwrap();
    framing::write(&client, &proof(101), Instant::now() + TIMEOUT).unwrap();
    assert!(incoming.recv_timeout(TIMEOUT).unwrap().is_ok());
    let error = incoming.recv_timeout(TIMEOUT).unwrap().unwrap_err();
    assert_eq!(error.code, Code::Protocol);
    assert!(error.to_string().contains("message of 101 bytes; 1 to 100 are allowed"), "{error}");
}
