//! How long an answer is waited for, and where an address is that names no link.

use std::io::Write as _;
use std::net::TcpListener;

use super::*;
use crate::wire::kind;

#[test]
fn an_answer_has_one_deadline_in_however_many_pieces_it_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = listener.local_addr().unwrap();
    let stream = TcpStream::connect(peer).unwrap();
    let mut control = ControlClient { stream, peer, answer_timeout: ANSWER_TIMEOUT };
    let (mut server, _) = listener.accept().unwrap();
    WireMessage::of(kind::DEBUG_OK).write(&mut server).unwrap();
    let whole = control.receive(Duration::from_secs(20)).expect("it is there");
    assert_eq!(whole.kind(), kind::DEBUG_OK);
    std::thread::spawn(move || {
        // Until the other end is gone.
        while server.write_all(&[0]).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let begun = Instant::now();
    let late = control.receive(Duration::from_millis(200)).unwrap_err();
    // A whole message would have taken thirteen seconds.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_ne!(late.status, 0);
}

#[test]
fn an_address_without_a_link_is_on_that_of_the_peer() {
    let parsed = |address: &str| -> SocketAddr { address.parse().unwrap() };
    let peer = parsed("[fe80::2%3]:12865");
    for (address, with_link) in [
        ("[fe80::1]:5", "[fe80::1%3]:5"),
        ("[fe80::1%4]:5", "[fe80::1%4]:5"),
        ("[2001:db8::1]:5", "[2001:db8::1]:5"),
        ("192.0.2.1:5", "192.0.2.1:5"),
    ] {
        assert_eq!(linked(parsed(address), peer), parsed(with_link));
    }
    let own = [parsed("192.0.2.1:0"), parsed("[fe80::1]:0")];
    assert_eq!(own_address(Some(&own), peer, 5), Some(parsed("[fe80::1%3]:5")));
    assert_eq!(own_address(None, peer, 5), Some(parsed("[::]:5")));
    assert_eq!(own_address(None, peer, 0), None);
}
