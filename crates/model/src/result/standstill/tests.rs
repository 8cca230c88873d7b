//! What counts as a standstill, and what has another reason.

use crate::error::{Code, Kind};
use crate::plan::StopCondition;
use crate::reading::FlowCounters;
use crate::result::merge::{Input, merge};
use crate::result::testing::{crr_input, open_loop_input, rr_input, stream_input};
use crate::units::{BitRate, Bytes};

/// Nothing moves on `flow` from reading number `from` on.
fn stand_still(input: &mut Input, flow: usize, from: usize) {
    for end in [&mut input.client, &mut input.server] {
        let readings = &mut end.as_mut().unwrap().readings;
        let FlowCounters { bytes_received, transactions, bytes_sent, tcp, .. } =
            readings[from].flows[flow].clone();
        for reading in &mut readings[from..] {
            let own = &mut reading.flows[flow];
            (own.bytes_received, own.transactions) = (bytes_received, transactions);
            if let Some((own, tcp)) = own.tcp.as_mut().zip(tcp) {
                own.bytes_received = tcp.bytes_received;
            }
            own.bytes_sent = if from == 0 { own.bytes_sent } else { bytes_sent };
        }
    }
}

/// What is said of it, as kind and text, and the exit status.
fn told(input: Input) -> (Vec<(Kind, String)>, u8) {
    let run = merge(input);
    assert!(run.errors.iter().all(|error| error.code == Code::NothingReceived));
    (run.errors.iter().map(|error| (error.kind, error.to_string())).collect(), run.exit_status())
}

#[test]
fn a_window_in_which_nothing_came_measured_nothing() {
    let mut input = stream_input();
    (0..2).for_each(|flow| stand_still(&mut input, flow, 0));
    let (errors, status) = told(input);
    let [(kind, text)] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!((*kind, status), (Kind::Unmeasured, 3));
    let start = "measure with 192.0.2.2:5210: nothing was received from client to server in the \
                 window of 2.000 s, though 1000000000 B were sent; ";
    assert!(text.starts_with(start), "{text}");
    assert!(text.contains("smaller MTU"), "{text}");

    for mut input in [rr_input(), crr_input()] {
        stand_still(&mut input, 0, 0);
        // Without transactions there are no latencies.
        input.client.as_mut().unwrap().report.as_mut().unwrap().latency = None;
        let (errors, status) = told(input);
        assert_eq!((errors.len(), errors[0].0, status), (1, Kind::Unmeasured, 3));
        assert!(errors[0].1.contains("no transaction was completed in the window of 2.000 s"));
    }
}

#[test]
fn a_window_at_whose_end_nothing_came_is_incomplete() {
    let mut input = stream_input();
    (0..2).for_each(|flow| stand_still(&mut input, flow, 1));
    let (errors, status) = told(input);
    assert_eq!((errors.len(), errors[0].0, status), (1, Kind::Incomplete, 4));
    let cause = "nothing was received from client to server from 1.000 s on, to the window's end \
                 at 2.000 s (at 1.000 s)";
    assert!(errors[0].1.contains(cause), "{errors:?}");
    for mut input in [rr_input(), crr_input()] {
        stand_still(&mut input, 0, 1);
        assert_eq!(told(input).1, 4);
    }
}

#[test]
fn one_stream_beside_others_is_named() {
    let mut input = stream_input();
    stand_still(&mut input, 1, 1);
    let run = merge(input);
    let [error] = &run.errors[..] else { panic!("{:?}", run.errors) };
    assert_eq!((error.kind, error.stream, run.exit_status()), (Kind::Incomplete, Some(1), 4));
    let text = "1 stream of 2 (1) received nothing in the last 1.000 s of the window";
    assert_eq!(error.cause, text);
}

#[test]
fn what_has_another_reason_is_no_standstill() {
    let complete = |input: Input| assert_eq!(told(input), (Vec::new(), 0));
    // Round trips of 0.3 s: a sender may wait for longer than the silence.
    let mut input = stream_input();
    (0..2).for_each(|flow| stand_still(&mut input, flow, 1));
    for reading in &mut input.client.as_mut().unwrap().readings {
        reading.flows.iter_mut().flat_map(|own| &mut own.tcp).for_each(|tcp| tcp.rtt_us = 300_000);
    }
    complete(input);
    // A payload every 2 s.
    let mut input = stream_input();
    (0..2).for_each(|flow| stand_still(&mut input, flow, 1));
    input.plan.socket.pacing_bits_per_second = Some(BitRate(11_584));
    complete(input);
    let mut input = open_loop_input(0.5);
    stand_still(&mut input, 0, 1);
    complete(input);
    // Large messages are under way as a short window closes.
    let mut input = rr_input();
    stand_still(&mut input, 0, 0);
    input.client.as_mut().unwrap().report.as_mut().unwrap().latency = None;
    for end in [&mut input.client, &mut input.server] {
        for (half, reading) in end.as_mut().unwrap().readings.iter_mut().enumerate() {
            reading.at_ns = 450_000_000 * half as u64;
            reading.flows[0].bytes_received += 1000 * half as u64;
        }
    }
    complete(input);
    // By a count, flows end when they have done their part.
    let mut input = stream_input();
    input.plan.stop_condition = StopCondition::Bytes { total_bytes: Bytes(1 << 30) };
    stand_still(&mut input, 0, 1);
    complete(input);
    // Many streams, of which each has its turn now and then.
    let mut input = stream_input();
    if let crate::plan::Workload::Stream(stream) = &mut input.plan.workload {
        stream.message_bytes = Bytes(64 << 20);
    }
    stand_still(&mut input, 1, 1);
    complete(input);
}

#[test]
fn a_rate_that_explains_it_is_named() {
    let mut input = stream_input();
    (0..2).for_each(|flow| stand_still(&mut input, flow, 0));
    input.plan.socket.pacing_bits_per_second = Some(BitRate(1_000));
    let (errors, status) = told(input);
    assert_eq!(status, 3);
    assert!(errors[0].1.contains("23.168 s pass between two payloads"), "{errors:?}");
}
