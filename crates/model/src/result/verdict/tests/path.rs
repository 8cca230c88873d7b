//! Loss, queues, shapers and lost datagrams, each out of a run that nothing bound.

use super::{Change, all_busy, device, judged, limits, one_machine, process};
use crate::plan::Direction;
use crate::reading::TcpInfo;
use crate::result::end_result::DatagramUse;
use crate::result::merge::{Input, merge};
use crate::result::run::{Bound, Run};
use crate::result::testing::{stream_run, udp_input};
use crate::units::BitRate;

/// What the client's TCP says on each stream.
fn tcp(run: &mut Run, change: impl Fn(&mut TcpInfo)) {
    for stream in &mut run.streams {
        change(stream.tcp.client.as_mut().unwrap());
    }
}

/// 1 % of what stream 0 sends is sent again, over a path of 50 µs.
fn lossy(run: &mut Run) {
    run.streams[0].retransmits = Some(5_232);
    tcp(run, |tcp| tcp.min_rtt_us = 50);
}

/// A queue of 6 ms on a path of 17 µs.
fn queued(run: &mut Run) {
    tcp(run, |tcp| (tcp.rtt_us, tcp.min_rtt_us) = (6_122, 17));
}

/// 20 Mbit/s on each stream, about what the Mathis formula has for such losses and such a queue.
fn slow(run: &mut Run) {
    for stream in &mut run.streams {
        stream.bits_per_second = Some(20e6);
    }
}

fn shaped(run: &mut Run, bits_per_second: u64) {
    device(run, "client", 25_000_000_000);
    let device = run.host.client.as_mut().unwrap().device.as_mut().unwrap();
    device.shaper_bits_per_second = Some(bits_per_second);
    device.qdisc = Some("htb".to_owned());
}

const PATHS: &[(Bound, &str, Change)] = &[
    (Bound::Loss, "5232 of about 695840 segments (0.75 %) were retransmitted", lossy),
    // 8 · 1448 B · 1.22 / (100 µs · √0.0075) = 1.630 Gbit/s on each of two streams.
    (
        Bound::Loss,
        "100 µs, 50 µs at the least; for such a loss the Mathis formula gives 3.2",
        lossy,
    ),
    (Bound::Path, "round trip 6.12 ms, 17 µs at the least: data waits in a queue", queued),
    (Bound::Path, "goodput between 4.000 Gbit/s and 4.000 Gbit/s in 2 intervals", queued),
    // Then losses are what the queue could not hold.
    (Bound::Path, "0.75 % of segments retransmitted", |run| {
        lossy(run);
        queued(run);
        slow(run);
    }),
    // A bottleneck with a queue is never idle.
    (Bound::Loss, "0.75 %", |run| {
        lossy(run);
        queued(run);
        run.intervals[1].bits_per_second = Some(3.2e9);
    }),
    // TCP saw much more delivered at once: it did not wait behind a queue.
    (Bound::Loss, "segments", |run| {
        lossy(run);
        queued(run);
        slow(run);
        tcp(run, |tcp| tcp.delivery_rate_bytes_per_second = 1_250_000_000);
    }),
    (Bound::Unclear, "busy", |run| {
        queued(run);
        tcp(run, |tcp| tcp.delivery_rate_bytes_per_second = 1_250_000_000);
    }),
    // The round trip is as short as ever.
    (Bound::Unclear, "busy", |run| tcp(run, |tcp| (tcp.rtt_us, tcp.min_rtt_us) = (900, 17))),
    (Bound::Unclear, "busy", |run| tcp(run, |tcp| (tcp.rtt_us, tcp.min_rtt_us) = (90_000, 60_000))),
    (Bound::Unclear, "busy", |run| {
        queued(run);
        run.intervals[1].bits_per_second = Some(1.9e9);
    }),
    // No busy CPU makes one wait so long.
    (Bound::Path, "round trip 39.00 ms", |run| {
        lossy(run);
        tcp(run, |tcp| (tcp.rtt_us, tcp.min_rtt_us) = (39_000, 17));
        run.intervals[1].bits_per_second = Some(3e9);
    }),
    // On a slow link payload comes in lumps, behind segments that are sent again.
    (Bound::Path, "round trip 445.36 ms", |run| {
        lossy(run);
        slow(run);
        tcp(run, |tcp| (tcp.rtt_us, tcp.min_rtt_us) = (445_360, 6));
        run.intervals[1].bits_per_second = Some(0.9e9);
    }),
    // A segment or two that came late.
    (Bound::Unclear, "busy", |run| {
        queued(run);
        for stream in &mut run.streams {
            stream.bits_per_second = Some(3e6);
        }
    }),
    // An old kernel does not know the least.
    (Bound::Unclear, "busy", |run| tcp(run, |tcp| tcp.rtt_us = 90_000)),
    (Bound::Unclear, "busy", |run| {
        lossy(run);
        run.streams[0].retransmits = Some(500);
    }),
    (
        Bound::Path,
        "client: eth1 is shaped to 4.100 Gbit/s by its qdisc htb (tc qdisc show",
        |run| {
            shaped(run, 4_100_000_000);
        },
    ),
    (Bound::Unclear, "busy", |run| shaped(run, 8_000_000_000)),
    // What TCP says of itself comes before.
    (Bound::ReceiveWindow, "receive window", |run| {
        queued(run);
        limits(run, 0.48, 0.1);
    }),
    (Bound::Pacing, "asked for by pacing", |run| {
        queued(run);
        run.plan.socket.pacing_bits_per_second = Some(BitRate(2_000_000_000));
    }),
    (Bound::ReceiverCpu, "server", |run| {
        queued(run);
        process(run, [0.2, 1.9]);
    }),
    // Of a machine of both, what waits for a CPU looks like a queue, unless others fill it.
    (Bound::ReceiverCpu, "server", |run| {
        queued(run);
        one_machine(run);
        process(run, [0.2, 1.9]);
    }),
    (Bound::Unclear, "all CPUs of the shared machine are busy", |run| {
        queued(run);
        one_machine(run);
        all_busy(run);
        process(run, [0.6, 0.6]);
    }),
    (Bound::Path, "queue", |run| {
        queued(run);
        one_machine(run);
        all_busy(run);
        process(run, [0.1, 0.1]);
    }),
    // Losses are counted: they are told on a busier machine, and not on a full one.
    (Bound::Loss, "segments", |run| {
        lossy(run);
        one_machine(run);
        process(run, [0.6, 0.6]);
    }),
    (Bound::Unclear, "busy", |run| {
        lossy(run);
        one_machine(run);
        process(run, [0.9, 0.9]);
    }),
    // Softirqs are nobody's, and a full CPU of them makes a queue.
    (Bound::Unclear, "all CPUs of the shared machine are busy", |run| {
        queued(run);
        one_machine(run);
        all_busy(run);
        process(run, [0.1, 0.1]);
        run.cpu.client.as_mut().unwrap().modes.softirq = 0.9;
    }),
    (Bound::SendBuffer, "send buffer", |run| {
        limits(run, 0.1, 0.5);
        one_machine(run);
        all_busy(run);
        process(run, [0.1, 0.1]);
    }),
];

#[test]
fn what_the_path_did_has_its_evidence() {
    for (number, (bound, evidence, change)) in PATHS.iter().enumerate() {
        let verdict = judged(stream_run(), *change);
        assert_eq!(verdict.bound_by, *bound, "row {number}: {verdict:?}");
        let text = verdict.evidence.join("; ");
        assert!(text.contains(evidence), "row {number}: '{text}' lacks '{evidence}'");
    }
}

/// Datagrams of which many were lost, so many buffers of them at the socket and so many packets in
/// the backlog.
fn losing(buffers: u64, backlog: u64) -> Run {
    let mut input: Input = udp_input();
    let report = input.server.as_mut().unwrap().report.as_mut().unwrap();
    report.datagrams = Some(DatagramUse { joined: Some(false), ..DatagramUse::default() });
    report.flows[0].datagrams.as_mut().unwrap().window.received = 1_000;
    let mut run = merge(input);
    run.udp.as_mut().unwrap().datagrams.as_mut().unwrap().socket_drops = Some(buffers);
    run.packets.server.as_mut().unwrap().dropped = Some(backlog);
    run.throughput.as_mut().unwrap().bits_per_second = 5_000_000.0;
    run
}

#[test]
fn datagrams_lost_on_the_way_are_the_paths() {
    let verdict = judged(losing(104, 0), |_| {});
    assert_eq!(verdict.bound_by, Bound::Path);
    assert_eq!(
        verdict.evidence[0],
        "1040 of 4000 datagrams (26.00 %) were lost: 936 on the path, 104 at the socket of the \
         server (104 buffers found its receive buffer full)"
    );
    // Not those of the receiver's own kernel.
    assert_eq!(judged(losing(900, 0), |_| {}).bound_by, Bound::Unclear);
    assert_eq!(judged(losing(104, 900), |_| {}).bound_by, Bound::Unclear);
    // What was asked for has come: the few that were lost bound nothing.
    let mut run = losing(0, 0);
    run.throughput.as_mut().unwrap().bits_per_second = 16_000_000.0;
    assert_eq!(judged(run, |_| {}).bound_by, Bound::Pacing);
}

#[test]
fn a_queue_is_told_whichever_end_sends() {
    let down = |run: &mut Run| {
        super::direct(run, Direction::Down);
        for stream in &mut run.streams {
            stream.direction = crate::result::run::StreamDirection::Down;
            let tcp =
                TcpInfo { rtt_us: 6_122, min_rtt_us: 17, mss_bytes: 1448, ..TcpInfo::default() };
            stream.tcp.server = Some(tcp);
        }
    };
    assert_eq!(judged(stream_run(), down).bound_by, Bound::Path);
}
