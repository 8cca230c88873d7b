//! From a fresh connection to two ends that know each other: preamble, hello, proof.
//!
//! Runs before anything is started on either side, and wholly within one deadline.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::control::framing;
use crate::control::message::{FromClient, FromServer, Hello, features};
use crate::control::preamble::{LENGTH, Preamble, PreambleError, SessionId, check_start};
use crate::control::session::State;
use crate::control::token::Token;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::plan::Role;

/// A server waits so long before it refuses a wrong proof, so that guessing takes time.
const WRONG_PROOF_DELAY: Duration = Duration::from_millis(300);

/// This end's hello.
///
/// # Errors
/// When the system has no random numbers.
pub fn hello(token: Option<&Token>, boot_id: Option<String>) -> Result<Hello> {
    let nonce = SessionId::random()
        .map_err(|error| Error::new(Kind::Unmeasured, "get random numbers", error))?;
    Ok(Hello {
        podperf: env!("CARGO_PKG_VERSION").into(),
        features: features(),
        nonce: nonce.to_hex(),
        token: token.is_some(),
        boot_id,
    })
}

/// The client's side; the server's hello.
///
/// # Errors
/// Naming the step, when the peer is not podperf, of another version, asks for a token, does not
/// know it, refuses, or does not answer in time.
pub fn client(
    stream: &TcpStream,
    token: Option<&Token>,
    own: Hello,
    deadline: Instant,
) -> Result<Hello> {
    framing::write_bytes(stream, &Preamble::Control.encode(), deadline)
        .map_err(|error| step("greet", &error))?;
    read_preamble(stream, deadline)?;
    let client_nonce = own.nonce.clone();
    say(stream, &FromClient::Hello(own), deadline)?;
    let server = match answer(stream, "hello", deadline)? {
        FromServer::Hello(hello) => hello,
        other => return Err(unexpected("hello", other)),
    };
    match (token, server.token) {
        (None, true) => {
            return Err(Error::new(Kind::Unmeasured, "authenticate with", "it demands a token")
                .with_remedy("give the server's token with --token-file or PODPERF_TOKEN"));
        }
        (Some(_), false) => {
            let cause = "it has no token, so it cannot prove that it is the one meant";
            return Err(Error::new(Kind::Unmeasured, "authenticate", cause)
                .with_remedy("start the server with the same token, or measure without one"));
        }
        (Some(token), true) => {
            let proof = token.prove(Role::Client, &client_nonce, &server.nonce);
            say(stream, &FromClient::Prove { proof }, deadline)?;
        }
        (None, false) => {}
    }
    match (answer(stream, "welcome", deadline)?, token) {
        (FromServer::Welcome { .. }, None) => Ok(server),
        (FromServer::Welcome { proof: Some(proof) }, Some(token))
            if token.verify(Role::Server, &client_nonce, &server.nonce, &proof) =>
        {
            Ok(server)
        }
        (FromServer::Welcome { .. }, Some(_)) => {
            Err(Error::new(Kind::Unmeasured, "authenticate", "it does not know the token"))
        }
        (other, _) => Err(unexpected("welcome", other)),
    }
}

/// The server's side, after the preamble; the client's hello and the state reached.
///
/// # Errors
/// When the client speaks out of order, cannot prove the token, or not in time. What can be told
/// to the client has been told.
pub fn server(
    stream: &TcpStream,
    token: Option<&Token>,
    own: &Hello,
    deadline: Instant,
) -> Result<(Hello, State)> {
    framing::write_bytes(stream, &Preamble::Control.encode(), deadline)
        .map_err(|error| step("greet", &error))?;
    let asks = token.is_some();
    let message = listen(stream, deadline)?;
    let mut state = State::New.after(&message, asks, false)?;
    let FromClient::Hello(client) = message else {
        return Err(Error::new(Kind::Unmeasured, "read hello from", "another message came"));
    };
    tell(stream, &FromServer::Hello(own.clone()), deadline)?;
    let mut proof = None;
    if let Some(token) = token {
        let message = listen(stream, deadline)?;
        state = state.after(&message, asks, false)?;
        let known = matches!(&message, FromClient::Prove { proof }
            if token.verify(Role::Client, &client.nonce, &own.nonce, proof));
        if !known {
            std::thread::sleep(WRONG_PROOF_DELAY);
            let error = Error::new(Kind::Unmeasured, "authenticate with", "wrong token")
                .with_remedy("give the server's token with --token-file or PODPERF_TOKEN");
            tell(stream, &FromServer::Refused(error.clone()), deadline)?;
            return Err(error);
        }
        proof = Some(token.prove(Role::Server, &client.nonce, &own.nonce));
    }
    tell(stream, &FromServer::Welcome { proof }, deadline)?;
    Ok((client, state))
}

/// Reads the server's preamble, recognising a stranger by its first bytes.
fn read_preamble(stream: &TcpStream, deadline: Instant) -> Result<()> {
    let (mut bytes, mut filled) = ([0; LENGTH], 0);
    let stranger = |stranger: PreambleError| {
        Error::new(Kind::Unmeasured, "greet", &stranger)
            .with_remedy("point at a port where `podperf serve` of the same version listens")
    };
    while filled < LENGTH {
        let read = framing::read_once(stream, &mut bytes[filled..], deadline);
        match read.or_else(|error| match error.kind() {
            // So a close looks when what this end has sent was not read.
            ErrorKind::ConnectionReset => Ok(0),
            _ => Err(step("greet", &error)),
        })? {
            0 => {
                return Err(Error::new(
                    Kind::Unmeasured,
                    "greet",
                    "the peer closed the connection without a word: not podperf, or too busy",
                ));
            }
            count => filled += count,
        }
        check_start(&bytes[..filled]).map_err(stranger)?;
    }
    Preamble::decode(&bytes).map(|_| ()).map_err(stranger)
}

fn say(stream: &TcpStream, message: &FromClient, deadline: Instant) -> Result<()> {
    framing::write(stream, message, deadline).map_err(|error| step("shake hands with", &error))
}

fn tell(stream: &TcpStream, message: &FromServer, deadline: Instant) -> Result<()> {
    framing::write(stream, message, deadline).map_err(|error| step("answer", &error))
}

fn answer(stream: &TcpStream, what: &str, deadline: Instant) -> Result<FromServer> {
    let whole = deadline.saturating_duration_since(Instant::now());
    let name = format!("read {what} from");
    match framing::read(stream, framing::SERVER_MESSAGE_MAX, deadline, whole) {
        Ok(Some(FromServer::Refused(error))) => Err(error),
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(Error::new(Kind::Unmeasured, name, "the peer closed the connection")),
        Err(error) => Err(step(&name, &error)),
    }
}

/// Reads one message of a client that is not a session yet.
///
/// # Errors
/// When it is none, or not in time.
pub fn listen(stream: &TcpStream, deadline: Instant) -> Result<FromClient> {
    let whole = deadline.saturating_duration_since(Instant::now());
    match framing::read(stream, framing::CLIENT_MESSAGE_MAX, deadline, whole) {
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(Error::new(Kind::Unmeasured, "read from", "the client left")),
        Err(error) => Err(step("read from", &error)),
    }
}

fn step(operation: &str, error: &io::Error) -> Error {
    Error::new(Kind::Unmeasured, operation, error)
}

fn unexpected(wanted: &str, got: FromServer) -> Error {
    match got {
        FromServer::Refused(error) => error,
        _ => Error::new(
            Kind::Unmeasured,
            format!("read {wanted} from"),
            "the peer sent another message",
        ),
    }
}
