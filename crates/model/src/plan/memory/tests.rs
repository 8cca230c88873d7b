//! What a plan takes: the products that no cap of a single value sees, and sums that never wrap.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::plan::{Choice as _, Close, Direction, EndPlan, LoadPlan, STALL_TIMEOUT, SocketPlan};
use crate::units::Bytes;

const MIB_BYTES: u64 = 1 << 20;
const HERE: MemoryConditions =
    MemoryConditions { cpus: 2, alone: false, times_calls: false, max_socket_buffer_bytes: None };

fn plan(workload: impl Into<Workload>, flows: u32) -> Plan {
    Plan {
        workload: workload.into(),
        stop_condition: StopCondition::Time { window: Duration::from_secs(10) },
        strict: false,
        pacing: None,
        warm_up: Duration::from_secs(1),
        interval: Duration::from_secs(1),
        stall_timeout: STALL_TIMEOUT,
        flows,
        client: EndPlan::default(),
        server: EndPlan::default(),
        socket: SocketPlan::default(),
    }
}

fn stream(message: u64, send: SendMethod, receive: ReceiveMethod) -> StreamPlan {
    StreamPlan { direction: Direction::Up, message_bytes: Bytes(message), send, receive }
}

/// Whole MiB of both ends.
fn mib(plan: &Plan, conditions: &MemoryConditions) -> [u64; 2] {
    [Role::Client, Role::Server].map(|end| memory_bytes(plan, end, conditions) / MIB_BYTES)
}

#[test]
fn messages_are_counted_as_often_as_a_method_holds_them() {
    for (send, receive, expected) in [
        (SendMethod::Write, ReceiveMethod::Read, [64, 64]),
        (SendMethod::Zerocopy, ReceiveMethod::Trunc, [64, 0]),
        (SendMethod::Sendfile, ReceiveMethod::Mmap, [128, 128]),
        (SendMethod::Uring, ReceiveMethod::Uring, [128, 128]),
        (SendMethod::Splice, ReceiveMethod::Read, [65, 64]),
        (SendMethod::Auto, ReceiveMethod::Read, [193, 64]),
    ] {
        let needed = mib(&plan(stream(64 * MIB_BYTES, send, receive), 1), &HERE);
        for (needed, expected) in needed.into_iter().zip(expected) {
            assert!((expected..expected + 3).contains(&needed), "{send:?} {receive:?}: {needed}");
        }
    }
}

#[test]
fn every_worker_has_buffers_of_its_own() {
    let asked = |workers, flows| {
        let mut plan = plan(stream(64 * MIB_BYTES, SendMethod::Write, ReceiveMethod::Read), flows);
        plan.server.workers = workers;
        plan
    };
    let server = |plan: &Plan, conditions| mib(plan, conditions)[1] / 64;
    assert_eq!(server(&asked(None, 8), &HERE), 8);
    assert_eq!(server(&asked(Some(3), 8), &HERE), 3);
    // Past four flows a CPU, workers are as many as CPUs.
    assert_eq!(server(&asked(None, 9), &HERE), 2);
    assert_eq!(server(&asked(None, 9), &MemoryConditions { cpus: 3, ..HERE }), 9);
    assert_eq!(server(&asked(None, 16), &MemoryConditions { alone: true, ..HERE }), 16);
}

#[test]
fn socket_buffers_are_those_asked_for_as_far_as_the_kernel_grants_them() {
    let mut plan = plan(stream(1, SendMethod::Write, ReceiveMethod::Read), 1024);
    assert!((256..280).contains(&mib(&plan, &HERE)[1]), "{:?}", mib(&plan, &HERE));
    plan.socket.buffer_bytes = Some(Bytes(MIB_BYTES));
    assert!((1024..1050).contains(&mib(&plan, &HERE)[1]));
    let granted = MemoryConditions { max_socket_buffer_bytes: Some(MIB_BYTES / 4), ..HERE };
    assert!((256..280).contains(&mib(&plan, &granted)[1]));
}

#[test]
fn a_client_keeps_readings_and_histograms() {
    let mut often = plan(RrPlan { backend: Backend::Epoll, ..RrPlan::default() }, 64);
    let few = memory_bytes(&often, Role::Client, &HERE);
    often.interval = Duration::from_millis(10);
    let many = memory_bytes(&often, Role::Client, &HERE);
    assert!(many > few + 990 * 2 * 64 * FLOW_READING_BYTES, "{few} {many}");
    assert!(memory_bytes(&often, Role::Server, &HERE) < few);
    let bursts = RrPlan { burst: 4096, ..RrPlan::default() };
    let load = LoadPlan {
        streams: 1,
        stream: stream(64 * MIB_BYTES, SendMethod::Write, ReceiveMethod::Read),
    };
    let loaded = plan(RrPlan { load: Some(load), ..bursts.clone() }, 64);
    assert!(mib(&loaded, &HERE)[1] >= mib(&plan(bursts, 64), &HERE)[1] + 63);
}

#[test]
fn what_24_gib_ran_before_there_was_a_budget_fits_into_half_of_three_quarters() {
    let most = 24 * 1024 * 3 / 8;
    let both = StreamPlan {
        direction: Direction::Both,
        ..stream(1 << 17, SendMethod::Auto, ReceiveMethod::Read)
    };
    let crr = CrrPlan {
        request_bytes: Bytes(1),
        response_bytes: Bytes(MIB_BYTES),
        rate_per_second: Some(1.0),
        close: Close::Server,
    };
    let with_workers = |workers, plan| {
        let end = EndPlan { workers: Some(workers), ..EndPlan::default() };
        Plan { client: end.clone(), server: end, ..plan }
    };
    for plan in [
        plan(stream(16 << 10, SendMethod::Auto, ReceiveMethod::Read), 16_384),
        plan(both, 8192),
        with_workers(32, plan(stream(64 * MIB_BYTES, SendMethod::Auto, ReceiveMethod::Read), 32)),
        with_workers(64, plan(stream(64 * MIB_BYTES, SendMethod::Uring, ReceiveMethod::Uring), 64)),
        plan(RrPlan { burst: 4096, ..RrPlan::default() }, 16_384),
        plan(crr, 4096),
        with_workers(1024, plan(RrPlan::default(), 1024)),
    ] {
        let needed = mib(&plan, &HERE);
        assert!(needed.iter().all(|needed| *needed < most), "{needed:?} MiB: {:?}", plan.workload);
    }
}

/// A workload of each kind with any sizes.
fn workload(kind: u8, [first, second]: [u64; 2], burst: u32) -> Workload {
    let (request_bytes, response_bytes) = (Bytes(first), Bytes(second));
    let send = SendMethod::ALL[usize::from(kind) % SendMethod::ALL.len()];
    match kind % 5 {
        0 => stream(first, send, ReceiveMethod::Uring).into(),
        1 => stream(first, send, ReceiveMethod::Mmap).into(),
        2 => RrPlan { request_bytes, response_bytes, burst, ..RrPlan::default() }.into(),
        3 => CrrPlan { request_bytes, response_bytes, rate_per_second: None, close: Close::Rst }
            .into(),
        _ => UdpRrPlan { request_bytes, response_bytes, timeout: Duration::ZERO, fragment: true }
            .into(),
    }
}

proptest! {
    #[test]
    fn no_numbers_make_it_panic_or_wrap(
        sizes: [u64; 2],
        socket: u64,
        window_ns: u64,
        flows in 0_u32..2_000,
        workers: Option<u32>,
        burst: u32,
        kind: u8,
        cpus: usize,
        alone: bool,
    ) {
        let mut plan = plan(workload(kind, sizes, burst), flows);
        plan.server.workers = workers;
        plan.client.workers = workers;
        plan.socket.buffer_bytes = Some(Bytes(socket));
        plan.interval = Duration::from_nanos(socket);
        plan.stop_condition = StopCondition::Time { window: Duration::from_nanos(window_ns) };
        let conditions = MemoryConditions { cpus, alone, ..HERE };
        for end in [Role::Client, Role::Server] {
            prop_assert!(memory_bytes(&plan, end, &conditions) >= SESSION_BYTES);
        }
    }
}
