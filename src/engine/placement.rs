//! How many workers one end has, which flows are whose, and on which CPU each runs.

use std::ops::Range;

use crate::plan::{EndPlan, Part, Pin, Plan, Role};
use crate::workload::Share;

/// Up to this many flows a CPU, each flow has a worker of its own; past it, workers are as many
/// as CPUs, because threads that wait for a CPU start late and take turns by the scheduler's clock.
const FLOWS_PER_CPU: usize = 4;

/// Splits the flows of `role` among its workers. `cpus` is how many CPUs the process may use.
/// Flows that play the same part are neighbours, and no worker plays two parts.
#[must_use]
pub fn shares(plan: &Plan, role: Role, cpus: usize) -> Vec<Share> {
    let parts = parts(plan, role);
    let asked = plan.end(role).workers.map(|workers| workers as usize);
    let mut shares = Vec::new();
    for (part, flows) in &parts {
        let workers = match asked {
            Some(workers) => (workers / parts.len()).max(1),
            None if flows.len() <= FLOWS_PER_CPU * cpus.max(1) => flows.len(),
            None => cpus.max(1),
        };
        shares.extend(
            split(flows, workers).map(|flows| Share { part: *part, flows: flows.collect() }),
        );
    }
    shares
}

/// The runs of neighbouring flows that play one part.
fn parts(plan: &Plan, role: Role) -> Vec<(Part, Range<usize>)> {
    let mut parts: Vec<(Part, Range<usize>)> = Vec::new();
    for id in 0..plan.connections() {
        let (part, flow) = (plan.part(role, id), id as usize);
        match parts.last_mut() {
            Some((last, flows)) if *last == part => flows.end = flow + 1,
            _ => parts.push((part, flow..flow + 1)),
        }
    }
    parts
}

/// Cuts `flows` into at most `pieces` pieces whose lengths differ by one at the most.
fn split(flows: &Range<usize>, pieces: usize) -> impl Iterator<Item = Range<usize>> {
    let (start, length) = (flows.start, flows.len());
    let pieces = pieces.clamp(1, length.max(1));
    let edge = move |piece: usize| start + length * piece / pieces;
    (0..pieces).map(move |piece| edge(piece)..edge(piece + 1))
}

/// Where each worker runs, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinning {
    /// One entry a worker; absent: left to the scheduler.
    pub cpus: Vec<Option<u32>>,
    /// In words, for the result.
    pub reason: String,
}

/// Assigns CPUs to `workers` workers. `ordered` is what the process may use, best first;
/// `same_machine` says that both ends share it.
#[must_use]
pub fn pin(plan: &EndPlan, workers: usize, ordered: &[u32], same_machine: bool) -> Pinning {
    let (list, reason): (&[u32], String) = match &plan.pin {
        Pin::None => (&[], "left to the scheduler, as asked".into()),
        Pin::List(cpus) => (cpus, "pinned to the CPUs asked for".into()),
        Pin::Auto if same_machine => {
            (&[], "left to the scheduler: both ends are on one machine".into())
        }
        Pin::Auto if ordered.is_empty() => {
            (&[], "left to the scheduler: the allowed CPUs could not be read".into())
        }
        Pin::Auto => {
            let text = "pinned within the allowed CPUs, NIC's NUMA node and physical cores first";
            (ordered, text.into())
        }
    };
    let mut turn = list.iter().copied().cycle();
    Pinning { cpus: (0..workers).map(|_| turn.next()).collect(), reason }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::{
        Direction, Extent, ReceiveMethod, SendMethod, SocketPlan, StreamPlan, Workload,
    };
    use crate::units::Bytes;

    fn stream(flows: u32, direction: Direction, workers: Option<u32>) -> Plan {
        let end = EndPlan { workers, pin: Pin::Auto };
        Plan {
            workload: Workload::Stream(StreamPlan {
                direction,
                message_bytes: Bytes(1),
                send: SendMethod::Write,
                receive: ReceiveMethod::Read,
            }),
            extent: Extent::Time { window: Duration::from_secs(1) },
            warm_up: Duration::ZERO,
            interval: Duration::from_secs(1),
            flows,
            client: end.clone(),
            server: end,
            socket: SocketPlan::default(),
        }
    }

    fn ranges(plan: &Plan, cpus: usize) -> Vec<Vec<usize>> {
        shares(plan, Role::Client, cpus).into_iter().map(|share| share.flows).collect()
    }

    #[test]
    fn few_flows_have_a_worker_each_and_many_share_one_a_cpu() {
        assert_eq!(ranges(&stream(3, Direction::Up, None), 2), [[0], [1], [2]]);
        assert_eq!(
            ranges(&stream(64, Direction::Up, None), 2),
            [(0..32).collect::<Vec<_>>(), (32..64).collect()]
        );
    }

    #[test]
    fn no_worker_plays_two_parts() {
        let shares = shares(&stream(2, Direction::Both, Some(2)), Role::Client, 8);
        assert_eq!(
            shares,
            [
                Share { part: Part::Send, flows: vec![0, 1] },
                Share { part: Part::Receive, flows: vec![2, 3] }
            ]
        );
    }

    #[test]
    fn more_workers_than_flows_are_not_made() {
        assert_eq!(ranges(&stream(2, Direction::Down, Some(9)), 8), [[0], [1]]);
    }

    #[test]
    fn auto_leaves_a_shared_machine_to_the_scheduler() {
        let end = EndPlan::default();
        assert_eq!(pin(&end, 2, &[4, 5], true).cpus, [None, None]);
        assert_eq!(pin(&end, 3, &[4, 5], false).cpus, [Some(4), Some(5), Some(4)]);
    }
}
