//! A plan as it comes from a peer: rules, memory, workers, placement.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::Unstructured;
use podperf_engine::engine::placement::{assign, pin, steer};
use podperf_engine::workload::WorkerFlows;
use podperf_model::error::Kind;
use podperf_model::latency::HISTOGRAM_BYTES;
use podperf_model::memory_budget::MemoryBudget;
use podperf_model::plan::limits::Limits;
use podperf_model::plan::memory::{MemoryConditions, memory_bytes};
use podperf_model::plan::udp::UdpRrPlan;
use podperf_model::plan::workers::flow_groups;
use podperf_model::plan::{CheckedPlan, FlowRole, LoadPlan, Plan, Role, SendMethod, Workload};
use podperf_model::result::testing::{crr_input, open_loop_input, rr_plan, stream_plan, udp_input};
use podperf_model::units::Bytes;
use serde_json::{Value, json};

use super::edited;
use super::text::assert_one_line;

/// A plan of each workload.
pub(super) fn bases() -> Vec<Value> {
    let rr = rr_plan();
    let mut loaded = rr.clone();
    if let (Workload::Rr(plan), Workload::Stream(stream)) =
        (&mut loaded.workload, stream_plan().workload)
    {
        plan.load = Some(LoadPlan { stream, streams: 4 });
    }
    let (request_bytes, response_bytes) = (Bytes(1), Bytes(1));
    let timeout = Duration::from_secs(1);
    let exchange = UdpRrPlan { request_bytes, response_bytes, timeout, fragment: false };
    let udp_rr = Plan { workload: exchange.into(), ..rr.clone() };
    let others = [open_loop_input(1e3).plan, crr_input().plan, udp_input().plan];
    [stream_plan(), rr, loaded, udp_rr].into_iter().chain(others).map(|plan| json!(plan)).collect()
}

static BASES: LazyLock<Vec<Value>> = LazyLock::new(bases);

/// Checks one plan under the usual limits and under narrow ones.
pub fn check(data: &[u8]) {
    let Some(json) = edited::json(data, &BASES) else { return };
    let Ok(plan) = serde_json::from_str::<Plan>(&json) else { return };
    let narrow = Limits { connections: 8, message: Bytes(4096), workers: 2, ..Limits::default() };
    for limits in [Limits::default(), narrow] {
        match CheckedPlan::new(plan.clone(), &limits) {
            Ok(checked) => check_accepted(&checked, &limits, data),
            Err(refusal) => {
                assert_eq!(refusal.kind, Kind::Usage, "{refusal}");
                assert_one_line(&refusal.to_string(), "a refusal");
            }
        }
    }
}

fn check_accepted(plan: &CheckedPlan, limits: &Limits, data: &[u8]) {
    let connections = plan.connections();
    assert!((1..=limits.connections).contains(&connections), "{connections} connections");
    let written = serde_json::to_string(&**plan).expect("a plan can be written");
    let again: Plan = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(again, **plan, "a plan that went over the wire");
    for (end, cpus, alone) in
        [(Role::Client, 1, false), (Role::Server, 2, true), (Role::Server, 64, false)]
    {
        check_memory(plan, end, cpus, alone);
        check_placement(plan, end, cpus, alone, data);
    }
}

/// What a plan takes is no less than what its workers allocate at the least, and a budget that
/// accepts it has as much.
fn check_memory(plan: &Plan, end: Role, cpus: usize, alone: bool) {
    let conditions = MemoryConditions {
        cpus,
        alone,
        times_calls: alone,
        max_socket_buffer_bytes: (cpus > 1).then_some(4 << 20),
    };
    let bytes = memory_bytes(plan, end, &conditions);
    let workers = |role| {
        let groups = flow_groups(plan, end, cpus, alone);
        groups.iter().filter(|group| group.role == role).map(|group| group.workers as u64).sum()
    };
    let (senders, requesters): (u64, u64) = (workers(FlowRole::Send), workers(FlowRole::Request));
    let message = plan.streams().map_or(0, |stream| stream.message_bytes.0);
    let sends = plan.streams().is_some_and(|stream| stream.send != SendMethod::Auto);
    assert!(bytes >= requesters * HISTOGRAM_BYTES, "{bytes} with {requesters} histograms");
    assert!(!sends || bytes >= senders * message, "{bytes} with {senders} buffers of {message}");
    let budget = MemoryBudget::asked(1 << 30, "--max-memory").shared();
    match budget.check(bytes, 256 << 20, "raise it") {
        Ok(()) => assert!(bytes <= 512 << 20, "{bytes} of 512 MiB"),
        Err(refusal) => assert_one_line(&refusal.to_string(), "a refusal"),
    }
}

/// Every flow has one worker of its role, wherever workers are pinned and packets come in.
fn check_placement(plan: &Plan, end: Role, cpus: usize, alone: bool, data: &[u8]) {
    let mut assigned = assign(plan, end, cpus, alone);
    assert_whole(plan, end, &assigned);
    let sizes = |assigned: &[WorkerFlows]| -> Vec<usize> {
        assigned.iter().map(|worker| worker.ids.len()).collect()
    };
    let before = sizes(&assigned);
    assert!(before.iter().all(|size| *size > 0), "a worker without a flow");
    let mut input = Unstructured::new(data);
    let mut numbers = |count: usize| -> Vec<Option<u32>> {
        let number = |_| input.arbitrary::<u8>().ok().filter(|cpu| *cpu < 200);
        (0..count).map(number).map(|cpu| cpu.map(|cpu| u32::from(cpu % 8))).collect()
    };
    let ordered: Vec<u32> = (0..u32::try_from(cpus).unwrap_or(1)).collect();
    let pinned = pin(plan.end(end), assigned.len(), &ordered, alone).cpus;
    assert_eq!(pinned.len(), assigned.len(), "a place for each worker");
    let incoming = numbers(plan.connections().min(64) as usize);
    let steered = steer(&mut assigned, &pinned, &incoming);
    assert!(steered.is_none_or(|count| count <= plan.connections()), "{steered:?} flows steered");
    assert_whole(plan, end, &assigned);
    assert_eq!(sizes(&assigned), before, "as many flows as before");
}

fn assert_whole(plan: &Plan, end: Role, assigned: &[WorkerFlows]) {
    let mut seen = BTreeSet::new();
    for worker in assigned {
        for &id in &worker.ids {
            assert!(seen.insert(id), "flow {id} has two workers");
            let role = plan.flow_role(end, u32::try_from(id).unwrap_or(u32::MAX));
            assert_eq!(role, worker.role, "the role of flow {id}");
        }
    }
    assert_eq!(seen.len(), plan.connections() as usize, "flows with a worker");
}
