//! netserver sends no datagrams to who has not asked for them: another address gets none, the
//! client no more than its own justify until it has shown that it is there.

use std::net::{SocketAddr, UdpSocket};
use std::process::Output;
use std::time::Duration;

use podperf_netperf::wire::ask::OmniRequest;
use podperf_netperf::wire::native::ClientMessage;
use serde_json::Value;

use crate::support::netserver::{Netserver, datagrams, netperf, stream, transactions};
use crate::support::{TIMEOUT, at};

fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    socket
}

#[test]
fn responses_go_to_the_client_alone_and_are_short_until_it_has_asked_three_times() {
    let server = Netserver::start(&[]);
    for (request, response) in [(1, 65_507), (10, 1_000), (100, 301)] {
        let asked = transactions(request, response);
        let asked = datagrams(OmniRequest { test_length: 30, ..asked });
        let named = OmniRequest {
            client_address: Some([127, 0, 0, 2].into()),
            server_address: Some([127, 0, 0, 1].into()),
            ..asked.clone()
        };
        for asked in [asked, named] {
            let mut client = server.client();
            assert_eq!(client.refusal(&asked), libc::EACCES, "who is not podperf waits for ever");
            client.ask(&ClientMessage::Probe.write());
            let port = client.response(&asked).data_port;
            let to = SocketAddr::from(([127, 0, 0, 1], port));
            let other = socket("127.0.0.2");
            (0..5).for_each(|_| assert!(other.send_to(&[0; 100], to).is_ok()));
            server.wait_for_log("127.0.0.2: not the client of this test");
            let own = socket("127.0.0.1");
            let mut buffer = vec![0; 70_000];
            let sent = usize::try_from(request).unwrap();
            let whole = usize::try_from(response).unwrap();
            for number in 0..6 {
                own.send_to(&buffer[..sent], to).unwrap();
                let expected = if number < 3 { whole.min(sent * 3) } else { whole };
                assert_eq!(own.recv(&mut buffer).expect("a response"), expected, "{number}");
            }
            // Nor is anybody else answered once the client is known.
            other.send_to(&[0; 100], to).unwrap();
            other.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            assert!(other.recv(&mut buffer).is_err());
            own.send_to(&[], to).unwrap();
            assert_eq!(client.results().errno, 0);
        }
    }
    // By another family than the one that the client is known by.
    let other = OmniRequest {
        family: Some(podperf_model::AddressFamily::V6),
        ..datagrams(transactions(1, 1))
    };
    assert_ne!(server.client().refusal(&other), 0);
    server.assert_serves();
}

#[test]
fn no_datagram_goes_out_first_unless_that_is_allowed_and_then_not_to_who_is_silent() {
    let server = Netserver::start(&[]);
    let receiver = socket("127.0.0.1");
    let request = |receiver: &UdpSocket| {
        let client_port = receiver.local_addr().unwrap().port();
        datagrams(OmniRequest { client_port, test_length: 60, pace: [1, 50_000], ..stream(2) })
    };
    assert_eq!(server.client().refusal(&request(&receiver)), libc::EACCES);
    server.wait_for_log("--allow-udp-send");

    let server = Netserver::start(&["--allow-udp-send"]);
    let [mut silent, mut heard] = [server.client(), server.client()];
    assert_eq!(silent.response(&request(&receiver)).errno, 0);
    let asking = socket("127.0.0.1");
    let port = heard.response(&request(&asking)).data_port;
    for _ in 0..9 {
        asking.send_to(&[0], ("127.0.0.1", port)).unwrap();
        std::thread::sleep(Duration::from_secs(1));
    }
    let results = silent.results();
    assert_eq!(results.errno, 0);
    assert!(results.counters.bytes_sent > 0, "{results:?}");
    // Its time would have been 60 s.
    assert!((9.0..30.0).contains(&results.elapsed_seconds), "{results:?}");
    heard.0.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(heard.0.peek(&mut [0]).is_err(), "the other one is still sent datagrams");
}

#[test]
fn netperf_proves_that_it_is_there() {
    let run = |server: &Netserver, words: &str| -> Output {
        let port = server.port.to_string();
        let mut netperf = netperf(&["-H", "127.0.0.1", "-p", &port]);
        netperf.args(words.split(' ')).output().expect("netperf starts")
    };
    let server = Netserver::start(&[]);
    let long = run(&server, "-t UDP_RR -l -50 --json -- -r 1,4000");
    assert!(long.status.success(), "{long:?}");
    let document: Value = serde_json::from_slice(&long.stdout).expect("JSON");
    assert_eq!(at(&document, "/local/bytes_received"), 50 * 4000, "{document}");
    assert_eq!(at(&document, "/lost_transactions"), 0, "{document}");
    let receives = "-t OMNI -l 1 -- -T udp -d recv";
    let refused = run(&server, receives);
    assert!(!refused.status.success(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--allow-udp-send"), "{refused:?}");
    let allowed = run(&Netserver::start(&["--allow-udp-send"]), receives);
    assert!(allowed.status.success(), "{allowed:?}");
}
