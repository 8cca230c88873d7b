//! The CPUs that an end may use, and whether these were changed while it measured: by a cpuset that
//! shrinks, or by taskset(1).

use serde::{Deserialize, Serialize};

use crate::plan::cpu_list;
use crate::reading::{HostCounters, Reading};

/// The code of the warning.
pub const CODE: &str = "cpus_changed";
/// What to do about it.
pub const REMEDY: &str = "leave the cpuset and the affinity of the processes alone during a \
                          measurement (in a cluster: whole CPUs from the static CPU manager)";

/// CPUs that one end may use, ascending, before and after a change. Either may be absent: there was
/// none, or it is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllowedCpusChange {
    /// Of its process, as seen by the thread that takes the readings.
    pub process: Option<[Vec<u32>; 2]>,
    /// Of its workers together.
    pub workers: Option<[Vec<u32>; 2]>,
}

impl AllowedCpusChange {
    /// What was changed between the first of some readings and the others. `pinned`: the CPUs that
    /// the workers were pinned to before, where all of them were.
    #[must_use]
    pub fn of(readings: &[Reading], pinned: Option<Vec<u32>>) -> Option<Self> {
        let host = || readings.iter().map(|reading| &reading.host);
        let process = change(None, host(), |host| host.cpus_allowed.as_ref());
        let workers = change(pinned, host(), |host| host.worker_cpus_allowed.as_ref());
        // Workers that are not pinned follow their process: told once.
        let workers = workers.filter(|workers| Some(workers) != process.as_ref());
        (process.is_some() || workers.is_some()).then_some(Self { process, workers })
    }

    /// In words, of an end.
    #[must_use]
    pub fn text(&self, end: &str) -> String {
        let part = |whose: &str, change: &Option<[Vec<u32>; 2]>| {
            let [before, after] = change.as_ref()?.each_ref().map(|cpus| cpu_list(cpus));
            Some(format!("{whose} {before} before, {after} after"))
        };
        let parts = [part("its process", &self.process), part("its workers", &self.workers)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        format!("{end}: the allowed CPUs were changed in mid-run: {}", parts.join("; "))
    }
}

/// The first difference to `before`, or to the first that is known.
fn change<'a>(
    before: Option<Vec<u32>>,
    all: impl Iterator<Item = &'a HostCounters>,
    cpus: fn(&HostCounters) -> Option<&Vec<u32>>,
) -> Option<[Vec<u32>; 2]> {
    let mut known = all.filter_map(cpus);
    let before = before.or_else(|| known.next().cloned())?;
    let after = known.find(|after| **after != before)?.clone();
    Some([before, after])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(process: &[u32], workers: Option<&[u32]>) -> Reading {
        let host = HostCounters {
            cpus_allowed: Some(process.to_vec()),
            worker_cpus_allowed: workers.map(<[u32]>::to_vec),
            ..HostCounters::default()
        };
        Reading { host, ..Reading::default() }
    }

    fn told(readings: &[Reading], pinned: Option<&[u32]>) -> Option<String> {
        let change = AllowedCpusChange::of(readings, pinned.map(<[u32]>::to_vec))?;
        Some(change.text("client"))
    }

    const HEAD: &str = "client: the allowed CPUs were changed in mid-run: ";

    #[test]
    fn what_stays_or_is_not_known_is_no_change() {
        let same = reading(&[0, 1], Some(&[0, 1]));
        assert_eq!(told(&[same.clone(), same.clone()], None), None);
        // A worker that is gone, and a peer that tells nothing of it.
        assert_eq!(told(&[same.clone(), reading(&[0, 1], None)], None), None);
        assert_eq!(told(&[same, Reading::default()], None), None);
        assert_eq!(told(&[], Some(&[1])), None);
    }

    #[test]
    fn workers_that_follow_their_process_are_told_once() {
        let readings = [reading(&[0, 1, 3], Some(&[0, 1, 3])), reading(&[3], Some(&[3]))];
        let expected = format!("{HEAD}its process 0-1,3 before, 3 after");
        assert_eq!(told(&readings, None), Some(expected));
    }

    #[test]
    fn a_change_that_is_taken_back_is_one() {
        let all = reading(&[0, 1], None);
        let expected = format!("{HEAD}its process 0-1 before, 1 after");
        assert_eq!(told(&[all.clone(), reading(&[1], None), all], None), Some(expected));
    }

    #[test]
    fn a_worker_that_was_moved_before_the_window_is_told() {
        let moved = reading(&[0, 1], Some(&[0]));
        let expected = format!("{HEAD}its workers 1 before, 0 after");
        assert_eq!(told(&[moved.clone(), moved], Some(&[1])), Some(expected));
        let both = [reading(&[0, 1], Some(&[1])), reading(&[0], Some(&[0]))];
        let expected =
            format!("{HEAD}its process 0-1 before, 0 after; its workers 1 before, 0 after");
        assert_eq!(told(&both, None), Some(expected));
    }
}
