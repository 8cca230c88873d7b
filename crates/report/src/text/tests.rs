//! What a run looks like, and that no line grows past the limit.

use proptest::prelude::*;

use super::layout::WIDTH_CHARS;
use super::{render, render_calibration};
use podperf_model::error::{Error, Kind};
use podperf_model::plan::Wait;
use podperf_model::plan::{ReceiveMethod, RrPlan, SendMethod, Workload};
use podperf_model::result::calibration::testing::calibration;
use podperf_model::result::calibration::{CallCost, LeftOut, StepCost, hold_against};
use podperf_model::result::end_result::{ReceiveUse, SendUse};
use podperf_model::result::merge::merge;
use podperf_model::result::run::Run;
use podperf_model::result::testing::udp_input;
use podperf_model::result::testing::{
    STREAM_BYTES, crr_input, facts, open_loop_input, readings, receiving, rr_run, sending,
    stream_input, stream_run,
};
use podperf_model::result::{proptest_inputs, testing};

fn text(run: &Run) -> String {
    let mut bytes = Vec::new();
    render(run, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_stream_run() {
    insta::assert_snapshot!(text(&stream_run()));
}

#[test]
fn a_run_held_against_a_calibration() {
    let mut stream = stream_run();
    hold_against(&mut stream, &calibration());
    assert!(
        text(&stream).contains("ceiling   80 % of podperf's 5.000 Gbit/s over loopback (write/"),
        "{}",
        text(&stream)
    );
    stream.plan.workload = Workload::Rr(RrPlan { burst: 2, ..RrPlan::default() });
    hold_against(&mut stream, &calibration());
    assert!(text(&stream).contains("ceiling   none: only one flow"), "{}", text(&stream));
    let mut rr = rr_run();
    hold_against(&mut rr, &calibration());
    assert!(
        text(&rr).contains("8 % of podperf's 40.0 µs over loopback (block, on two CPUs"),
        "{}",
        text(&rr)
    );
}

#[test]
fn a_calibration() {
    let mut record = calibration();
    record.steps.push(StepCost { step: "clock_read".to_owned(), ns: 24.96 });
    record.sends.push(CallCost {
        method: SendMethod::Write,
        cpu_ns: 20_000.0,
        mean_bytes: 131_072.0,
    });
    let why = "ask for it: refused".to_owned();
    record.left_out.push(LeftOut { what: "send something".to_owned(), reason: why });
    let mut bytes = Vec::new();
    render_calibration(&record, &mut bytes).unwrap();
    insta::assert_snapshot!(String::from_utf8(bytes).unwrap());
}

#[test]
fn a_stream_run_by_other_methods() {
    let mut input = stream_input();
    let (client, server) = (input.client.as_mut().unwrap(), input.server.as_mut().unwrap());
    let sent = client.report.as_mut().unwrap().send.as_mut().unwrap();
    sent.add(SendUse::all_by(SendMethod::Splice, 1_000_000_000));
    sent.used = Some(SendMethod::Splice);
    sent.reason = Some("the cheapest: write 0.2000 ns/B, splice 0.1000 ns/B".to_owned());
    (sent.zerocopy_sends, sent.zerocopy_copied) = (40, 30);
    let received = server.report.as_mut().unwrap().receive.as_mut().unwrap();
    *received = ReceiveUse::all_by(ReceiveMethod::Mmap, 1_500_000_000);
    received.add(ReceiveUse::all_by(ReceiveMethod::Read, 500_000_000));
    if let Workload::Stream(stream) = &mut input.plan.workload {
        (stream.send, stream.receive) = (SendMethod::Auto, ReceiveMethod::Mmap);
    }
    insta::assert_snapshot!(text(&merge(input)));
}

#[test]
fn a_closed_loop_run() {
    insta::assert_snapshot!(text(&rr_run()));
}

#[test]
fn a_run_of_connections() {
    let mut input = crr_input();
    input.client.as_mut().unwrap().facts.placement.wait = Wait::Spin;
    input.server.as_mut().unwrap().facts.placement.steered = Some(1);
    let client = input.client.as_mut().unwrap().report.as_mut().unwrap();
    client.connections.as_mut().unwrap().no_port = 7;
    insta::assert_snapshot!(text(&merge(input)));
}

#[test]
fn an_open_loop_run() {
    insta::assert_snapshot!(text(&merge(open_loop_input(1_000.0))));
}

#[test]
fn a_run_of_datagrams() {
    insta::assert_snapshot!(text(&merge(udp_input())));
}

#[test]
fn a_run_that_lost_its_server() {
    let mut input = stream_input();
    input.server.as_mut().unwrap().readings.clear();
    input.errors.push(
        Error::new(Kind::Incomplete, "read from the control connection to", "connection reset")
            .with_peer("192.0.2.2:5210"),
    );
    insta::assert_snapshot!(text(&merge(input)));
}

#[test]
fn a_run_that_measured_nothing() {
    let mut input = stream_input();
    (input.client, input.server) = (None, None);
    let refused = Error::new(Kind::Unmeasured, "connect control connection to", "refused");
    input.errors.push(refused.with_peer("192.0.2.2:5210").with_remedy("start `podperf serve`"));
    insta::assert_snapshot!(text(&merge(input)));
}

#[test]
fn many_streams_are_cut_and_totalled() {
    let mut input = stream_input();
    input.plan.flows = 40;
    let senders = vec![sending(STREAM_BYTES[1], 1, 80); 40];
    let receivers = vec![receiving(STREAM_BYTES[1]); 40];
    let client = input.client.as_mut().unwrap();
    client.readings = readings(&senders, &testing::client_machine(), 0);
    client.facts = facts("client-host", 100, 40);
    input.server.as_mut().unwrap().readings = readings(&receivers, &testing::server_machine(), 0);
    let text = text(&merge(input));
    let rows = text.lines().filter(|line| line.split_whitespace().nth(1) == Some("up")).count();
    assert_eq!(rows, 16, "{text}");
    assert!(text.contains("… 24 more"), "{text}");
    let total = text.lines().find(|line| line.trim_start().starts_with("total")).unwrap();
    assert!(total.contains("40.000"), "{total}");
}

/// Columns that a line takes: the wide characters among those tried take two.
fn columns(line: &str) -> usize {
    line.chars().map(|char| if char.is_ascii() || !wide(char) { 1 } else { 2 }).sum()
}

fn wide(char: char) -> bool {
    ('\u{3000}'..='\u{9fff}').contains(&char)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_line_is_wider_than_the_limit_and_no_control_character_gets_out(
        input in proptest_inputs::input(),
    ) {
        let text = text(&merge(input));
        for line in text.lines() {
            let width = columns(line);
            prop_assert!(width <= usize::from(WIDTH_CHARS), "{width} columns: {line}");
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}
