//! Synthetic results of both ends with round figures, and the runs merged from them; for tests
//! alone.
//!
//! Every counter grows by a fixed amount a second, so that each figure of the result is known in
//! advance: 4 Gbit/s over two streams (3 and 1), or 1,000 transactions a second of 1 ms.

mod machine;
mod udp;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::facts::{DeviceFacts, HostFacts};
use crate::latency::Latencies;
use crate::plan::{
    Close, CrrPlan, Direction, EndPlan, Plan, ReceiveMethod, RrPlan, STALL_TIMEOUT, SendMethod,
    SocketPlan, StopCondition, StreamPlan, Workload,
};
use crate::reading::{FlowCounters, HostCounters, Reading, TcpInfo};
use crate::result::end_result::{
    ConnectionUse, EndFacts, EndReport, EndResult, FlowReport, ReceiveUse, ScheduleAdherence,
    SendUse,
};
use crate::result::merge::{Input, merge};
use crate::result::run::{Multiplexing, PlacementFacts, Run, SocketFacts};
use crate::units::Bytes;
use machine::scaled_host;
pub use machine::{client_machine, machine, server_machine};
pub use udp::udp_input;

/// Two streams up, a window of two seconds.
pub fn stream_plan() -> Plan {
    Plan {
        workload: Workload::Stream(StreamPlan {
            direction: Direction::Up,
            message_bytes: Bytes(128 << 10),
            send: SendMethod::Write,
            receive: ReceiveMethod::Read,
        }),
        stop_condition: StopCondition::Time { window: Duration::from_secs(2) },
        strict: false,
        pacing: None,
        warm_up: Duration::from_secs(1),
        interval: Duration::from_secs(1),
        stall_timeout: STALL_TIMEOUT,
        flows: 2,
        client: EndPlan::default(),
        server: EndPlan::default(),
        socket: SocketPlan::default(),
    }
}

/// One flow, closed loop, a byte each way.
pub fn rr_plan() -> Plan {
    let rr = RrPlan::default();
    Plan { workload: Workload::Rr(rr), flows: 1, ..stream_plan() }
}

/// Bytes a second of the two streams: 3 and 1 Gbit/s.
pub const STREAM_BYTES: [u64; 2] = [375_000_000, 125_000_000];

/// The counters of a stream's sender after one second.
pub fn sending(bytes: u64, retransmits: u32, rtt_us: u32) -> FlowCounters {
    FlowCounters {
        bytes_sent: bytes,
        tcp: Some(TcpInfo {
            retransmits,
            rtt_us,
            rttvar_us: 10,
            cwnd_segments: 100,
            mss_bytes: 1448,
            bytes_acked: bytes,
            busy_us: 900_000,
            rwnd_limited_us: 90_000,
            sndbuf_limited_us: 45_000,
            segments_out: 100_000,
            ..TcpInfo::default()
        }),
        ..FlowCounters::default()
    }
}

/// The counters of a stream's receiver after one second.
pub fn receiving(bytes: u64) -> FlowCounters {
    let tcp = TcpInfo { bytes_received: bytes, rtt_us: 7, ..TcpInfo::default() };
    FlowCounters { bytes_received: bytes, tcp: Some(tcp), ..FlowCounters::default() }
}

/// Readings after one, two and three seconds, shifted by `shift_ns`.
pub fn readings(flows: &[FlowCounters], host: &HostCounters, shift_ns: u64) -> Vec<Reading> {
    let after = |seconds: u32| Reading {
        at_ns: u64::from(seconds) * 1_000_000_000 + shift_ns,
        flows: flows.iter().map(|flow| scaled_flow(flow, seconds)).collect(),
        host: scaled_host(host, seconds),
    };
    (1..=3).map(after).collect()
}

fn scaled_flow(flow: &FlowCounters, by: u32) -> FlowCounters {
    let wide = u64::from(by);
    FlowCounters {
        bytes_sent: flow.bytes_sent * wide,
        bytes_received: flow.bytes_received * wide,
        transactions: flow.transactions * wide,
        latency_sum_ns: flow.latency_sum_ns * wide,
        tcp: flow.tcp.map(|tcp| TcpInfo {
            retransmits: tcp.retransmits * by,
            bytes_acked: tcp.bytes_acked * wide,
            bytes_received: tcp.bytes_received * wide,
            busy_us: tcp.busy_us * wide,
            rwnd_limited_us: tcp.rwnd_limited_us * wide,
            sndbuf_limited_us: tcp.sndbuf_limited_us * wide,
            segments_out: tcp.segments_out * by,
            ..tcp
        }),
        ..flow.clone()
    }
}

/// What an end named `name` says before the start, with a worker a flow.
pub fn facts(name: &str, pid: u32, flows: u32) -> EndFacts {
    let socket = SocketFacts {
        local: "192.0.2.1:40000".to_owned(),
        peer: "192.0.2.2:5210".to_owned(),
        congestion_control: Some("cubic".to_owned()),
        send_buffer_bytes: Some(2_626_560),
        receive_buffer_bytes: Some(131_072),
        mss_bytes: Some(1448),
        no_delay: Some(false),
        ..SocketFacts::default()
    };
    let flow_count = usize::try_from(flows).unwrap();
    EndFacts {
        host: HostFacts {
            podperf_version: "0.1.0".to_owned(),
            hostname: Some(name.to_owned()),
            kernel: Some("6.12.0".to_owned()),
            boot_id: Some(format!("boot of {name}")),
            cpu_model: Some("Example CPU".to_owned()),
            cpus_online: Some(2),
            cpus_allowed: vec![0, 1],
            governor: Some("performance".to_owned()),
            clocksource: Some("tsc".to_owned()),
            clock_read_ns: Some(20.0),
            device: Some(DeviceFacts {
                name: "eth0".to_owned(),
                driver: Some("virtio_net".to_owned()),
                mtu_bytes: Some(1500),
                offloads: BTreeMap::from([("gro".to_owned(), true), ("tso".to_owned(), true)]),
                ..DeviceFacts::default()
            }),
            ..HostFacts::default()
        },
        placement: PlacementFacts {
            workers: flows,
            pinned_cpus: (0..flows).map(Some).collect(),
            reason: "each worker a CPU of its own".to_owned(),
            multiplexing: vec![Multiplexing::Blocking],
            ..PlacementFacts::default()
        },
        sockets: vec![socket; flow_count],
        pid,
    }
}

/// What a stream's sender and receiver report of four seconds: tails included.
pub fn stream_reports() -> [EndReport; 2] {
    let flows = |sends: bool| {
        (0_u32..).zip(STREAM_BYTES).map(move |(id, bytes)| FlowReport {
            id,
            first_step_ns: sends.then(|| 50_000 + 100_000 * u64::from(id)),
            bytes_sent: if sends { 4 * bytes } else { 0 },
            bytes_received: if sends { 0 } else { 4 * bytes },
            send_calls: if sends { 4 * bytes / 125_000 } else { 0 },
            receive_calls: if sends { 0 } else { 4 * bytes / 62_500 },
            drained: true,
            datagrams: None,
        })
    };
    let bytes = 4 * STREAM_BYTES.iter().sum::<u64>();
    [true, false].map(|sends| EndReport {
        flows: flows(sends).collect(),
        send: sends.then(|| SendUse::all_by(SendMethod::Write, bytes)),
        receive: (!sends).then(|| ReceiveUse::all_by(ReceiveMethod::Read, bytes)),
        ..EndReport::default()
    })
}

/// All of a complete stream run.
pub fn stream_input() -> Input {
    let [sent, received] = stream_reports();
    let senders = [sending(STREAM_BYTES[0], 5, 120), sending(STREAM_BYTES[1], 0, 80)];
    Input {
        started_at: "2026-01-02T03:04:05Z".to_owned(),
        command: ["podperf", "stream", "192.0.2.2"].map(str::to_owned).to_vec(),
        target: "192.0.2.2:5210".to_owned(),
        between: None,
        plan: stream_plan(),
        client: Some(EndResult {
            facts: facts("client-host", 100, 2),
            readings: readings(&senders, &client_machine(), 0),
            report: Some(sent),
        }),
        server: Some(EndResult {
            facts: facts("server-host", 200, 2),
            readings: readings(&STREAM_BYTES.map(receiving), &server_machine(), 1_000_000),
            report: Some(received),
        }),
        errors: Vec::new(),
        warm_up_seconds: 1.0,
        opened_at: Some("2026-01-02T03:04:06.5Z".to_owned()),
    }
}

/// A latency of 0.5 ms and one of 1.5 ms, a thousand times each.
pub fn latencies() -> Latencies {
    let mut latencies = Latencies::new();
    (0..1_000).for_each(|_| [500_000, 1_500_000].into_iter().for_each(|ns| latencies.record(ns)));
    latencies
}

/// All of a complete closed-loop request/response run.
pub fn rr_input() -> Input {
    let mut requester = sending(1_000, 0, 15);
    requester.bytes_received = 1_000;
    requester.transactions = 1_000;
    requester.latency_sum_ns = 1_000_000_000;
    let mut responder = sending(1_000, 0, 14);
    responder.bytes_received = 1_000;
    let report = |first_step_ns| EndReport {
        flows: vec![FlowReport {
            first_step_ns,
            bytes_sent: 4_000,
            bytes_received: 4_000,
            send_calls: 4_000,
            receive_calls: 4_000,
            drained: true,
            ..FlowReport::default()
        }],
        ..EndReport::default()
    };
    let mut requested = report(Some(40_000));
    requested.latency = Some(latencies().to_wire());
    Input {
        command: ["podperf", "rr", "192.0.2.2"].map(str::to_owned).to_vec(),
        plan: rr_plan(),
        client: Some(EndResult {
            facts: facts("client-host", 100, 1),
            readings: readings(&[requester], &client_machine(), 0),
            report: Some(requested),
        }),
        server: Some(EndResult {
            facts: facts("server-host", 200, 1),
            readings: readings(&[responder], &server_machine(), 1_000_000),
            report: Some(report(None)),
        }),
        ..stream_input()
    }
}

/// All of a complete closed-loop connect-request-response run: the same over a connection each.
pub fn crr_input() -> Input {
    let mut input = rr_input();
    let (request_bytes, response_bytes) = (Bytes(1), Bytes(1));
    let close = Close::Client;
    let crr = CrrPlan { request_bytes, response_bytes, rate_per_second: None, close };
    input.plan.workload = Workload::Crr(crr);
    let uses = |time_wait_after| ConnectionUse {
        connections: 4_000,
        time_wait_before: Some(10),
        time_wait_after: Some(time_wait_after),
        local_ports: Some(28_232),
        ..ConnectionUse::default()
    };
    for (end_result, held) in [(&mut input.client, 4_010), (&mut input.server, 10)] {
        let end_result = end_result.as_mut().unwrap();
        for flow in end_result.readings.iter_mut().flat_map(|reading| &mut reading.flows) {
            flow.tcp = None;
        }
        end_result.report.as_mut().unwrap().connections = Some(uses(held));
    }
    let report = input.client.as_mut().unwrap().report.as_mut().unwrap();
    report.connect_time = report.latency.clone();
    input
}

/// The same in open loop at `rate` requests per second.
pub fn open_loop_input(rate: f64) -> Input {
    let mut input = rr_input();
    if let Workload::Rr(rr) = &mut input.plan.workload {
        rr.rate_per_second = Some(rate);
    }
    let report = input.client.as_mut().unwrap().report.as_mut().unwrap();
    report.service_time = report.latency.clone();
    report.schedule = Some(ScheduleAdherence {
        due: 2_000,
        late: 3,
        max_lateness_ns: 250_000,
        ..ScheduleAdherence::default()
    });
    input
}

/// What [`stream_input`] becomes.
#[must_use]
pub fn stream_run() -> Run {
    merge(stream_input())
}

/// What [`rr_input`] becomes.
#[must_use]
pub fn rr_run() -> Run {
    merge(rr_input())
}
