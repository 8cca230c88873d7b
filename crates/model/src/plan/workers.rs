//! How many workers serve the flows of a plan on one end.
//!
//! Enters: a plan, an end and the CPUs that it may use. Leaves: counts. Which worker runs where is
//! the engine's part.

use std::ops::Range;

use super::{FlowRole, Plan, Role};

/// Up to this many flows a CPU, each flow has a worker of its own; past it, workers are as many
/// as CPUs, because threads that wait for a CPU start late and take turns by the scheduler's clock.
const FLOWS_PER_CPU: usize = 4;

/// Neighbouring flows of one role, and the workers that share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowGroup {
    /// What the end does on each of them.
    pub role: FlowRole,
    /// Their ids.
    pub flows: Range<usize>,
    /// Number of workers, at least one and no more than flows.
    pub workers: usize,
}

/// Groups the flows of one end. `cpus` is how many CPUs the process may use. `alone`: each flow
/// needs a worker of its own, whatever was asked for.
#[must_use]
pub fn flow_groups(plan: &Plan, end: Role, cpus: usize, alone: bool) -> Vec<FlowGroup> {
    let mut groups: Vec<FlowGroup> = Vec::new();
    for id in 0..plan.connections() {
        let (role, flow) = (plan.flow_role(end, id), id as usize);
        match groups.last_mut() {
            Some(last) if last.role == role => last.flows.end = flow + 1,
            _ => groups.push(FlowGroup { role, flows: flow..flow + 1, workers: 1 }),
        }
    }
    let asked = plan.end(end).workers.map(|workers| workers as usize / groups.len().max(1));
    for group in &mut groups {
        let flows = group.flows.len();
        let workers = match asked {
            _ if alone => flows,
            Some(workers) => workers,
            None if flows <= FLOWS_PER_CPU.saturating_mul(cpus.max(1)) => flows,
            None => cpus,
        };
        group.workers = workers.clamp(1, flows);
    }
    groups
}
