//! From nothing to a place with the coordinator, which may start later than its agents.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, after, select};

use super::AgentOptions;
use crate::control::client::{Target, meet};
use crate::control::framing;
use crate::control::link::Message as _;
use crate::control::server::Log;
use crate::coordination::message::{FromAgent, FromCoordinator};
use crate::coordination::{COORDINATES, WORD};
use podperf_model::error::{Error, Kind, Result};

/// For one attempt.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Between two attempts.
const RETRY: Duration = Duration::from_millis(300);

/// An attempt that failed.
struct Failure {
    error: Error,
    /// Another would fail too.
    last: bool,
}

/// Tries until the coordinator lets this agent in; its connection, and the coordinator's name.
///
/// # Errors
/// What the last attempt met; a refusal at once.
pub(super) fn arrive(
    options: &AgentOptions<'_>,
    log: Log<'_>,
    stop: &Receiver<Kind>,
) -> Result<(TcpStream, String)> {
    let deadline = Instant::now() + options.join_timeout;
    let mut told = String::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let connect_timeout = left.clamp(Duration::from_millis(1), ATTEMPT);
        let coordinator = Target { connect_timeout, ..options.coordinator.clone() };
        let error = match attempt(&coordinator, &options.part.agent, stop) {
            Ok(place) => return Ok(place),
            Err(Failure { error, last: true }) => return Err(error),
            Err(Failure { error, last: false }) => error,
        };
        if Instant::now() + RETRY >= deadline {
            return Err(
                error.with_remedy("start `podperf coordinate` there, or raise --join-timeout")
            );
        }
        let line = Error { remedy: None, ..error }.to_string();
        if told != line {
            log(&format!("not joined yet: {line}; trying again"));
            told = line;
        }
        select! {
            recv(after(RETRY)) -> _ => {}
            recv(stop) -> kind => {
                let kind = kind.unwrap_or(Kind::Interrupted);
                return Err(Error::new(kind, "join the coordinator", "ended by a signal"));
            }
        }
    }
}

fn attempt(
    coordinator: &Target,
    agent: &str,
    stop: &Receiver<Kind>,
) -> Result<(TcpStream, String), Failure> {
    let (stream, peer, hello) = meet(coordinator, stop).map_err(|error| {
        let signal = matches!(error.kind, Kind::Interrupted | Kind::Terminated);
        // Who does not know the token now will not know it later.
        let last = signal || error.operation.starts_with("authenticate");
        Failure { error, last }
    })?;
    let failed = |cause: &dyn std::fmt::Display, last| {
        let error = Error::new(Kind::Unmeasured, "join the coordinator at", cause).with_peer(peer);
        Failure { error, last }
    };
    if !hello.features.iter().any(|feature| feature == COORDINATES) {
        let failure = failed(&"it is a podperf server that conducts nothing", true);
        let error = failure.error.with_remedy("name the port where `podperf coordinate` listens");
        return Err(Failure { error, ..failure });
    }
    let deadline = Instant::now() + WORD;
    let said = framing::write(&stream, &FromAgent::Join { agent: agent.into() }, deadline);
    said.map_err(|error| failed(&error, false))?;
    match framing::read(&stream, FromCoordinator::MOST, deadline, WORD) {
        Ok(Some(FromCoordinator::Welcome)) => Ok((stream, peer.to_string())),
        Ok(Some(FromCoordinator::Refused(error))) => {
            Err(Failure { error: error.with_peer(peer), last: true })
        }
        Ok(Some(_)) => Err(failed(&"it answered another thing", false)),
        Ok(None) => Err(failed(&"it closed the connection", false)),
        Err(error) => Err(failed(&error, false)),
    }
}
