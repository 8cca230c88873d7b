//! What coordinator and agents are told: what is accepted can be carried out, and is the same when
//! it was written and read again.

use std::sync::LazyLock;

use podperf_model::schedule::{AgentConfig, Schedule, host_and_port};
use serde_json::{Value, json};

use super::edited;
use super::text::assert_one_line;

static BASES: LazyLock<[Value; 2]> = LazyLock::new(|| {
    [
        json!({"agents": ["a", "b"], "join_seconds": 5, "steps": [
            {"test": "t", "sample": 1, "agents": ["a", "b"], "limit_seconds": 9},
            {"test": "u", "sample": 2, "agents": ["b"], "limit_seconds": 1}]}),
        json!({"agent": "a", "tests": {"t": ["rr", "::1"], "u": ["stream", "192.0.2.1"]},
            "probe_seconds": 3, "probes": [
                {"path": "pod", "address": "[::1]:5210", "expect": "answer", "tests": ["t"]},
                {"path": "policies", "address": "a:1", "expect": "no_answer", "tests": []}]}),
    ]
});

/// Checks one document as both, and as an address.
pub fn check(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Some((host, port)) = host_and_port(text)
    {
        assert!(!host.is_empty() && port > 0, "{text}");
    }
    let Some(json) = edited::json(data, &*BASES) else { return };
    match Schedule::read(&json) {
        Ok(schedule) => {
            let names = schedule.agents.iter().chain(schedule.steps.iter().map(|step| &step.test));
            names.for_each(|name| assert_one_line(name, "a name"));
            let known = |name| schedule.agents.contains(name);
            assert!(schedule.steps.iter().flat_map(|step| &step.agents).all(known));
            let written = serde_json::to_string(&schedule).expect("it can be written");
            assert_eq!(Schedule::read(&written), Ok(schedule));
        }
        Err(refusal) => assert_one_line(&refusal.to_string(), "a refusal"),
    }
    match AgentConfig::read(&json) {
        Ok(config) => {
            config.tests.keys().for_each(|name| assert_one_line(name, "a name"));
            let written = serde_json::to_string(&config).expect("it can be written");
            assert_eq!(AgentConfig::read(&written), Ok(config));
        }
        Err(refusal) => assert_one_line(&refusal.to_string(), "a refusal"),
    }
}
