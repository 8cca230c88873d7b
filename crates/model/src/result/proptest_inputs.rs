//! Results of an end as a broken or hostile peer may send them, for property tests: counters at the
//! edges, lists of every length, clocks that stand or run backwards, text of any kind.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::error::{Error, Kind};
use crate::plan::udp::UdpRrPlan;
use crate::plan::{Direction, Workload};
use crate::reading::{Datagrams, FlowCounters, Reading, TcpInfo};
use crate::result::end_result::{EndReport, EndResult};
use crate::result::merge::Input;
use crate::result::testing::udp_input;
use crate::result::testing::{
    crr_input, facts, open_loop_input, rr_input, server_machine, stream_input,
};
use crate::units::{BitRate, Bytes};

/// A run of any workload with unexpected results of its ends.
pub fn input() -> impl Strategy<Value = Input> {
    let rates = (proptest::option::of(counter()), proptest::option::of(counter()));
    (end_result(), end_result(), 0..8_u8, rates, 0..40_u32, text()).prop_map(
        |(client, server, kind, (pacing, buffer), flows, text)| {
            let mut input = match kind {
                0 => rr_input(),
                1 => open_loop_input(1e300),
                5 => crr_input(),
                6 | 7 => udp_input(),
                _ => stream_input(),
            };
            if let Workload::Stream(stream) = &mut input.plan.workload {
                stream.direction = match kind {
                    2 => Direction::Up,
                    3 => Direction::Down,
                    _ => Direction::Both,
                };
            }
            if kind == 7 {
                let (request_bytes, response_bytes) = (Bytes(1), Bytes(u64::MAX));
                let timeout = Duration::ZERO;
                let rr = UdpRrPlan { request_bytes, response_bytes, timeout, fragment: true };
                input.plan.workload = Workload::UdpRr(rr);
            }
            input.plan.flows = flows;
            input.plan.socket.pacing_bits_per_second = pacing.map(BitRate);
            input.plan.socket.buffer_bytes = buffer.map(Bytes);
            input.plan.socket.mss_bytes = Some(u32::MAX);
            (input.client, input.server) = (client, server);
            input.errors.push(Error::new(Kind::Incomplete, "wild", &text));
            input.target = text;
            input
        },
    )
}

/// Any counter: small, huge, at the edge.
fn counter() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(u64::MAX), 0..10_u64, any::<u64>()]
}

/// Text with control characters, wide characters, no place to break, or nothing.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z]{200,300}",
        "[漢字カナ]{100,200}",
        "([\\x00-\\x1f]|\x1b\\[2J|[a-z ]){0,300}",
    ]
}

fn flow() -> impl Strategy<Value = FlowCounters> {
    let tcp = (counter(), any::<u32>()).prop_map(|(bytes_acked, retransmits)| TcpInfo {
        bytes_acked,
        retransmits,
        rtt_us: retransmits,
        busy_us: bytes_acked,
        cwnd_segments: retransmits,
        mss_bytes: retransmits,
        segments_out: 1,
        ..TcpInfo::default()
    });
    let datagrams = (counter(), counter(), any::<u32>()).prop_map(|(received, expected, drops)| {
        Datagrams { received, expected, socket_drops: Some(drops), ..Datagrams::default() }
    });
    let datagrams = proptest::option::of(datagrams);
    let tcp = proptest::option::of(tcp);
    (counter(), counter(), counter(), counter(), (tcp, datagrams)).prop_map(
        |(bytes_sent, bytes_received, transactions, latency_sum_ns, (tcp, datagrams))| {
            FlowCounters {
                bytes_sent,
                bytes_received,
                transactions,
                latency_sum_ns,
                tcp,
                datagrams,
            }
        },
    )
}

fn reading() -> impl Strategy<Value = Reading> {
    let cpu = (counter(), counter(), counter(), 0..4_u32);
    (counter(), vec(flow(), 0..40), proptest::option::of(cpu)).prop_map(|(at_ns, flows, cpu)| {
        let mut host = server_machine();
        match (cpu, &mut host.cpu) {
            (Some((user, idle, ticks_per_second, label)), Some(stat)) => {
                stat.ticks_per_second = ticks_per_second;
                stat.total.user = user;
                stat.total.idle = idle;
                stat.per_cpu.insert(label, stat.total);
                host.sampler_ns = user;
            }
            (_, stat) => *stat = None,
        }
        Reading { at_ns, flows, host }
    })
}

fn end_result() -> impl Strategy<Value = Option<EndResult>> {
    let end_result = (vec(reading(), 0..5), proptest::option::of(report()), 0..40_u32, text());
    proptest::option::of(end_result.prop_map(|(readings, report, flows, name)| EndResult {
        facts: facts(&name, 1, flows),
        readings,
        report,
    }))
}

fn report() -> impl Strategy<Value = EndReport> {
    (counter(), counter(), 0..4_u8).prop_map(|(step, bytes, kind)| {
        let input = match kind {
            0 => open_loop_input(1.0),
            1 => udp_input(),
            2 => crr_input(),
            _ => stream_input(),
        };
        let mut report = input.client.and_then(|end_result| end_result.report).unwrap_or_default();
        for flow in &mut report.flows {
            flow.first_step_ns = flow.first_step_ns.and(Some(step));
            flow.bytes_sent = bytes;
            flow.receive_calls = bytes;
            if let Some(datagrams) = &mut flow.datagrams {
                (datagrams.window.sent, datagrams.window.received) = (bytes, step);
            }
        }
        report
    })
}
