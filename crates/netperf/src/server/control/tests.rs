//! Messages whole and broken, kept and waited for.

use std::net::TcpListener;
use std::os::unix::net::UnixStream;

use super::*;
use crate::wire::kind;

fn pair() -> (TcpStream, ControlChannel) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, ControlChannel::new(listener.accept().unwrap().0).unwrap())
}

const SOON: Duration = Duration::from_secs(20);

#[test]
fn messages_come_one_after_the_other_and_kept_ones_first() {
    let (mut client, mut control) = pair();
    let (closing, _open) = UnixStream::pair().unwrap();
    for kind in [kind::OMNI, kind::TCP_CC] {
        WireMessage::of(kind).write(&mut client).unwrap();
    }
    control.keep(WireMessage::of(kind::SYSINFO)).unwrap();
    for kind in [kind::SYSINFO, kind::OMNI, kind::TCP_CC] {
        assert_eq!(control.next(SOON, closing.as_fd()).unwrap().unwrap().kind(), kind);
    }
    drop(client);
    assert!(control.next(SOON, closing.as_fd()).unwrap().is_none());
}

#[test]
fn a_message_that_is_not_whole_is_named() {
    let (closing, _open) = UnixStream::pair().unwrap();
    for (bytes, expected) in [(256, "netperf before 2.6"), (100, "after 100 bytes")] {
        let (mut client, mut control) = pair();
        client.write_all(&vec![0; bytes]).unwrap();
        drop(client);
        let error = control.next(SOON, closing.as_fd()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    // One of the old length that waits for its answer.
    let (mut client, mut control) = pair();
    client.write_all(&[0; 256]).unwrap();
    let error = control.next(SOON, closing.as_fd()).unwrap_err().to_string();
    assert!(error.contains("no more came after 256 bytes"), "{error}");
}

#[test]
fn silence_ends_and_so_does_the_server() {
    let (_client, mut control) = pair();
    let (closing, open) = UnixStream::pair().unwrap();
    let short = Duration::from_millis(50);
    let error = control.next(short, closing.as_fd()).unwrap_err().to_string();
    assert!(error.contains("silent"), "{error}");
    drop(open);
    assert!(control.next(SOON, closing.as_fd()).unwrap().is_none());
}

#[test]
fn nobody_is_kept_for_without_end() {
    let (_client, mut control) = pair();
    let kept = (0..100).take_while(|_| control.keep(WireMessage::default()).is_ok()).count();
    assert_eq!(kept, MAX_KEPT_MESSAGES);
}
