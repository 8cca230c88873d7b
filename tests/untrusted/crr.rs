//! Untrusted peers at the port of a run of connections. They come from the client's host, so that
//! only what they do tells them from podperf: nothing, a part of a request, or no end.

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::process::{Client, Server};
use crate::support::wire::is_dropped;
use crate::support::{TIMEOUT, at, codes, count, eventually, free_port};

#[test]
fn connections_that_ask_nothing_or_break_off_do_not_disturb_a_run() {
    let port = free_port();
    let server = Server::start(&["--data-port", &port.to_string()]);
    for layout in [&["-P", "2"][..], &["-P", "2", "--server-workers", "1"]] {
        let target = server.target();
        let asked = ["crr", &target, "--request", "9", "-t", "30", "-J"];
        let args = [&asked[..], layout].concat();
        let client = Client::start(&args);
        server.wait_mid_run(Duration::from_millis(300));
        for part in [&b""[..], b"part"] {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(part).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            stream.set_read_timeout(Some(TIMEOUT)).unwrap();
            assert!(is_dropped(&mut stream), "the server waits for more");
        }
        client.signal(Signal::SIGINT);
        let outcome = client.wait(TIMEOUT);
        outcome.assert_failed(130, &["SIGINT"]);
        assert_eq!(count(&outcome.json, "/connections/server/broken"), 1, "{:#}", outcome.json);
    }
}

/// A connection to a port that is about to be opened.
fn connect_when_open(address: SocketAddr) -> TcpStream {
    let mut stream = None;
    let opened = eventually(TIMEOUT, || {
        stream = TcpStream::connect(address).ok();
        stream.is_some()
    });
    assert!(opened, "nobody listens at {address}");
    stream.unwrap()
}

#[test]
fn untrusted_peers_that_keep_a_connection_open_do_not_hold_a_worker() {
    let port = free_port();
    let server = Server::start(&["--data-port", &port.to_string()]);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let one_for_all = ["-P", "2", "--workers", "1", "--server-workers", "1"];
    for (layout, blocks) in [(&["-P", "1"][..], true), (&["-P", "2"], true), (&one_for_all, false)]
    {
        for (wait, part) in [("block", &b""[..]), ("block", b"part"), ("spin", b"")] {
            let target = server.target();
            // Enough transactions for the untrusted peers to come while there are more to do.
            let work = ["--request", "9", "-n", "400", "--rate", "400", "--server-wait", wait];
            let client = Client::start(&[&["crr", &target, "-J"], layout, &work].concat());
            // As many as there are workers at the most; the listener is there before they are.
            let mut peers = [connect_when_open(address), connect_when_open(address)];
            for peer in &mut peers {
                peer.write_all(part).unwrap();
            }
            let outcome = client.wait(TIMEOUT);
            let json = &outcome.json;
            assert_eq!(outcome.status, 0, "{layout:?} {wait}: {outcome:#?}");
            assert_eq!(count(json, "/transactions/count"), 400, "{layout:?} {wait}");
            let broken = count(json, "/connections/server/broken");
            assert_eq!(broken, if part.is_empty() { 0 } else { 2 }, "{layout:?} {wait}: {json:#}");
            let opened = count(json, "/connections/client/connections");
            assert_eq!(opened, count(json, "/connections/server/connections"), "{json:#}");
            assert_eq!(at(json, "/connections/lifetime/drained"), true);
            let held = count(json, "/connections/server/held");
            assert_eq!(held > 0, blocks, "{layout:?} {wait}: {held} held");
            assert_eq!(codes(json).contains(&"worker_held"), blocks, "{layout:?} {wait}");
            for peer in &mut peers {
                peer.set_read_timeout(Some(TIMEOUT)).unwrap();
                assert!(is_dropped(peer), "an untrusted peer is kept after the run");
            }
        }
    }
    server.assert_all_freed(TIMEOUT);
}
