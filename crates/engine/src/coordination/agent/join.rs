//! Joins the coordinator, which may start later than its agents.

use std::net::TcpStream;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, after, select};

use super::AgentOptions;
use crate::control::client::{ReachedServer, Target, shake_hands};
use crate::control::framing;
use crate::control::link::LinkMessage as _;
use crate::coordination::message::{COORDINATES, FromAgent, FromCoordinator, JOIN_TIMEOUT};
use crate::net::Log;
use podperf_model::During as _;
use podperf_model::error::{Code, Error, Kind, Result};

/// For one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(300);

/// Tries until the coordinator lets this agent in; its connection, and the coordinator's name.
///
/// # Errors
/// That of the last attempt; a refusal at once.
pub(super) fn join(
    options: &AgentOptions<'_>,
    log: Log<'_>,
    stop: &Receiver<Kind>,
) -> Result<(TcpStream, String)> {
    let deadline = Instant::now() + options.join_timeout;
    let mut logged = String::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let connect_timeout = left.clamp(Duration::from_millis(1), ATTEMPT_TIMEOUT);
        let coordinator = Target { connect_timeout, ..options.coordinator.clone() };
        let error = match attempt(&coordinator, &options.config.agent, stop) {
            Ok(place) => return Ok(place),
            Err(ControlFlow::Break(error)) => return Err(error),
            Err(ControlFlow::Continue(error)) => error,
        };
        if Instant::now() + RETRY_INTERVAL >= deadline {
            return Err(
                error.with_remedy("start `podperf coordinate` there, or raise --join-timeout")
            );
        }
        let line = Error { remedy: None, ..error }.to_string();
        if logged != line {
            log(&format!("not joined yet: {line}; trying again"));
            logged = line;
        }
        select! {
            recv(after(RETRY_INTERVAL)) -> _ => {}
            recv(stop) -> kind => {
                let kind = kind.unwrap_or(Kind::Interrupted);
                return Err(Error::new(kind, "join the coordinator", "ended by a signal"));
            }
        }
    }
}

/// Tries once. A failure ends it where another attempt would fail too.
fn attempt(
    coordinator: &Target,
    agent: &str,
    stop: &Receiver<Kind>,
) -> Result<(TcpStream, String), ControlFlow<Error, Error>> {
    let ReachedServer { stream, address: peer, hello, .. } = shake_hands(coordinator, stop)
        .map_err(|error| match error.code {
            // Who does not know the token now will not know it later.
            Code::Signal | Code::Unauthorized => ControlFlow::Break(error),
            _ => ControlFlow::Continue(error),
        })?;
    let failed = |code, cause| {
        Error::new(Kind::Unmeasured, "join the coordinator at", cause).with_code(code)
    };
    let again = |error: Error| ControlFlow::Continue(error.with_peer(peer));
    let never = |error: Error| ControlFlow::Break(error.with_peer(peer));
    if !hello.features.iter().any(|feature| feature == COORDINATES) {
        return Err(never(
            failed(Code::Protocol, "it is a podperf server that coordinates nothing")
                .with_remedy("name the port where `podperf coordinate` listens"),
        ));
    }
    let deadline = Instant::now() + JOIN_TIMEOUT;
    let joined = framing::write(&stream, &FromAgent::Join { agent: agent.into() }, deadline)
        .and_then(|()| framing::read(&stream, FromCoordinator::MAX_BYTES, deadline, JOIN_TIMEOUT))
        .during("join the coordinator at");
    match joined.map_err(again)? {
        Some(FromCoordinator::Welcome) => Ok((stream, peer.to_string())),
        Some(FromCoordinator::Refused(error)) => Err(never(error)),
        Some(_) => Err(again(failed(Code::Protocol, "it answered another thing"))),
        None => Err(again(failed(Code::ConnectionLost, "it closed the connection"))),
    }
}
