//! Every rule about plans: the last value it accepts, and the words with which it refuses.

mod udp;

use std::time::Duration;

use podperf_model::plan::limits::Limits;
use podperf_model::plan::{
    CheckedPlan, Close, CrrPlan, Direction, EndPlan, LoadPlan, Pin, Plan, ReceiveMethod, RrPlan,
    STALL_TIMEOUT, SendMethod, SocketPlan, StopCondition, StreamPlan, Wait, Workload,
};
use podperf_model::units::{BitRate, Bytes};
use proptest::prelude::*;

fn stream_plan() -> StreamPlan {
    StreamPlan {
        direction: Direction::Up,
        message_bytes: Bytes(128 << 10),
        send: SendMethod::Write,
        receive: ReceiveMethod::Read,
    }
}

/// So many streams each way.
fn load(streams: u32) -> Option<LoadPlan> {
    let stream = StreamPlan { direction: Direction::Both, ..stream_plan() };
    Some(LoadPlan { streams, stream })
}

fn plan(workload: Workload) -> Plan {
    Plan {
        workload,
        stop_condition: StopCondition::Time { window: Duration::from_secs(10) },
        strict: false,
        pacing: None,
        warm_up: Duration::from_secs(1),
        interval: Duration::from_secs(1),
        stall_timeout: STALL_TIMEOUT,
        flows: 4,
        client: EndPlan::default(),
        server: EndPlan::default(),
        socket: SocketPlan::default(),
    }
}

fn stream(change: impl FnOnce(&mut Plan)) -> Plan {
    let mut plan = plan(Workload::Stream(stream_plan()));
    change(&mut plan);
    plan
}

fn message(bytes: u64) -> Plan {
    plan(Workload::Stream(StreamPlan { message_bytes: Bytes(bytes), ..stream_plan() }))
}

fn mapped(bytes: u64) -> Plan {
    let message_bytes = Bytes(bytes);
    let receive = ReceiveMethod::Mmap;
    plan(Workload::Stream(StreamPlan { message_bytes, receive, ..stream_plan() }))
}

fn rr(change: impl FnOnce(&mut RrPlan)) -> Plan {
    let mut rr = RrPlan::default();
    change(&mut rr);
    plan(Workload::Rr(rr))
}

fn both(flows: u32) -> Plan {
    let workload = Workload::Stream(StreamPlan { direction: Direction::Both, ..stream_plan() });
    Plan { flows, ..plan(workload) }
}

fn window(seconds: u64) -> StopCondition {
    StopCondition::Time { window: Duration::from_secs(seconds) }
}

fn socket(change: impl FnOnce(&mut SocketPlan)) -> Plan {
    stream(|plan| change(&mut plan.socket))
}

fn pinned(cpus: Vec<u32>) -> EndPlan {
    EndPlan { pin: Pin::List(cpus), ..EndPlan::default() }
}

fn workers(count: u32) -> EndPlan {
    EndPlan { workers: Some(count), ..EndPlan::default() }
}

const WEEK: u64 = 7 * 24 * 3600;

#[test]
fn a_plan_of_an_older_peer_leaves_the_backend_to_this_one() {
    let mut json = serde_json::to_value(RrPlan::default()).unwrap();
    json.as_object_mut().unwrap().remove("backend").expect("it is said");
    assert_eq!(serde_json::from_value::<RrPlan>(json).unwrap(), RrPlan::default());
}

#[test]
fn what_lies_at_the_edge_is_accepted() {
    let accepted = [
        stream(|plan| plan.flows = 1),
        stream(|plan| plan.flows = 16_384),
        both(8_192),
        message(1),
        message(64 << 20),
        with_interval(stream(|plan| plan.stop_condition = window(WEEK - 1)), 10_000),
        stream(|plan| plan.warm_up = Duration::ZERO),
        with_interval(stream(|plan| plan.stop_condition = window(1_000)), 10),
        stream(|plan| plan.stop_condition = StopCondition::Bytes { total_bytes: Bytes(4) }),
        stream(|plan| plan.client = workers(4)),
        stream(|plan| plan.server = pinned(vec![1023, 0])),
        rr(|rr| rr.load = load(8_190)),
        rr(|rr| rr.burst = 4_096),
        rr(|rr| rr.rate_per_second = Some(1e9)),
        rr(|rr| rr.request_bytes = Bytes(64 << 20)),
        Plan { stop_condition: StopCondition::Transactions { total: 4 }, ..rr(|_| {}) },
        socket(|socket| socket.congestion_control = Some("a-name_of_15_ch".into())),
        socket(|socket| socket.buffer_bytes = Some(Bytes((1 << 30) - 1))),
        socket(|socket| socket.mss_bytes = Some(88)),
        socket(|socket| socket.mss_bytes = Some(32_767)),
        socket(|socket| socket.pacing_bits_per_second = Some(BitRate(8))),
        socket(|socket| socket.dscp = Some(63)),
    ];
    for plan in accepted {
        CheckedPlan::new(plan, &Limits::default()).unwrap();
    }
}

fn with_interval(plan: Plan, milliseconds: u64) -> Plan {
    Plan { interval: Duration::from_millis(milliseconds), ..plan }
}

fn assert_refused(plan: &Plan, limits: &Limits, expected: &str) {
    let error = CheckedPlan::new(plan.clone(), limits).expect_err(expected);
    assert_eq!(error.to_string(), format!("invalid value {expected}"));
    assert_eq!(error.kind.exit_status(), 2);
}

#[test]
fn flows_messages_and_requests_are_bounded() {
    for (plan, expected) in [
        (stream(|plan| plan.flows = 0), "'0' for '--streams': allowed: 1 to 16384"),
        (stream(|plan| plan.flows = 16_385), "'16385' for '--streams': allowed: 1 to 16384"),
        (
            both(8_193),
            "'8193' for '--streams': allowed: 1 to 8192 (two connections each, 16384 in all)",
        ),
        (
            both(u32::MAX),
            "'4294967295' for '--streams': allowed: 1 to 8192 (two connections each, 16384 in all)",
        ),
        (Plan { flows: 0, ..rr(|_| {}) }, "'0' for '--flows': allowed: 1 to 16384"),
        (message(0), "'0 B' for '--length': allowed: 1 B to 64 MiB"),
        (
            mapped(4095),
            "'mmap' for '--recv': allowed: --length 4 KiB or more, since whole pages are mapped",
        ),
        (message(65 << 20), "'65 MiB' for '--length': allowed: 1 B to 64 MiB"),
        (rr(|rr| rr.request_bytes = Bytes(0)), "'0 B' for '--request': allowed: 1 B to 64 MiB"),
        (
            rr(|rr| rr.response_bytes = Bytes(u64::MAX)),
            "'18446744073709551615 B' for '--response': allowed: 1 B to 64 MiB",
        ),
        (
            rr(|rr| rr.load = load(0)),
            "'0' for '--load': allowed: 1 to 8190 beside 4 flows (16384 connections in all)",
        ),
        (
            rr(|rr| rr.load = load(8_191)),
            "'8191' for '--load': allowed: 1 to 8190 beside 4 flows (16384 connections in all)",
        ),
        (
            Plan {
                stop_condition: StopCondition::Transactions { total: 9 },
                ..rr(|rr| rr.load = load(1))
            },
            "'1' for '--load': allowed: with --time only",
        ),
        (rr(|rr| rr.burst = 0), "'0' for '--burst': allowed: 1 to 4096"),
        (rr(|rr| rr.burst = 4_097), "'4097' for '--burst': allowed: 1 to 4096"),
        (
            rr(|rr| (rr.burst, rr.rate_per_second) = (2, Some(1.0))),
            "'2' for '--burst': allowed: 1 together with --rate, which keeps as many requests in \
             flight as its schedule asks for",
        ),
    ] {
        assert_refused(&plan, &Limits::default(), expected);
    }
    for rate in [0.0, -1.0, 1.1e9, f64::NAN, f64::INFINITY] {
        let expected = format!(
            "'{rate}' for '--rate': allowed: more than 0 and at most 1000000000 requests per second"
        );
        assert_refused(&rr(|rr| rr.rate_per_second = Some(rate)), &Limits::default(), &expected);
    }
}

#[test]
fn extents_and_times_are_bounded() {
    let second = Duration::from_secs(1);
    for (plan, expected) in [
        (
            stream(|plan| plan.stop_condition = window(0)),
            "'0s' for '--time': allowed: more than 0s, at most 6days 23h 59m 59s",
        ),
        (
            stream(|plan| plan.stop_condition = window(WEEK)),
            "'7days' for '--time': allowed: more than 0s, at most 6days 23h 59m 59s",
        ),
        (
            stream(|plan| plan.warm_up = Duration::MAX),
            "'584542046090years 7months 15days 17h 5m 3s 999ms 999us 999ns' for '--omit': \
             allowed: 0s to 7days",
        ),
        (
            with_interval(stream(|_| {}), 9),
            "'9ms' for '--interval': allowed: 0 (none), 10ms to 7days",
        ),
        (
            stream(|plan| plan.interval = Duration::from_secs(WEEK) + second),
            "'7days 1s' for '--interval': allowed: 0 (none), 10ms to 7days",
        ),
        (
            with_interval(stream(|plan| plan.stop_condition = window(1_001)), 10),
            "'10ms' for '--interval': allowed: at most 100000 intervals in a window of 16m 41s",
        ),
        (
            stream(|plan| plan.stop_condition = StopCondition::Bytes { total_bytes: Bytes(3) }),
            "'3 B' for '--bytes': allowed: at least 4 B",
        ),
        (
            stream(|plan| plan.stop_condition = StopCondition::Transactions { total: 10 }),
            "'10' for '--transactions': allowed: with request/response only",
        ),
        (
            Plan { stop_condition: StopCondition::Transactions { total: 3 }, ..rr(|_| {}) },
            "'3' for '--transactions': allowed: at least 4",
        ),
        (
            Plan { stop_condition: StopCondition::Bytes { total_bytes: Bytes(10) }, ..rr(|_| {}) },
            "'10 B' for '--bytes': allowed: with streams only",
        ),
    ] {
        assert_refused(&plan, &Limits::default(), expected);
    }
}

#[test]
fn workers_pins_and_sockets_are_bounded() {
    for (plan, expected) in [
        (
            stream(|plan| plan.client = workers(0)),
            "'0' for '--workers': allowed: 1 to 4 (no more workers than connections)",
        ),
        (
            stream(|plan| plan.server = workers(5)),
            "'5' for '--server-workers': allowed: 1 to 4 (no more workers than connections)",
        ),
        (stream(|plan| plan.client = pinned(vec![])), "'' for '--pin': allowed: at least one CPU"),
        (
            stream(|plan| plan.client = pinned(vec![1, 0, 1])),
            "'1' for '--pin': allowed: each CPU once",
        ),
        (
            stream(|plan| plan.server = pinned(vec![1_024])),
            "'1024' for '--server-pin': allowed: 0 to 1023",
        ),
        (
            socket(|socket| socket.congestion_control = Some("../x".into())),
            "'../x' for '--congestion': allowed: a name of 1 to 15 characters out of a-z, 0-9, _ \
             and -",
        ),
        (
            socket(|socket| socket.congestion_control = Some("a-name-of-16-cha".into())),
            "'a-name-of-16-cha' for '--congestion': allowed: a name of 1 to 15 characters out of \
             a-z, 0-9, _ and -",
        ),
        (
            socket(|socket| socket.buffer_bytes = Some(Bytes(1 << 30))),
            "'1 GiB' for '--window': allowed: 1 B to 1073741823 B",
        ),
        (socket(|socket| socket.mss_bytes = Some(87)), "'87' for '--mss': allowed: 88 to 32767"),
        (
            socket(|socket| socket.pacing_bits_per_second = Some(BitRate(7))),
            "'7 bit/s' for '--bitrate': allowed: at least 8 bit/s",
        ),
        (socket(|socket| socket.dscp = Some(64)), "'64' for '--dscp': allowed: 0 to 63"),
    ] {
        assert_refused(&plan, &Limits::default(), expected);
    }
}

#[test]
fn waiting_and_connections_are_bounded() {
    let crr = |change: fn(&mut CrrPlan)| {
        let mut crr = CrrPlan {
            request_bytes: Bytes(1),
            response_bytes: Bytes(1),
            rate_per_second: None,
            close: Close::Server,
        };
        change(&mut crr);
        plan(Workload::Crr(crr))
    };
    let end = |wait| EndPlan { wait, ..EndPlan::default() };
    for accepted in [
        crr(|_| {}),
        Plan {
            stop_condition: StopCondition::Transactions { total: 4 },
            ..crr(|crr| crr.close = Close::Rst)
        },
        Plan { client: end(Wait::Spin), server: end(Wait::BusyPollUs(1_000_000)), ..rr(|_| {}) },
        socket(|socket| (socket.cork, socket.quick_ack, socket.mptcp) = (true, true, true)),
    ] {
        CheckedPlan::new(accepted, &Limits::default()).unwrap();
    }
    for (plan, expected) in [
        (crr(|crr| crr.request_bytes = Bytes(0)), "'0 B' for '--request': allowed: 1 B to 64 MiB"),
        (
            crr(|crr| crr.response_bytes = Bytes(65 << 20)),
            "'65 MiB' for '--response': allowed: 1 B to 64 MiB",
        ),
        (Plan { flows: 0, ..crr(|_| {}) }, "'0' for '--flows': allowed: 1 to 16384"),
        (
            crr(|crr| crr.rate_per_second = Some(0.0)),
            "'0' for '--rate': allowed: more than 0 and at most 1000000000 requests per second",
        ),
        (
            Plan { stop_condition: StopCondition::Bytes { total_bytes: Bytes(10) }, ..crr(|_| {}) },
            "'10 B' for '--bytes': allowed: with streams only",
        ),
        (
            Plan { server: end(Wait::Spin), ..stream(|_| {}) },
            "'spin' for '--server-wait': allowed: with request/response by TCP only",
        ),
        (
            Plan { client: end(Wait::BusyPollUs(0)), ..rr(|_| {}) },
            "'0' for '--wait': allowed: 1 to 1000000",
        ),
        (
            Plan { socket: SocketPlan { cork: true, ..SocketPlan::default() }, ..rr(|_| {}) },
            "'on' for '--cork': allowed: with streams only, a response would wait 200 ms",
        ),
    ] {
        assert_refused(&plan, &Limits::default(), expected);
    }
}

#[test]
fn a_server_holds_every_plan_to_its_own_limits() {
    let limits = Limits { connections: 2, duration: Duration::from_secs(5), ..Limits::default() };
    assert_refused(&stream(|_| {}), &limits, "'4' for '--streams': allowed: 1 to 2");
    assert_refused(
        &stream(|plan| plan.flows = 2),
        &limits,
        "'10s' for '--time': allowed: more than 0s, at most 4s",
    );
    let none = Limits { connections: 1, ..Limits::default() };
    assert_refused(
        &both(1),
        &none,
        "'1' for '--streams': allowed: 1 to 0 (two connections each, 1 in all)",
    );
}

proptest! {
    /// Whatever a peer sends: an answer, never a panic, and what is accepted is within bounds.
    #[test]
    fn an_accepted_plan_is_within_the_limits(
        flows in prop_oneof![0..20_000_u32, any::<u32>()],
        both: bool,
        message in prop_oneof![0..100_000_000_u64, any::<u64>()],
        window_ns in 0..10_u64.pow(15),
        warm_up_ns in 0..10_u64.pow(15),
        interval_ns in 0..10_u64.pow(13),
        workers in proptest::option::of(0..3_u32),
        cpus in proptest::collection::vec(0..1_100_u32, 1..4),
    ) {
        let limits = Limits::default();
        let mut plan = stream(|plan| {
            plan.flows = flows;
            plan.stop_condition = StopCondition::Time { window: Duration::from_nanos(window_ns) };
            plan.warm_up = Duration::from_nanos(warm_up_ns);
            plan.interval = Duration::from_nanos(interval_ns);
            plan.client = EndPlan { workers, pin: Pin::List(cpus), ..EndPlan::default() };
        });
        let direction = if both { Direction::Both } else { Direction::Down };
        let message_bytes = Bytes(message);
        plan.workload = Workload::Stream(StreamPlan { direction, message_bytes, ..stream_plan() });
        if let Ok(plan) = CheckedPlan::new(plan, &limits) {
            prop_assert!((1..=limits.connections).contains(&plan.connections()));
            prop_assert!(message <= limits.message.0 && interval_ns >= 10_000_000);
            prop_assert!(window_ns > 0 && window_ns / interval_ns <= limits.intervals);
        }
    }
}
