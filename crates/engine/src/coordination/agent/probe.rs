//! Probes whether paths are as expected, before anything is timed on them.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crossbeam_channel::{after, select};

use super::AgentOptions;
use super::listen::StepContext;
use crate::control::client::{
    ONE_SERVER, ReachedServer, Target, path_finding, resolve, shake_hands,
};
use crate::coordination::message::{FromAgent, Probed};
use crate::net::Log;
use podperf_model::error::{Error, Kind};
use podperf_model::plan::Expect;
use podperf_model::schedule::{PathProbe, host_and_port};

/// Answers in a row that make a path one.
const MIN_ANSWERS: u32 = 3;
/// Connections that have to fail where none is expected.
const MIN_FAILURES: u32 = 3;
/// For one connection.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two attempts.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(200);

/// Probes all paths of the agent's config, one after the other, and tells what came of each. Told
/// to stop, it leaves the rest.
pub(super) fn all(options: &AgentOptions<'_>, context: &StepContext, log: Log<'_>) {
    let limit = Duration::from_secs(options.config.probe_seconds.into());
    for probe in &options.config.probes {
        let begun = Instant::now();
        let target = target(options, probe);
        let outcome = match probe.expect {
            Expect::Answer => answers(&target, begun + limit, context),
            Expect::NoAnswer => stays_silent(&target, context),
        };
        let Some(outcome) = outcome else { return };
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
        let _ = context.messages.send(FromAgent::Probed(probed));
    }
}

fn target(options: &AgentOptions<'_>, probe: &PathProbe) -> Target {
    // The config's addresses have been checked.
    let (host, port) = host_and_port(&probe.address).unwrap_or_default();
    Target {
        host: Some(host.to_owned()),
        port,
        family: None,
        bind: None,
        connect_timeout: ATTEMPT_TIMEOUT,
        deadline: None,
        ..options.coordinator.clone()
    }
}

/// A probe's outcome, as expected or not, in words where there is something to say; none: it was
/// told to stop.
type ProbeOutcome = Option<Result<Option<String>, String>>;

/// A server answers several times in a row.
fn answers(target: &Target, deadline: Instant, context: &StepContext) -> ProbeOutcome {
    let mut row = 0;
    let mut instances = BTreeSet::new();
    let mut last = "no answer".to_owned();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Some(Err(last));
        }
        let connect_timeout = left.min(ATTEMPT_TIMEOUT);
        match shake_hands(&Target { connect_timeout, ..target.clone() }, &context.stop) {
            Ok(ReachedServer { address, view, .. }) => {
                row += 1;
                instances.extend(view.map(|view| view.instance));
                if row == MIN_ANSWERS {
                    return Some(judge(&instances, path_finding(address, target.bind)));
                }
            }
            Err(error) if signal(&error) => return None,
            Err(error) => (row, last) = (0, error.to_string()),
        }
        pause(context)?;
    }
}

/// Whether a path that answers can be measured: by one server, with full segments.
fn judge(instances: &BTreeSet<String>, packets: Option<String>) -> Result<Option<String>, String> {
    match (instances.len(), packets) {
        (0 | 1, None) => Ok(None),
        (0 | 1, Some(finding)) => Err(finding),
        (servers, _) => {
            Err(format!("{MIN_ANSWERS} connections reached {servers} servers: {ONE_SERVER}"))
        }
    }
}

/// No connection comes about.
fn stays_silent(target: &Target, context: &StepContext) -> ProbeOutcome {
    let addresses = match resolve(target, &context.stop) {
        Ok(addresses) => addresses,
        Err(error) if signal(&error) => return None,
        // Nothing was tried, so nothing is known.
        Err(error) => return Some(Err(error.to_string())),
    };
    let mut last = String::new();
    for _ in 0..MIN_FAILURES {
        match TcpStream::connect_timeout(&addresses[0], ATTEMPT_TIMEOUT) {
            Ok(_) => return Some(Err("a connection was opened".into())),
            Err(error) => last = error.to_string(),
        }
        pause(context)?;
    }
    Some(Ok(Some(format!("no connection: {last}"))))
}

const fn signal(error: &Error) -> bool {
    matches!(error.kind, Kind::Interrupted | Kind::Terminated)
}

/// None: it was told to stop.
fn pause(context: &StepContext) -> Option<()> {
    select! {
        recv(after(ATTEMPT_INTERVAL)) -> _ => Some(()),
        recv(context.stop) -> _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_answers_can_be_measured_by_one_server_and_with_full_segments() {
        let servers = |count: u8| (0..count).map(|number| number.to_string()).collect();
        assert_eq!(judge(&servers(0), None), Ok(None), "an earlier server has no name");
        assert_eq!(judge(&servers(1), None), Ok(None));
        let lost = judge(&servers(1), Some("path MTU: 1300".to_owned()));
        assert_eq!(lost, Err("path MTU: 1300".to_owned()));
        let several = judge(&servers(2), None).unwrap_err();
        assert!(several.contains("reached 2 servers: all connections of a run"), "{several}");
    }
}
