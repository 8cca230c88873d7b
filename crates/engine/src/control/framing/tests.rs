//! Tests of messages on a byte stream.

use std::net::TcpListener;

use super::*;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

fn read_text(stream: &TcpStream, ms: u64) -> io::Result<Option<String>> {
    let wait = Duration::from_millis(ms);
    read(stream, 1000, Instant::now() + wait, wait)
}

#[test]
fn messages_arrive_whole_and_the_end_is_told() {
    let (one, other) = pair();
    let deadline = Instant::now() + Duration::from_secs(5);
    write(&one, &"a", deadline).unwrap();
    write(&one, &"b".repeat(900), deadline).unwrap();
    drop(one);
    assert_eq!(read_text(&other, 5_000).unwrap().unwrap(), "a");
    assert_eq!(read_text(&other, 5_000).unwrap().unwrap().len(), 900);
    assert!(read_text(&other, 5_000).unwrap().is_none());
}

#[test]
fn bad_lengths_and_bad_json_are_refused() {
    for bytes in [&[0, 0, 0, 0][..], &[0xff; 4], &[0, 0, 0, 2, b'{', b'!']] {
        let (one, other) = pair();
        (&mut &one).write_all(bytes).unwrap();
        let error = read_text(&other, 5_000).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{bytes:?}");
    }
}

#[test]
fn a_message_cut_short_is_an_error() {
    let (one, other) = pair();
    (&mut &one).write_all(&[0, 0, 0, 9, b'"']).unwrap();
    drop(one);
    assert_eq!(read_text(&other, 5_000).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_slow_peer_meets_the_deadline_of_the_whole_message() {
    let (one, other) = pair();
    (&mut &one).write_all(&[0, 0]).unwrap();
    assert_eq!(read_text(&other, 50).unwrap_err().kind(), ErrorKind::TimedOut);
}
