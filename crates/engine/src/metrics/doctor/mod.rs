//! The checks of `podperf doctor`: what this machine lets the engine do, and what will spoil a
//! measurement.
//!
//! Enters: the machine below [`Roots`]. Leaves: one [`DoctorCheck`] a question, with figures.
//! Checks change nothing: they read, and they try things on sockets, rings and a thread made for
//! it.

mod granted;
mod network;
mod processors;
mod sources;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::metrics::host::host_facts;
use crate::metrics::host_reader::HostReader;
use crate::metrics::roots::Roots;
use podperf_model::facts::HostFacts;
use podperf_model::reading::HostCounters;

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DoctorCheck {
    /// Stable name, in snake_case.
    pub name: &'static str,
    /// How it stands.
    pub status: CheckStatus,
    /// What was found, with figures and units.
    pub finding: String,
    /// What can be done about it.
    pub remedy: Option<String>,
}

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// Nothing speaks against it.
    Ok,
    /// Measuring works, but a figure may be spoilt or a method is not to be had.
    Warn,
    /// A part of the result will be missing.
    Fail,
    /// It cannot be found out; the finding says why.
    Unknown,
}

impl DoctorCheck {
    fn ok(name: &'static str, finding: impl Into<String>) -> Self {
        Self { name, status: CheckStatus::Ok, finding: finding.into(), remedy: None }
    }

    fn unknown(name: &'static str, reason: impl Into<String>) -> Self {
        Self { name, status: CheckStatus::Unknown, finding: reason.into(), remedy: None }
    }

    fn warn(name: &'static str, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { name, status: CheckStatus::Warn, finding: finding.into(), remedy }
    }

    fn fail(name: &'static str, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: CheckStatus::Fail, ..Self::warn(name, finding, remedy) }
    }
}

/// What the checks look at, read once.
struct DoctorInput<'r> {
    roots: &'r Roots,
    facts: HostFacts,
    counters: HostCounters,
    unknown_counters: BTreeMap<String, String>,
}

impl DoctorInput<'_> {
    /// Why a fact is absent.
    fn reason_for(&self, fact: &str) -> &str {
        self.facts.unknown.get(fact).map_or("not told", String::as_str)
    }
}

/// Every check, in the order of the result's parts. Takes some tens of milliseconds.
#[must_use]
pub fn examine(roots: &Roots) -> Vec<DoctorCheck> {
    let mut reader = HostReader::open(roots);
    let counters = reader.read();
    let facts = host_facts(roots, None, None);
    let machine =
        DoctorInput { roots, facts, counters, unknown_counters: reader.unknown().clone() };
    let checks: [fn(&DoctorInput<'_>) -> DoctorCheck; 30] = [
        processors::cpus,
        processors::pinning,
        processors::cpu_quota,
        processors::smt,
        processors::numa,
        processors::governor,
        processors::clock,
        processors::steal,
        sources::container,
        sources::proc_filtered,
        sources::proc_stat,
        sources::irq_time_accounting,
        sources::softnet_stat,
        sources::softnet_drops,
        sources::softirqs,
        sources::cgroup,
        network::congestion_control,
        network::pacing,
        network::receive_buffer,
        network::send_buffer,
        network::local_ports,
        network::time_wait_reuse,
        network::optmem,
        granted::tcp_info,
        granted::zerocopy,
        granted::io_uring,
        granted::open_files,
        granted::locked_memory,
        granted::routes,
        granted::offloads,
    ];
    checks.iter().map(|check| check(&machine)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check `name` on a machine made of these files.
    #[track_caller]
    pub(super) fn on(name: &str, files: &[(&str, &str)]) -> DoctorCheck {
        let tree = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = tree.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        named(name, &examine(&Roots::below(tree.path())))
    }

    #[track_caller]
    pub(super) fn named(name: &str, checks: &[DoctorCheck]) -> DoctorCheck {
        checks.iter().find(|check| check.name == name).expect("a check of this name").clone()
    }

    #[test]
    fn every_check_answers_once_and_every_doubt_has_a_remedy() {
        let empty = tempfile::tempdir().unwrap();
        for roots in [Roots::default(), Roots::below(empty.path())] {
            let checks = examine(&roots);
            let names: std::collections::BTreeSet<_> = checks.iter().map(|c| c.name).collect();
            assert_eq!(names.len(), checks.len());
            for check in checks {
                assert!(!check.finding.is_empty(), "{check:?}");
                let doubtful = matches!(check.status, CheckStatus::Warn | CheckStatus::Fail);
                assert_eq!(doubtful, check.remedy.is_some(), "{check:?}");
            }
        }
    }

    #[test]
    fn nothing_is_ok_that_could_not_be_read() {
        for name in ["proc_stat", "softnet_stat", "softirqs", "cgroup"] {
            assert_eq!(on(name, &[]).status, CheckStatus::Fail, "{name}");
        }
        for name in ["governor", "steal", "congestion_control", "receive_buffer", "local_ports"] {
            assert_eq!(on(name, &[]).status, CheckStatus::Unknown, "{name}");
        }
    }
}
