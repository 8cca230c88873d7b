//! What coordinator and agents are told before they start, as JSON in their pods' specification.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::plan::Expect;

/// Longest name, in bytes: that of a pod.
const MAX_NAME_BYTES: usize = 253;

/// The coordinator's: who takes part, and in which order what is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Agents that have to join before the first step.
    pub agents: Vec<String>,
    /// For all agents to have joined and probed their paths, in seconds.
    pub join_seconds: u32,
    /// One after the other, in this order.
    pub steps: Vec<Step>,
}

/// One sample of one test: one run, or several at once with a common start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Name of the test, the same in every agent that takes part in it.
    pub test: String,
    /// Number of the sample, from 1.
    pub sample: u32,
    /// Who measures; with several, all windows open together.
    pub agents: Vec<String>,
    /// The step is given up after so many seconds.
    pub limit_seconds: u32,
}

/// An agent's: what it can measure, and which paths have to answer before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentConfig {
    /// Its name, unique in the schedule.
    pub agent: String,
    /// By name of the test: the words of a podperf command line, subcommand first.
    pub tests: BTreeMap<String, Vec<String>>,
    /// Paths to be probed before it says that it is ready.
    pub probes: Vec<PathProbe>,
    /// For each probe to come to an end, in seconds.
    pub probe_seconds: u32,
}

/// A path that has to be as expected before anything is timed on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathProbe {
    /// Name of the path.
    pub path: String,
    /// `host:port` of a podperf server; an IPv6 address in brackets.
    pub address: String,
    /// What is expected of it.
    pub expect: Expect,
    /// Tests that are left out if it is not met.
    pub tests: Vec<String>,
}

impl Schedule {
    /// From JSON.
    ///
    /// # Errors
    /// When it is none, or cannot be carried out.
    pub fn read(json: &str) -> Result<Self> {
        let schedule: Self = serde_json::from_str(json).map_err(|error| refuse(&error))?;
        schedule.check().map_err(|cause| refuse(&cause))?;
        Ok(schedule)
    }

    fn check(&self) -> Result<(), String> {
        if self.agents.is_empty() {
            return Err("it has no agents".into());
        }
        self.agents.iter().try_for_each(|name| check_name("an agent", name))?;
        no_twice(&self.agents)?;
        if self.join_seconds == 0 {
            return Err("join_seconds is 0; allowed: 1 or more".into());
        }
        for (number, step) in (1..).zip(&self.steps) {
            let at = |cause: String| format!("step {number}: {cause}");
            check_name("a test", &step.test).map_err(at)?;
            if step.agents.is_empty() || step.limit_seconds == 0 {
                return Err(at("it needs agents, and limit_seconds of 1 or more".into()));
            }
            no_twice(&step.agents).map_err(at)?;
            if let Some(unknown) = step.agents.iter().find(|name| !self.agents.contains(name)) {
                return Err(at(format!("'{unknown}' is not among the schedule's agents")));
            }
        }
        Ok(())
    }
}

impl AgentConfig {
    /// From JSON.
    ///
    /// # Errors
    /// When it is none, or cannot be carried out.
    pub fn read(json: &str) -> Result<Self> {
        let refuse = |cause: &dyn std::fmt::Display| {
            Error::new(Kind::Usage, "read the agent's configuration", cause)
        };
        let config: Self = serde_json::from_str(json).map_err(|error| refuse(&error))?;
        config.check().map_err(|cause| refuse(&cause))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        check_name("an agent", &self.agent)?;
        self.tests.keys().try_for_each(|name| check_name("a test", name))?;
        if self.probe_seconds == 0 {
            return Err("probe_seconds is 0; allowed: 1 or more".into());
        }
        for PathProbe { path, address, .. } in &self.probes {
            check_name("a path", path)?;
            if host_and_port(address).is_none() {
                return Err(format!("'{address}' is no address; allowed: host:port"));
            }
        }
        Ok(())
    }
}

/// Host and port apart, brackets taken off.
pub fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = match host.strip_prefix('[') {
        Some(six) => six.strip_suffix(']')?,
        // More colons need brackets.
        None => Some(host).filter(|host| !host.contains(':'))?,
    };
    (!host.is_empty()).then_some((host, port))
}

fn refuse(cause: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Usage, "read the schedule", cause)
}

/// Names stand in the log, a line each.
fn check_name(what: &str, name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        let shown = name.escape_debug();
        return Err(format!(
            "'{shown}' cannot be the name of {what}; allowed: 1 to {MAX_NAME_BYTES} bytes"
        ));
    }
    Ok(())
}

fn no_twice(names: &[String]) -> Result<(), String> {
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            return Err(format!("agent '{name}' is named twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn schedule() -> Value {
        json!({"agents": ["a", "b"], "join_seconds": 5, "steps": [
            {"test": "t", "sample": 1, "agents": ["a", "b"], "limit_seconds": 9}]})
    }

    fn config() -> Value {
        json!({"agent": "a", "tests": {"t": ["rr", "::1"]}, "probe_seconds": 3, "probes": [
            {"path": "pod", "address": "[::1]:5210", "expect": "answer", "tests": ["t"]}]})
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused_by_name() {
        assert!(Schedule::read(&schedule().to_string()).is_ok());
        for (at, value, cause) in [
            ("/agents", json!([]), "no agents"),
            ("/agents", json!(["a", "b", "a"]), "'a' is named twice"),
            ("/agents/0", json!("a\nb"), "'a\\nb' cannot be the name of an agent"),
            ("/join_seconds", json!(0), "join_seconds is 0"),
            ("/join_seconds", json!("x"), "invalid type"),
            ("/steps/0/test", json!(""), "step 1: '' cannot be the name of a test"),
            ("/steps/0/agents", json!([]), "step 1: it needs agents"),
            ("/steps/0/agents", json!(["a", "c"]), "step 1: 'c' is not among"),
            ("/steps/0/agents", json!(["a", "a"]), "step 1: agent 'a' is named twice"),
            ("/steps/0/limit_seconds", json!(0), "limit_seconds of 1 or more"),
        ] {
            let mut changed = schedule();
            *changed.pointer_mut(at).unwrap() = value;
            let error = Schedule::read(&changed.to_string()).unwrap_err();
            assert!(error.to_string().contains(cause), "{at}: {error}");
            assert_eq!(error.kind, Kind::Usage);
        }
        assert!(AgentConfig::read(&config().to_string()).is_ok());
        for (at, value, cause) in [
            ("/agent", json!(""), "be the name of an agent"),
            ("/probe_seconds", json!(0), "probe_seconds is 0"),
            ("/probes/0/path", json!("x".repeat(254)), "be the name of a path"),
            ("/probes/0/address", json!("::1"), "'::1' is no address"),
            ("/probes/0/expect", json!("maybe"), "maybe"),
        ] {
            let mut changed = config();
            *changed.pointer_mut(at).unwrap() = value;
            let error = AgentConfig::read(&changed.to_string()).unwrap_err().to_string();
            assert!(
                error.starts_with("read the agent's configuration: ") && error.contains(cause),
                "{error}"
            );
        }
    }

    #[test]
    fn addresses_come_apart_at_their_last_colon() {
        for (address, host, port) in [
            ("192.0.2.2:5210", "192.0.2.2", 5210),
            ("[2001:db8::1]:1", "2001:db8::1", 1),
            ("server.example:80", "server.example", 80),
        ] {
            assert_eq!(host_and_port(address), Some((host, port)));
        }
        for address in ["", "a", "a:", ":1", "a:0", "a:65536", "::1:2", "[::1]", "[::1:2", "[]:1"] {
            assert_eq!(host_and_port(address), None, "{address}");
        }
    }
}
