//! The client's side of the handshake: preamble, hello and proof make a fresh connection one of two
//! ends that know each other.
//!
//! It comes before anything is started on either side, and is over within one deadline, on which
//! the client blocks. The server's side blocks on nobody (`pending_client`).

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Instant;

use crate::control::framing;
use crate::control::message::{FromClient, FromServer, Hello, ServerView, features};
use crate::control::preamble::{LENGTH_BYTES, Preamble, check_start};
use crate::net::SessionId;
use crate::policy::Token;
use podperf_model::During as _;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::plan::Role;

/// What helps who does not know the token.
pub(super) const TOKEN_REMEDY: &str = "give the server's token with --token-file or PODPERF_TOKEN";

/// Makes this end's hello.
///
/// # Errors
/// When the system has no random numbers.
pub fn hello(token: Option<&Token>, boot_id: Option<String>) -> Result<Hello> {
    let nonce = SessionId::random().during("get random numbers")?;
    Ok(Hello {
        podperf: env!("CARGO_PKG_VERSION").into(),
        features: features(),
        nonce: nonce.to_hex(),
        token: token.is_some(),
        boot_id,
    })
}

/// Shakes hands as the client; returns the server's hello, and what it sees of the connection.
///
/// # Errors
/// Naming the step, when the peer is not podperf, of another version, asks for a token, does not
/// know it, refuses, or does not answer in time.
pub fn client(
    stream: &TcpStream,
    token: Option<&Token>,
    own: Hello,
    deadline: Instant,
) -> Result<(Hello, Option<ServerView>)> {
    framing::write_bytes(stream, &Preamble::Control.encode(), deadline).during("greet")?;
    read_preamble(stream, deadline)?;
    let client_nonce = own.nonce.clone();
    send(stream, &FromClient::Hello(own), deadline)?;
    let FromServer::Hello(server) = answer(stream, "hello", deadline)? else {
        return Err(unexpected("hello"));
    };
    match (token, server.token) {
        (None, true) => {
            return Err(
                unauthorized("authenticate with", "it demands a token").with_remedy(TOKEN_REMEDY)
            );
        }
        (Some(_), false) => {
            let cause = "it has no token, so it cannot prove that it is the one meant";
            return Err(unauthorized("authenticate", cause)
                .with_remedy("start the server with the same token, or measure without one"));
        }
        (Some(token), true) => {
            let proof = token.prove(Role::Client, &client_nonce, &server.nonce);
            send(stream, &FromClient::Prove { proof }, deadline)?;
        }
        (None, false) => {}
    }
    match (answer(stream, "welcome", deadline)?, token) {
        (FromServer::Welcome { view, .. }, None) => Ok((server, view)),
        (FromServer::Welcome { proof: Some(proof), view }, Some(token))
            if token.verify(Role::Server, &client_nonce, &server.nonce, &proof) =>
        {
            Ok((server, view))
        }
        (FromServer::Welcome { .. }, Some(_)) => {
            Err(unauthorized("authenticate", "it does not know the token"))
        }
        _ => Err(unexpected("welcome")),
    }
}

/// Reads the server's preamble; what is not podperf is told by its first bytes.
fn read_preamble(stream: &TcpStream, deadline: Instant) -> Result<()> {
    let (mut bytes, mut filled) = ([0; LENGTH_BYTES], 0);
    let failed = |error: String| {
        Error::new(Kind::Unmeasured, "greet", error)
            .with_code(Code::Protocol)
            .with_remedy("point at a port where `podperf serve` of the same version listens")
    };
    while filled < LENGTH_BYTES {
        let read = framing::read_once(stream, &mut bytes[filled..], deadline);
        let count = match read {
            // So a close looks when what this end has sent was not read.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            read => read.during("greet")?,
        };
        if count == 0 {
            let cause = "the peer closed the connection without a word: not podperf, or too busy";
            let error = Error::new(Kind::Unmeasured, "greet", cause);
            return Err(error.with_code(Code::ConnectionLost));
        }
        filled += count;
        check_start(&bytes[..filled]).map_err(failed)?;
    }
    Preamble::decode(&bytes).map(|_| ()).map_err(failed)
}

fn send(stream: &TcpStream, message: &FromClient, deadline: Instant) -> Result<()> {
    framing::write(stream, message, deadline).during("shake hands with")
}

fn answer(stream: &TcpStream, what: &str, deadline: Instant) -> Result<FromServer> {
    let whole = deadline.saturating_duration_since(Instant::now());
    let name = format!("read {what} from");
    let max_bytes = framing::MAX_HANDSHAKE_MESSAGE_BYTES;
    match framing::read(stream, max_bytes, deadline, whole).during(&name)? {
        Some(FromServer::Refused(error)) => Err(error),
        Some(message) => Ok(message),
        None => Err(Error::new(Kind::Unmeasured, name, "the peer closed the connection")
            .with_code(Code::ConnectionLost)),
    }
}

pub(super) fn unauthorized(operation: &str, cause: &str) -> Error {
    Error::new(Kind::Unmeasured, operation, cause).with_code(Code::Unauthorized)
}

pub(super) fn unexpected(wanted: &str) -> Error {
    let operation = format!("read {wanted} from");
    Error::new(Kind::Unmeasured, operation, "the peer sent another message")
        .with_code(Code::Protocol)
}
