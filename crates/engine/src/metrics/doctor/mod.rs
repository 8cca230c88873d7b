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

use serde::Serialize;

use crate::metrics::host::host_facts;
use crate::metrics::host_reader::HostReader;
use crate::metrics::roots::Roots;
use crate::metrics::source::FactResult;
use podperf_model::facts::HostFacts;
use podperf_model::reading::HostCounters;

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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

/// How a check stands, what was found, and the remedy of a doubt; or the reason why it is unknown.
type Answer = FactResult<(CheckStatus, String, Option<String>)>;

fn ok(finding: impl Into<String>) -> Answer {
    Ok((CheckStatus::Ok, finding.into(), None))
}

fn warn(finding: impl Into<String>, remedy: impl Into<String>) -> Answer {
    Ok((CheckStatus::Warn, finding.into(), Some(remedy.into())))
}

fn fail(finding: impl Into<String>, remedy: impl Into<String>) -> Answer {
    Ok((CheckStatus::Fail, finding.into(), Some(remedy.into())))
}

fn ok_if(fine: bool, finding: String, remedy: &str) -> Answer {
    if fine { ok(finding) } else { warn(finding, remedy) }
}

/// What the checks look at, read once.
struct DoctorInput<'r> {
    roots: &'r Roots,
    facts: HostFacts,
    counters: HostCounters,
    unknown_counters: BTreeMap<String, String>,
}

impl DoctorInput<'_> {
    /// A fact, or why it is absent.
    fn fact<'a, T>(&self, name: &str, fact: &'a Option<T>) -> FactResult<&'a T> {
        fact.as_ref().ok_or_else(|| reason_for(&self.facts.unknown, name))
    }

    /// A counter, or why it is absent.
    fn counter<'a, T>(&self, name: &str, counter: &'a Option<T>) -> FactResult<&'a T> {
        counter.as_ref().ok_or_else(|| reason_for(&self.unknown_counters, name))
    }
}

fn reason_for(unknown: &BTreeMap<String, String>, name: &str) -> String {
    unknown.get(name).cloned().unwrap_or_else(|| "not told".to_owned())
}

/// A check's name and what carries it out.
type NamedCheck = (&'static str, fn(&DoctorInput<'_>) -> Answer);

/// Every check, in the order of the result's parts.
const CHECKS: [NamedCheck; 30] = [
    ("cpus", processors::cpus),
    ("pinning", processors::pinning),
    ("cpu_quota", processors::cpu_quota),
    ("smt", processors::smt),
    ("numa", processors::numa),
    ("governor", processors::governor),
    ("clock", processors::clock),
    ("steal", processors::steal),
    ("container", sources::container),
    ("proc_filtered", sources::proc_filtered),
    ("proc_stat", sources::proc_stat),
    ("irq_time_accounting", sources::irq_time_accounting),
    ("softnet_stat", sources::softnet_stat),
    ("softnet_drops", sources::softnet_drops),
    ("softirqs", sources::softirqs),
    ("cgroup", sources::cgroup),
    ("congestion_control", network::congestion_control),
    ("pacing", network::pacing),
    ("receive_buffer", network::receive_buffer),
    ("send_buffer", network::send_buffer),
    ("local_ports", network::local_ports),
    ("time_wait_reuse", network::time_wait_reuse),
    ("optmem", network::optmem),
    ("tcp_info", granted::tcp_info),
    ("zerocopy", granted::zerocopy),
    ("io_uring", granted::io_uring),
    ("open_files", granted::open_files),
    ("locked_memory", granted::locked_memory),
    ("routes", granted::routes),
    ("offloads", granted::offloads),
];

/// Asks every check. Takes some tens of milliseconds.
#[must_use]
pub fn examine(roots: &Roots) -> Vec<DoctorCheck> {
    let mut reader = HostReader::open(roots);
    let counters = reader.read();
    let facts = host_facts(roots, None, None);
    let machine =
        DoctorInput { roots, facts, counters, unknown_counters: reader.unknown().clone() };
    let examined = |(name, check): NamedCheck| {
        let (status, finding, remedy) =
            check(&machine).unwrap_or_else(|reason| (CheckStatus::Unknown, reason, None));
        DoctorCheck { name, status, finding, remedy }
    };
    CHECKS.map(examined).to_vec()
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
