//! Both ends over loopback, and each against a plain connection.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::workload::compat::{CompatOptions, Pace};
use crate::workload::gate::Phase;
use crate::workload::tally::Count;
use crate::workload::testing::{End, connections, plan};
use podperf_model::plan::{
    Direction, FlowRole, Plan, ReceiveMethod, SendMethod, StopCondition, StreamPlan, Workload,
};
use podperf_model::units::Bytes;

const MESSAGE: u64 = 1000;

fn streams(send: SendMethod, total: u64, flows: u32) -> Plan {
    let workload = Workload::Stream(StreamPlan {
        direction: Direction::Up,
        message_bytes: Bytes(MESSAGE),
        send,
        receive: ReceiveMethod::Read,
    });
    plan(workload, StopCondition::Bytes { total_bytes: Bytes(total) }, flows)
}

/// An end, and the other ends of its connections.
fn against_plain(plan: Plan, compat: CompatOptions) -> (End, Vec<TcpStream>) {
    let (own, others) = connections(plan.flows);
    (End::new(plan, own, compat), others.into_iter().map(<Socket as Into<_>>::into).collect())
}

#[test]
fn what_is_sent_is_the_payload_that_was_asked_for() {
    let compat = CompatOptions { payload: Some(b"abc"[..].into()), ..CompatOptions::default() };
    for method in [SendMethod::Write, SendMethod::Sendfile] {
        let (sender, mut plain) = against_plain(streams(method, 1500, 1), compat.clone());
        sender.play(FlowRole::Send);
        let mut got = Vec::new();
        plain[0].read_to_end(&mut got).unwrap();
        // Each message starts from the beginning.
        let message: Vec<u8> = b"abc".iter().copied().cycle().take(1000).collect();
        assert_eq!(got, [&message[..], &message[..500]].concat());
    }
}

/// Plays the sender; `while_open` looks at it before the peers end their streams, having read all.
fn with_peers_that_linger(end: &End, peers: Vec<TcpStream>, while_open: impl FnOnce()) {
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| end.play(FlowRole::Send));
        let mut peers = peers;
        for peer in &mut peers {
            let mut got = Vec::new();
            peer.read_to_end(&mut got).unwrap();
            // Nobody asked for it, and nobody minds.
            peer.write_all(b"as you were").unwrap();
        }
        std::thread::sleep(Duration::from_millis(50));
        while_open();
        drop(peers);
        sending.join().unwrap();
    });
}

#[test]
fn a_sender_that_awaits_its_peer_ends_when_that_does() {
    let compat = CompatOptions { awaits_peer: true, ..CompatOptions::default() };
    for flows in [1, 3] {
        let plan = streams(SendMethod::Write, 9000, flows);
        let (sender, plain) = against_plain(plan.clone(), compat.clone());
        with_peers_that_linger(&sender, plain, || assert_eq!(sender.ended(), 0));
        assert_eq!(sender.ended(), flows as usize);
        assert!(sender.shared.tallies.iter().all(|tally| tally.read().drained));

        let (sender, plain) = against_plain(plan, CompatOptions::default());
        with_peers_that_linger(&sender, plain, || assert_eq!(sender.ended(), flows as usize));
    }
}

#[test]
fn calls_are_timed_where_that_is_asked_for_and_only_in_the_window() {
    for (flows, times_calls) in [(1, true), (2, true), (1, false)] {
        let plan = streams(SendMethod::Write, 20_000, flows);
        let (own, others) = connections(flows);
        let compat = CompatOptions { times_calls, ..CompatOptions::default() };
        let sender = End::new(plan.clone(), own, compat.clone());
        let receiver = End::new(plan, others, compat);
        // The receiver is not stopped: its streams end.
        let reports = std::thread::scope(|scope| {
            let receiving = scope.spawn(|| receiver.play(FlowRole::Receive));
            (sender.play(FlowRole::Send), receiving.join().unwrap())
        });
        let counts = |end: &End| end.shared.tallies.iter().map(|tally| tally.read()).collect();
        let (sent, received): (Vec<Count>, Vec<Count>) = (counts(&sender), counts(&receiver));
        let sends: u64 = sent.iter().map(|count| count.send_calls).sum();
        let receives: u64 = received.iter().map(|count| count.receive_calls).sum();
        assert_eq!(reports.0.latency.map(|own| own.count()), times_calls.then_some(sends));
        assert!(sends >= 20, "{sends}");
        assert_eq!(reports.1.latency.map(|own| own.count()), times_calls.then_some(receives));
    }
    let compat = CompatOptions { times_calls: true, ..CompatOptions::default() };
    let (sender, _plain) = against_plain(streams(SendMethod::Write, 5000, 1), compat);
    sender.shared.gate.advance(Phase::Tail);
    let report = sender.play(FlowRole::Send);
    assert_eq!((report.latency.unwrap().count(), report.send.is_some()), (0, true));
}

#[test]
fn a_cut_ends_the_wait_for_a_peer() {
    let compat = CompatOptions { awaits_peer: true, ..CompatOptions::default() };
    let (sender, _plain) = against_plain(streams(SendMethod::Write, 9000, 1), compat);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| sender.play(FlowRole::Send));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!sending.is_finished());
        sender.shared.gate.advance(Phase::Cut);
        sender.shared.sockets[0].shutdown(Shutdown::Both).unwrap();
    });
    assert_eq!((sender.ended(), sender.shared.tallies[0].read().drained), (1, false));
}

#[test]
fn sends_come_in_bursts_where_that_is_asked_for() {
    let pace = Some(Pace { operations: 2, every: Duration::from_millis(20) });
    for (method, times_calls) in [(SendMethod::Write, true), (SendMethod::Sendfile, false)] {
        let compat = CompatOptions { pace, times_calls, ..CompatOptions::default() };
        let (sender, _plain) = against_plain(streams(method, 6 * MESSAGE, 1), compat);
        let since = Instant::now();
        let report = sender.play(FlowRole::Send);
        assert!(since.elapsed() >= Duration::from_millis(40), "{:?}", since.elapsed());
        let count = sender.shared.tallies[0].read();
        assert_eq!((sender.ended(), count.send_calls, count.bytes_sent), (1, 6, 6000));
        // The wait is no part of a call.
        assert!(report.latency.is_none_or(|own| own.quantile_ns(0.5) < Some(20_000_000)));
    }
}

#[test]
fn a_sender_that_waits_for_its_tick_sees_the_stop() {
    let pace = Some(Pace { operations: 1, every: Duration::from_secs(60) });
    let compat = CompatOptions { pace, ..CompatOptions::default() };
    let (sender, _plain) = against_plain(streams(SendMethod::Write, 6 * MESSAGE, 1), compat);
    let since = Instant::now();
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| sender.play(FlowRole::Send));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!sending.is_finished());
        sender.stop();
    });
    assert!(since.elapsed() < Duration::from_secs(10));
    assert_eq!((sender.ended(), sender.shared.tallies[0].read().send_calls), (1, 1));
}
