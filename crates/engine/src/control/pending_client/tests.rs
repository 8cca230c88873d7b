//! Tests of the handshake as a server reads it.

use std::net::TcpListener;

use super::*;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let server = listener.accept().unwrap().0;
    server.set_nonblocking(true).unwrap();
    (client, server)
}

/// Reads until the connection is through, or an error.
fn read(pending: &mut PendingClient<'_>) -> Result<Progress<Opening>> {
    loop {
        let wait = pending.paused_until().map_or(Duration::ZERO, |at| at - Instant::now());
        std::thread::sleep(wait);
        match pending.read()? {
            Progress::Incomplete => std::thread::sleep(Duration::from_millis(1)),
            progress => return Ok(progress),
        }
    }
}

fn shake_hands(
    theirs: Option<&Token>,
    ours: Option<&Token>,
) -> (Result<Hello>, Result<Progress<Opening>>) {
    let (client, server) = pair();
    let identity = ServerIdentity::new(ours, None);
    std::thread::scope(|scope| {
        let client = scope.spawn(move || {
            let own = handshake::hello(theirs, None).unwrap();
            let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
            handshake::client(&client, theirs, own, deadline).map(|(hello, _)| hello)
        });
        let opening = read(&mut PendingClient::new(server, &identity));
        (client.join().unwrap(), opening)
    })
}

#[test]
fn a_client_gets_through_with_the_right_token_alone() {
    let right = Token::from_text("correct horse").unwrap();
    let wrong = Token::from_text("battery staple").unwrap();
    for token in [None, Some(&right)] {
        let (client, server) = shake_hands(token, token);
        assert!(client.is_ok());
        assert!(matches!(server, Ok(Progress::Complete(Opening::Client(_)))));
    }
    let begun = Instant::now();
    let (client, server) = shake_hands(Some(&wrong), Some(&right));
    for error in [client.unwrap_err(), server.unwrap_err()] {
        assert_eq!((error.code, error.cause.as_str()), (Code::Unauthorized, "wrong token"));
    }
    assert!(begun.elapsed() >= WRONG_PROOF_DELAY);
}

fn new_handshake(own: &Hello) -> PendingHandshake {
    let frame = FrameReader::new(MAX_HANDSHAKE_MESSAGE_BYTES);
    let (own, state) = (own.clone(), State::New);
    PendingHandshake { state, own, client: None, rule: None, token: None, frame }
}

fn next_answer(stream: &TcpStream) -> FromServer {
    let timeout = Duration::from_secs(5);
    framing::read(stream, 1 << 20, Instant::now() + timeout, timeout).unwrap().unwrap()
}

#[test]
fn a_client_is_welcome_once_it_has_proved_the_token() {
    let token = Token::from_text("correct horse").unwrap();
    let own = handshake::hello(Some(&token), None).unwrap();
    let hello = handshake::hello(Some(&token), None).unwrap();
    let (client, server) = pair();
    let identity = ServerIdentity::new(Some(&token), None);
    let begun = || {
        let mut pending = new_handshake(&own);
        pending.answer(&server, FromClient::Hello(hello.clone()), &identity).unwrap();
        assert_eq!(next_answer(&client), FromServer::Hello(own.clone()));
        assert_eq!((pending.state, pending.client.as_ref()), (State::Unproved, Some(&hello)));
        pending
    };
    let proof = token.prove(Role::Client, &hello.nonce, &own.nonce);
    let mut pending = begun();
    pending.answer(&server, FromClient::Prove { proof }, &identity).unwrap();
    assert!(matches!(next_answer(&client), FromServer::Welcome { proof: Some(_), .. }));
    assert_eq!(pending.state, State::Welcome);
    for (message, code) in [
        (FromClient::Prove { proof: "00".into() }, Code::Unauthorized),
        (FromClient::Heartbeat, Code::Protocol),
        (FromClient::Start, Code::Protocol),
    ] {
        let refused = begun().answer(&server, message, &identity).unwrap_err();
        assert_eq!(refused.code, code);
    }
}

#[test]
fn without_a_token_a_hello_is_enough() {
    let own = handshake::hello(None, None).unwrap();
    let (client, server) = pair();
    let mut pending = new_handshake(&own);
    let identity = ServerIdentity::new(None, None);
    pending.answer(&server, FromClient::Hello(own.clone()), &identity).unwrap();
    assert_eq!(next_answer(&client), FromServer::Hello(own));
    assert!(matches!(next_answer(&client), FromServer::Welcome { proof: None, .. }));
    assert_eq!(pending.state, State::Welcome);
}

#[test]
fn streams_name_their_session_and_others_are_told_by_their_first_bytes() {
    let identity = ServerIdentity::new(None, None);
    let opened = |bytes: &[u8]| {
        let (mut client, server) = pair();
        client.write_all(bytes).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        read(&mut PendingClient::new(server, &identity))
    };
    let session = SessionId([7; 16]);
    let stream = opened(&Preamble::Data { session, stream: 3 }.encode()).unwrap();
    assert!(matches!(stream, Progress::Complete(Opening::Stream { stream: 3, .. })));
    assert!(matches!(opened(b"podp").unwrap(), Progress::Closed));
    assert_eq!(opened(b"GET /").unwrap_err().code, Code::Protocol);
    let too_long = [&Preamble::Control.encode()[..], &[0xff; 4]].concat();
    assert_eq!(opened(&too_long).unwrap_err().code, Code::Protocol);
    let cut_short = [&Preamble::Control.encode()[..], &[0, 0]].concat();
    assert_eq!(opened(&cut_short).unwrap_err().code, Code::ConnectionLost);
}
