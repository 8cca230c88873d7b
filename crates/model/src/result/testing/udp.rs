//! A run of datagrams, for tests.

use super::{client_machine, readings, server_machine, stream_input};
use crate::latency::Latencies;
use crate::plan::udp::{Offload, UdpPlan};
use crate::plan::{Direction, Workload};
use crate::reading::{Datagrams, FlowCounters};
use crate::result::end_result::{DatagramUse, FlowDatagrams, PacingWire, ScheduleAdherence};
use crate::result::merge::Input;
use crate::units::{BitRate, Bytes};

/// Two flows up of a thousand datagrams of 1,000 B a second each, for two seconds. The second
/// loses 40, 10 of them at the receiver's socket.
pub fn udp_input() -> Input {
    let mut input = stream_input();
    input.plan.workload = Workload::Udp(UdpPlan {
        direction: Direction::Up,
        datagram_bytes: Some(Bytes(1_000)),
        bits_per_second: Some(BitRate(8_000_000)),
        gso: Offload::Auto,
        gro: Offload::Auto,
        fragment: false,
    });
    let lost = [0, 40];
    let sent = |_| FlowCounters {
        bytes_sent: 1_000_000,
        datagrams: Some(Datagrams::default()),
        ..FlowCounters::default()
    };
    let got = |lost: u64| FlowCounters {
        bytes_received: 1_000_000 - 500 * lost,
        datagrams: Some(Datagrams::default()),
        ..FlowCounters::default()
    };
    let (client, server) = (input.client.as_mut().unwrap(), input.server.as_mut().unwrap());
    client.readings = readings(&lost.map(sent), &client_machine(), 0);
    server.readings = readings(&lost.map(got), &server_machine(), 1_000_000);
    for (seconds, reading) in (1_u32..).zip(&mut server.readings) {
        for (flow, lost) in reading.flows.iter_mut().zip(lost) {
            flow.datagrams = Some(Datagrams {
                expected: 1_000 * u64::from(seconds),
                received: 1_000 * u64::from(seconds) - lost / 2 * u64::from(seconds),
                jitter_ns: 3_000,
                // The kernel's counter is about to wrap.
                socket_drops: Some((u32::MAX - 12).wrapping_add(5 * seconds)),
                ..Datagrams::default()
            });
        }
    }
    let [from, to] = [client, server].map(|end_result| end_result.report.as_mut().unwrap());
    for (flow, lost) in to.flows.iter_mut().zip(lost) {
        let window = Datagrams {
            received: 2_000 - lost,
            reordered: 3,
            duplicates: 1,
            distance_max: 2,
            jitter_ns: 4_000 + 100 * lost,
            ..Datagrams::default()
        };
        flow.datagrams = Some(FlowDatagrams { window, ..FlowDatagrams::default() });
    }
    for flow in &mut from.flows {
        let window = Datagrams { sent: 2_000, ..Datagrams::default() };
        flow.datagrams = Some(FlowDatagrams { window, ..FlowDatagrams::default() });
        (flow.bytes_sent, flow.send_calls) = (4_000_000, 1_000);
    }
    from.datagrams = Some(DatagramUse { segmented: Some(true), per_send: Some(4), joined: None });
    to.datagrams = Some(DatagramUse { joined: Some(true), ..DatagramUse::default() });
    let times = |ns: &[u64]| {
        let mut latencies = Latencies::new();
        (0..1_000).for_each(|number| latencies.record(ns[number % ns.len()]));
        latencies.to_wire()
    };
    let none = ScheduleAdherence::default();
    from.schedule =
        Some(ScheduleAdherence { due: 1_000, late: 1, max_lateness_ns: 90_000, ..none });
    from.pacing = Some(PacingWire {
        lateness: times(&[1_000, 3_000]),
        inter_send: times(&[999_000, 1_001_000]),
    });
    input
}
