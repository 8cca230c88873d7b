//! Rules about runs of datagrams.

use std::time::Duration;

use podperf_model::plan::limits::Limits;
use podperf_model::plan::udp::{Offload, UdpPlan, UdpRrPlan};
use podperf_model::plan::{
    CheckedPlan, Direction, EndPlan, Plan, SocketPlan, StopCondition, Wait, Workload,
};
use podperf_model::units::{BitRate, Bytes};

use super::{assert_refused, plan};

fn udp(change: impl FnOnce(&mut UdpPlan)) -> Plan {
    let mut udp = UdpPlan {
        direction: Direction::Up,
        datagram_bytes: None,
        bits_per_second: None,
        gso: Offload::Auto,
        gro: Offload::Auto,
        fragment: false,
    };
    change(&mut udp);
    plan(Workload::Udp(udp))
}

fn udp_rr(request: u64, response: u64, timeout_ms: u64) -> Plan {
    plan(Workload::UdpRr(UdpRrPlan {
        request_bytes: Bytes(request),
        response_bytes: Bytes(response),
        timeout: Duration::from_millis(timeout_ms),
        fragment: false,
    }))
}

#[test]
fn datagrams_are_bounded() {
    for plan in [
        udp(|_| {}),
        udp(|udp| udp.datagram_bytes = Some(Bytes(16))),
        udp(|udp| udp.datagram_bytes = Some(Bytes(65_507))),
        udp(|udp| (udp.datagram_bytes, udp.gso) = (Some(Bytes(32_753)), Offload::On)),
        udp(|udp| udp.bits_per_second = Some(BitRate(8))),
        Plan { flows: 8_192, ..udp(|udp| udp.direction = Direction::Both) },
        Plan { stop_condition: StopCondition::Bytes { total_bytes: Bytes(4) }, ..udp(|_| {}) },
        udp_rr(1, 65_507, 1),
        Plan { stop_condition: StopCondition::Transactions { total: 4 }, ..udp_rr(1, 1, 60_000) },
    ] {
        CheckedPlan::new(plan, &Limits::default()).unwrap();
    }
    for (plan, expected) in [
        (
            udp(|udp| udp.datagram_bytes = Some(Bytes(15))),
            "'15 B' for '--length': allowed: 16 B to 65507 B",
        ),
        (
            udp(|udp| udp.datagram_bytes = Some(Bytes(65_508))),
            "'65508 B' for '--length': allowed: 16 B to 65507 B",
        ),
        (
            udp(|udp| (udp.datagram_bytes, udp.gso) = (Some(Bytes(32_754)), Offload::On)),
            "'on' for '--gso': allowed: auto or off with datagrams above 32753 B (--length)",
        ),
        (
            udp(|udp| (udp.fragment, udp.gso) = (true, Offload::On)),
            "'on' for '--gso': allowed: auto or off with --fragment: the kernel does not fragment \
             what it cuts into segments",
        ),
        (
            udp(|udp| udp.bits_per_second = Some(BitRate(7))),
            "'7 bit/s' for '--bitrate': allowed: at least 8 bit/s",
        ),
        (
            Plan { flows: 8_193, ..udp(|udp| udp.direction = Direction::Both) },
            "'8193' for '--streams': allowed: 1 to 8192 (two connections each, 16384 in all)",
        ),
        (
            Plan { stop_condition: StopCondition::Transactions { total: 9 }, ..udp(|_| {}) },
            "'9' for '--transactions': allowed: with request/response only",
        ),
        (udp_rr(0, 1, 1), "'0 B' for '--request': allowed: 1 B to 65507 B"),
        (udp_rr(1, 65_508, 1), "'65508 B' for '--response': allowed: 1 B to 65507 B"),
        (udp_rr(1, 1, 0), "'0s' for '--timeout': allowed: 1ms to 1m"),
        (udp_rr(1, 1, 60_001), "'1m 1ms' for '--timeout': allowed: 1ms to 1m"),
    ] {
        assert_refused(&plan, &Limits::default(), expected);
    }
}

#[test]
fn what_only_tcp_has_is_refused() {
    let tcp = |change: fn(&mut SocketPlan)| {
        let mut plan = udp(|_| {});
        change(&mut plan.socket);
        plan
    };
    let spinning = EndPlan { wait: Wait::Spin, ..EndPlan::default() };
    for (plan, expected) in [
        (
            tcp(|socket| socket.congestion_control = Some("cubic".into())),
            "'cubic' for '--congestion': allowed: with TCP only",
        ),
        (
            tcp(|socket| socket.mss_bytes = Some(1_000)),
            "'1000' for '--mss': allowed: with TCP only",
        ),
        (tcp(|socket| socket.mptcp = true), "'on' for '--mptcp': allowed: with TCP only"),
        (tcp(|socket| socket.quick_ack = true), "'on' for '--quick-ack': allowed: with TCP only"),
        (Plan { flows: 0, ..udp_rr(1, 1, 1) }, "'0' for '--streams': allowed: 1 to 16384"),
        (
            Plan { client: spinning, ..udp_rr(1, 1, 1) },
            "'spin' for '--wait': allowed: with request/response by TCP only",
        ),
    ] {
        assert_refused(&plan, &Limits::default(), expected);
    }
}
