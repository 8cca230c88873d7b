//! What a client is told that has no session.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::control::framing;
use crate::control::message::FromServer;
use podperf_model::error::Error;

/// For a refusal to be taken, which costs no time where nothing else is under way.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(10);

/// Tells a client that there is no place for it.
pub(super) fn refuse(stream: &TcpStream, error: &Error) {
    // Nothing but the handshake has been written before, so there is room for it.
    let refusal = FromServer::Refused(Error { peer: None, ..error.clone() });
    let _ = framing::write(stream, &refusal, Instant::now() + REFUSAL_TIMEOUT);
}
