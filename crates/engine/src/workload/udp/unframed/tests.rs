//! Both ends over loopback, and each against a plain socket.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::workload::compat::{CompatOptions, Pace};
use crate::workload::testing::{ENDLESS, End, datagrams, plan, play};
use podperf_model::plan::udp::{Offload, UdpPlan, UdpRrPlan};
use podperf_model::plan::{Direction, FlowRole, Plan, StopCondition, Workload};
use podperf_model::units::Bytes;

/// Longer than any of these tests lasts.
const LONG: Duration = Duration::from_secs(10);

fn unframed(in_flight: u32) -> CompatOptions {
    CompatOptions { unframed: true, in_flight, ..CompatOptions::default() }
}

fn streams(bytes: u64, stop_condition: StopCondition, flows: u32) -> Plan {
    let workload = Workload::Udp(UdpPlan {
        direction: Direction::Up,
        datagram_bytes: Some(Bytes(bytes)),
        bits_per_second: None,
        gso: Offload::Auto,
        gro: Offload::Auto,
        fragment: true,
    });
    plan(workload, stop_condition, flows)
}

fn run_rr(
    request: u64,
    response: u64,
    timeout: Duration,
    stop_condition: StopCondition,
    flows: u32,
) -> Plan {
    let workload = Workload::UdpRr(UdpRrPlan {
        request_bytes: Bytes(request),
        response_bytes: Bytes(response),
        timeout,
        fragment: true,
    });
    plan(workload, stop_condition, flows)
}

/// A plain socket, and the end that talks to it.
fn against_plain(plan: Plan, compat: CompatOptions) -> (End, UdpSocket) {
    let (own, mut other) = datagrams(&plan);
    let plain = UdpSocket::from(other.remove(0));
    plain.set_read_timeout(Some(LONG)).unwrap();
    (End::new(plan, own, compat), plain)
}

#[test]
fn datagrams_of_any_size_are_sent_whole_and_counted_on_both_ends() {
    for (bytes, flows) in [(1, 1), (7, 2), (65_507, 1)] {
        let total_bytes = Bytes(bytes * 2 * u64::from(flows) - u64::from(bytes > 1));
        let plan = streams(bytes, StopCondition::Bytes { total_bytes }, flows);
        let (sockets, peers) = datagrams(&plan);
        let sender = End::new(plan.clone(), sockets, unframed(0));
        let receiver = End::new(plan, peers, unframed(0));
        let (sent, received) = play((&sender, FlowRole::Send), (&receiver, FlowRole::Receive));
        assert_eq!((sender.ended(), receiver.ended()), (flows as usize, flows as usize));
        assert_eq!(sent.failed_sends, Some(0));
        for flow in 0..flows as usize {
            assert_eq!(sent.flow_datagrams[flow].1.life.sent, 2);
            assert_eq!(received.flow_datagrams[flow].1.life.received, 2);
            let count = receiver.shared.tallies[flow].read();
            assert_eq!((count.bytes_received, count.receive_calls), (2 * bytes, 2));
            assert!(count.drained);
        }
    }
}

#[test]
fn a_stream_is_payload_alone_and_ends_by_three_empty_datagrams() {
    let plan = streams(5, StopCondition::Bytes { total_bytes: Bytes(10) }, 1);
    let (sender, plain) = against_plain(plan, unframed(0));
    sender.play(FlowRole::Send);
    let mut buffer = [0; 100];
    let sizes: Vec<usize> = (0..5).map(|_| plain.recv(&mut buffer).unwrap()).collect();
    assert_eq!(sizes, [5, 5, 0, 0, 0]);
}

#[test]
fn a_sender_stops_at_the_stop_and_a_receiver_when_nothing_comes_any_more() {
    let (sender, _plain) = against_plain(streams(64, ENDLESS, 1), unframed(0));
    std::thread::scope(|scope| {
        let sender_loop = scope.spawn(|| sender.play(FlowRole::Send));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!sender_loop.is_finished());
        sender.stop();
    });
    assert_eq!(sender.ended(), 1);
    assert!(sender.shared.tallies[0].read().send_calls > 100);

    let (receiver, plain) = against_plain(streams(64, ENDLESS, 1), unframed(0));
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| receiver.play(FlowRole::Receive));
        plain.send(&[1; 64]).unwrap();
        std::thread::sleep(Duration::from_millis(250));
        assert!(!receiving.is_finished());
        receiver.stop();
        let since = Instant::now();
        receiving.join().unwrap();
        assert!(since.elapsed() < Duration::from_secs(2));
    });
    let count = receiver.shared.tallies[0].read();
    assert_eq!((receiver.ended(), count.receive_calls, count.drained), (1, 1, false));
}

#[test]
fn a_refused_stream_fails_after_some_seconds() {
    let (sender, plain) = against_plain(streams(64, ENDLESS, 1), unframed(0));
    drop(plain);
    let since = Instant::now();
    let report = sender.play(FlowRole::Send);
    assert!((Duration::from_secs(3)..LONG).contains(&since.elapsed()));
    assert!(report.failed_sends.unwrap() > 1);
    let failure = sender.events.try_recv().unwrap().failure.unwrap();
    assert_eq!(failure.into_error().errno, Some(libc::ECONNREFUSED));
    assert!(sender.events.try_recv().is_err());
}

#[test]
fn transactions_are_exactly_as_many_as_planned_however_many_are_in_flight() {
    for (in_flight, flows, total) in [(0, 1, 50), (4, 1, 50), (3, 2, 51)] {
        let plan = run_rr(1, 700, LONG, StopCondition::Transactions { total }, flows);
        let (sockets, peers) = datagrams(&plan);
        let requester = End::new(plan.clone(), sockets, unframed(in_flight));
        let responder = End::new(plan, peers, unframed(0));
        let (asked, _) = play((&requester, FlowRole::Request), (&responder, FlowRole::Respond));
        assert_eq!((requester.ended(), responder.ended()), (flows as usize, flows as usize));
        assert_eq!((asked.latency.unwrap().count(), asked.lost_transactions), (total, Some(0)));
        let count =
            |end: &End| end.shared.tallies.iter().map(|tally| tally.read().send_calls).sum();
        let (requests, responses): (u64, u64) = (count(&requester), count(&responder));
        assert_eq!((requests, responses), (total, total));
    }
}

#[test]
fn a_burst_without_any_answer_is_lost_and_goes_out_anew() {
    let timeout = Duration::from_millis(60);
    let plan = run_rr(2, 3, timeout, StopCondition::Transactions { total: 6 }, 1);
    let (requester, plain) = against_plain(plan, unframed(3));
    let report = std::thread::scope(|scope| {
        let asking = scope.spawn(|| requester.play(FlowRole::Request));
        let mut buffer = [0; 100];
        for request in 0..6 {
            assert_eq!(plain.recv(&mut buffer).unwrap(), 2);
            if request >= 3 {
                plain.send(b"any").unwrap();
            }
        }
        assert_eq!((0..3).map(|_| plain.recv(&mut buffer).unwrap()).sum::<usize>(), 0);
        asking.join().unwrap()
    });
    assert_eq!((report.lost_transactions, report.latency.unwrap().count()), (Some(3), 3));
    assert_eq!(requester.ended(), 1);
}

#[test]
fn a_responder_answers_whatever_comes_and_survives_a_requester_that_left() {
    let (responder, plain) = against_plain(run_rr(4, 9, LONG, ENDLESS, 1), unframed(0));
    std::thread::scope(|scope| {
        let responding = scope.spawn(|| responder.play(FlowRole::Respond));
        let mut buffer = [0; 100];
        for request in [&b"four"[..], b"longer than four", b"1"] {
            plain.send(request).unwrap();
            assert_eq!(plain.recv(&mut buffer).unwrap(), 9);
        }
        // Its answer to this one finds nobody.
        plain.send(b"four").unwrap();
        drop(plain);
        std::thread::sleep(Duration::from_millis(100));
        assert!(!responding.is_finished());
        responder.stop();
    });
    assert_eq!(responder.ended(), 1);
}

#[test]
fn the_first_responses_are_limited_by_what_came() {
    let compat = CompatOptions { limits_responses: true, ..unframed(0) };
    let (responder, plain) = against_plain(run_rr(4, 900, LONG, ENDLESS, 1), compat);
    std::thread::scope(|scope| {
        let responding = scope.spawn(|| responder.play(FlowRole::Respond));
        let mut buffer = [0; 1000];
        for (request, response) in [(1, 3), (4, 12), (3, 9), (1, 900), (1, 900)] {
            plain.send(&vec![0; request]).unwrap();
            assert_eq!(plain.recv(&mut buffer).unwrap(), response);
        }
        plain.send(&[]).unwrap();
        responding.join().unwrap();
    });
    assert_eq!(responder.ended(), 1);
}

#[test]
fn datagrams_come_in_bursts_where_that_is_asked_for() {
    let pace = Some(Pace { operations: 2, every: Duration::from_millis(20) });
    let compat = CompatOptions { pace, ..unframed(1) };
    let (sender, _plain) = against_plain(
        streams(5, StopCondition::Bytes { total_bytes: Bytes(30) }, 1),
        compat.clone(),
    );
    let since = Instant::now();
    sender.play(FlowRole::Send);
    assert!(since.elapsed() >= Duration::from_millis(40), "{:?}", since.elapsed());
    assert_eq!((sender.ended(), sender.shared.tallies[0].read().send_calls), (1, 6));

    let plan = run_rr(1, 1, LONG, StopCondition::Transactions { total: 6 }, 1);
    let (sockets, peers) = datagrams(&plan);
    let requester = End::new(plan.clone(), sockets, compat);
    let responder = End::new(plan, peers, unframed(0));
    let since = Instant::now();
    let (asked, _) = play((&requester, FlowRole::Request), (&responder, FlowRole::Respond));
    assert!(since.elapsed() >= Duration::from_millis(40), "{:?}", since.elapsed());
    let latency = asked.latency.unwrap();
    assert!(latency.quantile_ns(0.5) < Some(20_000_000));
    assert_eq!((latency.count(), requester.ended(), responder.ended()), (6, 1, 1));
}
