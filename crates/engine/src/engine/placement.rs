//! How many workers one end has, which flows are whose, and on which CPU each runs.

use std::ops::Range;

use crate::workload::WorkerFlows;
use podperf_model::plan::workers::flow_groups;
use podperf_model::plan::{EndPlan, Pin, Plan, Role};

/// Splits the flows of one end among its workers. `cpus` is how many CPUs the process may use.
/// Flows of one role are neighbours, and no worker has two roles. `alone`: each flow needs a worker
/// of its own, whatever was asked for.
#[must_use]
pub fn assign(plan: &Plan, end: Role, cpus: usize, alone: bool) -> Vec<WorkerFlows> {
    let mut assigned = Vec::new();
    for group in flow_groups(plan, end, cpus, alone) {
        let (role, pieces) = (group.role, split(&group.flows, group.workers));
        assigned.extend(pieces.map(|ids| WorkerFlows { role, ids: ids.collect() }));
    }
    assigned
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

/// Gives flows to the workers that are pinned to the CPU their packets come in on: `pinned` by
/// worker, `incoming` by flow. A worker keeps its role and as many flows as it had, so the flows
/// stay spread evenly; those that no such worker has room for fill what is left, in order.
///
/// Returns how many flows went to the CPU of their packets; nothing, and nothing is changed, when
/// not all workers are pinned or the CPU of no flow is known.
pub fn steer(
    assigned: &mut [WorkerFlows],
    pinned: &[Option<u32>],
    incoming: &[Option<u32>],
) -> Option<u32> {
    let pinned: Option<Vec<u32>> = pinned.iter().copied().collect();
    let pinned = pinned.filter(|_| incoming.iter().any(Option::is_some))?;
    let (mut steered, mut roles) = (0, Vec::new());
    for worker in assigned.iter() {
        if !roles.contains(&worker.role) {
            roles.push(worker.role);
        }
    }
    for role in roles {
        let mut workers: Vec<(&mut WorkerFlows, u32)> =
            assigned.iter_mut().zip(pinned.iter().copied()).collect();
        workers.retain(|(worker, _)| worker.role == role);
        let sizes: Vec<usize> = workers.iter().map(|(worker, _)| worker.ids.len()).collect();
        let flows: Vec<usize> =
            workers.iter_mut().flat_map(|(worker, _)| worker.ids.drain(..)).collect();
        let mut rest = Vec::new();
        for flow in flows {
            let cpu = incoming.get(flow).copied().flatten();
            let mut open = workers.iter_mut().zip(&sizes);
            let local =
                open.find(|((worker, own), size)| Some(*own) == cpu && worker.ids.len() < **size);
            match local {
                Some(((worker, _), _)) => {
                    worker.ids.push(flow);
                    steered += 1;
                }
                None => rest.push(flow),
            }
        }
        let mut rest = rest.into_iter();
        for ((worker, _), size) in workers.iter_mut().zip(sizes) {
            let missing = size - worker.ids.len();
            worker.ids.extend(rest.by_ref().take(missing));
            worker.ids.sort_unstable();
        }
    }
    Some(steered)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use podperf_model::plan::{
        Direction, FlowRole, ReceiveMethod, STALL_TIMEOUT, SendMethod, SocketPlan, StopCondition,
        StreamPlan, Workload,
    };
    use podperf_model::units::Bytes;

    fn stream(flows: u32, direction: Direction, workers: Option<u32>) -> Plan {
        let end = EndPlan { workers, ..EndPlan::default() };
        Plan {
            workload: Workload::Stream(StreamPlan {
                direction,
                message_bytes: Bytes(1),
                send: SendMethod::Write,
                receive: ReceiveMethod::Read,
            }),
            stop_condition: StopCondition::Time { window: Duration::from_secs(1) },
            strict: false,
            pacing: None,
            warm_up: Duration::ZERO,
            interval: Duration::from_secs(1),
            stall_timeout: STALL_TIMEOUT,
            flows,
            client: end.clone(),
            server: end,
            socket: SocketPlan::default(),
        }
    }

    fn ranges(plan: &Plan, cpus: usize) -> Vec<Vec<usize>> {
        assign(plan, Role::Client, cpus, false).into_iter().map(|worker| worker.ids).collect()
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
    fn flows_that_must_be_alone_are() {
        let plan = stream(64, Direction::Up, Some(2));
        let assigned = assign(&plan, Role::Client, 2, true);
        assert_eq!(assigned.len(), 64);
        assert!(assigned.iter().enumerate().all(|(id, worker)| worker.ids == [id]));
    }

    #[test]
    fn no_worker_has_two_roles() {
        let assigned = assign(&stream(2, Direction::Both, Some(2)), Role::Client, 8, false);
        assert_eq!(
            assigned,
            [
                WorkerFlows { role: FlowRole::Send, ids: vec![0, 1] },
                WorkerFlows { role: FlowRole::Receive, ids: vec![2, 3] }
            ]
        );
    }

    #[test]
    fn more_workers_than_flows_are_not_made() {
        assert_eq!(ranges(&stream(2, Direction::Down, Some(9)), 8), [[0], [1]]);
    }

    fn steered(
        plan: &Plan,
        cpus: usize,
        pinned: &[u32],
        incoming: &[u32],
    ) -> (Option<u32>, Vec<Vec<usize>>) {
        let mut assigned = assign(plan, Role::Server, cpus, false);
        let pinned: Vec<_> = pinned.iter().copied().map(Some).collect();
        let incoming: Vec<_> = incoming.iter().copied().map(Some).collect();
        let count = steer(&mut assigned, &pinned, &incoming);
        (count, assigned.into_iter().map(|worker| worker.ids).collect())
    }

    #[test]
    fn flows_go_to_the_worker_on_the_cpu_of_their_packets() {
        let plan = stream(4, Direction::Up, Some(2));
        assert_eq!(
            steered(&plan, 2, &[4, 5], &[5, 4, 5, 4]),
            (Some(4), vec![vec![1, 3], vec![0, 2]])
        );
        // One queue for all: the flows stay spread, and it is said how many have their own CPU.
        assert_eq!(
            steered(&plan, 2, &[4, 5], &[5, 5, 5, 5]),
            (Some(2), vec![vec![2, 3], vec![0, 1]])
        );
        // A CPU without a worker.
        assert_eq!(
            steered(&plan, 2, &[4, 5], &[9, 9, 9, 9]),
            (Some(0), vec![vec![0, 1], vec![2, 3]])
        );
        // Several workers on one CPU share what comes in there.
        let plan = stream(4, Direction::Up, Some(4));
        assert_eq!(
            steered(&plan, 4, &[4, 5, 4, 5], &[4, 4, 5, 5]),
            (Some(4), vec![vec![0], vec![2], vec![1], vec![3]])
        );
    }

    #[test]
    fn steering_never_changes_the_role_of_a_flow_or_splits_unevenly() {
        let plan = stream(2, Direction::Both, Some(4));
        let (count, flows) = steered(&plan, 4, &[0, 1, 2, 3], &[3, 1, 1, 2]);
        assert_eq!((count, flows), (Some(2), vec![vec![0], vec![1], vec![3], vec![2]]));
    }

    #[test]
    fn without_pins_or_knowledge_nothing_moves() {
        let plan = stream(3, Direction::Up, Some(2));
        for (pinned, incoming) in [
            (vec![Some(0), None], vec![Some(1), Some(0), Some(0)]),
            (vec![Some(0), Some(1)], vec![None, None, None]),
            (vec![Some(0), Some(1)], vec![]),
        ] {
            let mut assigned = assign(&plan, Role::Server, 2, false);
            let before = assigned.clone();
            assert_eq!(steer(&mut assigned, &pinned, &incoming), None);
            assert_eq!(assigned, before);
        }
    }

    #[test]
    fn auto_leaves_a_shared_machine_to_the_scheduler() {
        let end = EndPlan::default();
        assert_eq!(pin(&end, 2, &[4, 5], true).cpus, [None, None]);
        assert_eq!(pin(&end, 3, &[4, 5], false).cpus, [Some(4), Some(5), Some(4)]);
    }
}
