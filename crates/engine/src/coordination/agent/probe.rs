//! Whether paths are as expected, before anything is timed on them.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crossbeam_channel::{after, select};

use super::AgentOptions;
use super::attend::Stand;
use crate::control::client::{Target, meet, resolve};
use crate::control::server::Log;
use crate::coordination::message::{FromAgent, Probed};
use podperf_model::error::{Error, Kind};
use podperf_model::plan::Expect;
use podperf_model::schedule::{PathProbe, host_and_port};

/// Answers in a row that make a path one.
const ANSWERS: u32 = 3;
/// Connections that have to fail where none is expected.
const REFUSALS: u32 = 3;
/// For one connection.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Probes all paths of a part, one after the other, and tells what came of each. Told to stop, it
/// leaves the rest.
pub(super) fn all(options: &AgentOptions<'_>, stand: &Stand, log: Log<'_>) {
    let limit = Duration::from_secs(options.part.probe_seconds.into());
    for probe in &options.part.probes {
        let begun = Instant::now();
        let Some(outcome) = one(probe, &target(options, probe), limit, stand) else { return };
        let (met, cause) = match outcome {
            Ok(cause) => (true, cause),
            Err(cause) => (false, Some(cause)),
        };
        let PathProbe { path, address, expect, tests } = probe.clone();
        let words = cause.as_deref().unwrap_or("it answers");
        let outcome = if met { "as expected" } else { "not as expected" };
        log(&format!("path {path} to {address}: {outcome}: {words}"));
        let seconds = begun.elapsed().as_secs_f64();
        let probed = Probed { path, address, expect, met, seconds, cause, tests };
        let _ = stand.tell.send(FromAgent::Probed(probed));
    }
}

fn target(options: &AgentOptions<'_>, probe: &PathProbe) -> Target {
    // The part's addresses have been checked.
    let (host, port) = host_and_port(&probe.address).unwrap_or_default();
    Target {
        host: Some(host.to_owned()),
        port,
        family: None,
        bind: None,
        connect_timeout: ATTEMPT,
        deadline: None,
        ..options.coordinator.clone()
    }
}

/// One probe's outcome: as expected or not, in words; none: it was told to stop.
fn one(
    probe: &PathProbe,
    target: &Target,
    limit: Duration,
    stand: &Stand,
) -> Option<Result<Option<String>, String>> {
    match probe.expect {
        Expect::Answer => {
            answers(target, Instant::now() + limit, stand).map(|met| met.map(|()| None))
        }
        Expect::NoAnswer => stays_silent(target, stand).map(|met| met.map(Some)),
    }
}

/// A server answers several times in a row.
fn answers(target: &Target, deadline: Instant, stand: &Stand) -> Option<Result<(), String>> {
    let mut row = 0;
    let mut last = "no answer".to_owned();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Some(Err(last));
        }
        let connect_timeout = left.min(ATTEMPT);
        match meet(&Target { connect_timeout, ..target.clone() }, &stand.stop) {
            Ok(_) => row += 1,
            Err(error) if signal(&error) => return None,
            Err(error) => (row, last) = (0, error.to_string()),
        }
        if row == ANSWERS {
            return Some(Ok(()));
        }
        pause(stand)?;
    }
}

/// No connection comes about.
fn stays_silent(target: &Target, stand: &Stand) -> Option<Result<String, String>> {
    let addresses = match resolve(target, &stand.stop) {
        Ok(addresses) => addresses,
        Err(error) if signal(&error) => return None,
        // Nothing was tried, so nothing is known.
        Err(error) => return Some(Err(error.to_string())),
    };
    let mut last = String::new();
    for _ in 0..REFUSALS {
        match TcpStream::connect_timeout(&addresses[0], ATTEMPT) {
            Ok(_) => return Some(Err("a connection was opened".into())),
            Err(error) => last = error.to_string(),
        }
        pause(stand)?;
    }
    Some(Ok(format!("no connection: {last}")))
}

const fn signal(error: &Error) -> bool {
    matches!(error.kind, Kind::Interrupted | Kind::Terminated)
}

/// None: it was told to stop.
fn pause(stand: &Stand) -> Option<()> {
    select! {
        recv(after(PAUSE)) -> _ => Some(()),
        recv(stand.stop) -> _ => None,
    }
}
