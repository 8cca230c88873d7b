//! Where workers can be placed: the CPUs this process may use, and which of them share what.
//!
//! Enters: the affinity mask (which never leaves the cpuset) and sysfs. Leaves: CPUs with their
//! NUMA node, package and core, and the order in which to fill them.

use std::collections::BTreeMap;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use crate::metrics::roots::Roots;
use crate::metrics::source::{cpu_list, number};

/// One CPU that may be used. A place that sysfs does not show is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuLocation {
    /// Its number.
    pub id: u32,
    /// NUMA node.
    pub node: Option<u32>,
    /// Socket.
    pub package: Option<u32>,
    /// Physical core: the lowest number of the CPUs that share it, unique on the machine.
    pub core: Option<u32>,
}

/// The CPUs this process may use, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// Ascending by id; empty when the affinity mask cannot be read.
    pub cpus: Vec<CpuLocation>,
}

impl Topology {
    /// The CPUs that the calling thread may use.
    #[must_use]
    pub fn read(roots: &Roots) -> Self {
        Self::of(roots, &allowed_cpus().unwrap_or_default())
    }

    /// These CPUs, with what sysfs shows of them.
    #[must_use]
    pub fn of(roots: &Roots, ids: &[u32]) -> Self {
        let nodes = nodes(roots);
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let place = |id| {
            let topology = roots.cpu(id).join("topology");
            // core_id is unique within a package only; the list of siblings is on the machine.
            let siblings = cpu_list(&topology.join("thread_siblings_list"));
            CpuLocation {
                id,
                node: nodes.get(&id).copied(),
                package: number(&topology.join("physical_package_id")).ok(),
                core: siblings.ok().and_then(|siblings| siblings.into_iter().min()),
            }
        };
        Self { cpus: ids.into_iter().map(place).collect() }
    }

    /// The order in which to fill the CPUs: those of `preferred_node` first; on each side one CPU
    /// of every physical core before a second one; else by id. Every CPU comes once.
    #[must_use]
    pub fn order(&self, preferred_node: Option<u32>) -> Vec<u32> {
        let mut taken = BTreeMap::<u32, u32>::new();
        let mut ranked: Vec<_> = self
            .cpus
            .iter()
            .map(|cpu| {
                let elsewhere = preferred_node.is_some() && cpu.node != preferred_node;
                let sibling = cpu.core.map_or(0, |core| {
                    let count = taken.entry(core).or_default();
                    *count += 1;
                    *count - 1
                });
                (elsewhere, sibling, cpu.id)
            })
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, _, id)| id).collect()
    }
}

/// CPUs the calling thread may run on (sched_getaffinity(2)), ascending.
///
/// # Errors
/// In words, when the system does not tell.
pub fn allowed_cpus() -> Result<Vec<u32>, String> {
    allowed_cpus_of(Pid::from_raw(0))
}

/// The same of any thread, by its id.
///
/// # Errors
/// In words, when the system does not tell.
pub fn allowed_cpus_of(thread: Pid) -> Result<Vec<u32>, String> {
    let set = sched_getaffinity(thread).map_err(|errno| format!("sched_getaffinity: {errno}"))?;
    let allowed = (0..CpuSet::count()).filter(|&id| set.is_set(id).unwrap_or(false));
    Ok(allowed.filter_map(|id| u32::try_from(id).ok()).collect())
}

/// The NUMA node of each CPU.
fn nodes(roots: &Roots) -> BTreeMap<u32, u32> {
    let base = roots.sys.join("devices/system/node");
    let mut nodes = BTreeMap::new();
    for node in cpu_list(&base.join("online")).unwrap_or_default() {
        let cpus = cpu_list(&base.join(format!("node{node}/cpulist"))).unwrap_or_default();
        nodes.extend(cpus.into_iter().map(|cpu| (cpu, node)));
    }
    nodes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two nodes of two cores of two threads: siblings are n and n + 4; node 0 has 0, 1, 4, 5.
    fn two_nodes() -> Roots {
        Roots::fixture("sys-2node-smt")
    }

    #[test]
    fn node_package_and_core_come_from_sysfs() {
        let topology = Topology::of(&two_nodes(), &[6, 1]);
        let at = |id, node, package, core| CpuLocation {
            id,
            node: Some(node),
            package: Some(package),
            core: Some(core),
        };
        assert_eq!(topology.cpus, [at(1, 0, 0, 1), at(6, 1, 1, 2)]);
    }

    #[test]
    fn the_preferred_node_then_cores_then_siblings() {
        let all = Topology::of(&two_nodes(), &[0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(all.order(Some(1)), [2, 3, 6, 7, 0, 1, 4, 5]);
        assert_eq!(all.order(None), [0, 1, 2, 3, 4, 5, 6, 7]);
        // With CPU 0 not allowed, its sibling 4 stands for the core.
        let some = Topology::of(&two_nodes(), &[1, 4, 5, 6]);
        assert_eq!(some.order(Some(0)), [1, 4, 5, 6]);
        assert_eq!(some.order(Some(1)), [6, 1, 4, 5]);
    }

    #[test]
    fn without_sysfs_the_order_is_by_id() {
        let empty = tempfile::tempdir().unwrap();
        let topology = Topology::of(&Roots::below(empty.path()), &[3, 1, 2, 2]);
        assert_eq!(topology.order(Some(0)), [1, 2, 3]);
        assert_eq!(topology.cpus[0], CpuLocation { id: 1, ..CpuLocation::default() });
    }

    #[test]
    fn this_thread_may_run_somewhere() {
        assert!(!Topology::read(&Roots::default()).cpus.is_empty());
    }

    proptest! {
        #[test]
        fn order_is_a_permutation_that_keeps_its_promises(
            places in proptest::collection::vec((0_u32..3, 0_u32..8), 0..24),
            preferred in proptest::option::of(0_u32..4),
        ) {
            let cpu = |(id, (node, core)): (usize, (u32, u32))| CpuLocation {
                id: u32::try_from(id).unwrap(),
                node: Some(node),
                package: None,
                core: Some(node * 100 + core), // a core lies within one node
            };
            let cpus: Vec<CpuLocation> = places.into_iter().enumerate().map(cpu).collect();
            let order = Topology { cpus: cpus.clone() }.order(preferred);

            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, cpus.iter().map(|cpu| cpu.id).collect::<Vec<_>>());

            let ordered: Vec<&CpuLocation> = order.iter().map(|id| &cpus[*id as usize]).collect();
            if preferred.is_some() {
                prop_assert!(ordered.is_sorted_by_key(|cpu| cpu.node != preferred));
            }
            // No second CPU of a core stands before a first one on its side.
            for side in ordered.chunk_by(|a, b| {
                preferred.is_none() || (a.node == preferred) == (b.node == preferred)
            }) {
                let mut cores = std::collections::BTreeSet::new();
                let first: Vec<bool> = side.iter().map(|cpu| cores.insert(cpu.core)).collect();
                prop_assert!(first.is_sorted_by_key(|first| !first));
            }
        }
    }
}
