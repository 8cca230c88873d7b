//! How much memory this process may use: the smallest limit that holds for it.
//!
//! Enters: the cgroup's files, getrlimit(2), /proc/meminfo, net.core. Leaves: a budget that names
//! its origin, and what this machine adds to what a plan takes.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use crate::metrics::roots::Roots;
use crate::metrics::source::number;
use crate::metrics::topology::allowed_cpus;
use crate::metrics::{cgroup, kernel};
use podperf_model::memory_budget::MemoryBudget;
use podperf_model::plan::memory::MemoryConditions;

/// The budget of this process: of its limits the smallest counts.
#[must_use]
pub fn memory_budget(roots: &Roots) -> MemoryBudget {
    let cgroup = cgroup::memory_limit(roots);
    let cgroup = cgroup.map(|bytes| (bytes, "the memory limit of its cgroup".to_owned()));
    let address_space = address_space_limit();
    let address_space =
        address_space.map(|bytes| (bytes, "the limit on address space (ulimit -v)".to_owned()));
    let machine = kernel::memory_bytes(roots).ok();
    let machine = machine.map(|bytes| (bytes, "the machine's memory".to_owned()));
    MemoryBudget::within([cgroup, address_space, machine].into_iter().flatten())
}

/// RLIMIT_AS in bytes; absent: none.
#[must_use]
pub fn address_space_limit() -> Option<u64> {
    let (limit, _) = getrlimit(Resource::RLIMIT_AS).ok()?;
    (limit != RLIM_INFINITY).then_some(limit)
}

/// What a plan takes here depends on, beside the plan, for a run with nothing unusual.
#[must_use]
pub fn memory_conditions(roots: &Roots) -> MemoryConditions {
    let max = |name| number::<u64>(&roots.sysctl(format!("net/core/{name}"))).ok();
    // One that cannot be read may be larger.
    let max_socket_buffer_bytes = max("rmem_max").zip(max("wmem_max")).map(|(r, w)| r.max(w));
    MemoryConditions {
        cpus: allowed_cpus().map_or(1, |cpus| cpus.len()),
        alone: false,
        times_calls: false,
        max_socket_buffer_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_a_cgroup_above_is_the_budget_of_those_below() {
        let budget = memory_budget(&Roots::fixture("cgroup-v2")).to_string();
        let expected = "768 MiB (75 % of the memory limit of its cgroup, 1024 MiB)";
        assert!(budget.contains(expected), "{budget}");
    }

    #[test]
    fn this_machine_has_a_budget_and_cpus() {
        let roots = Roots::default();
        assert!(memory_budget(&roots).check(1 << 20, 0, "").is_ok());
        assert!(memory_budget(&roots).check(1 << 60, 0, "").is_err());
        assert!(memory_conditions(&roots).cpus > 0);
    }
}
