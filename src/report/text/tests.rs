//! What a run looks like, and that no line grows past the limit.

use proptest::prelude::*;

use super::layout::WIDTH;
use super::render;
use crate::error::{Error, Kind};
use crate::outcome::merge::merge;
use crate::outcome::run::Run;
use crate::outcome::testing::{
    STREAM_BYTES, facts, open_loop_input, receiving, rr_run, samples, sending, stream_input,
    stream_run,
};
use crate::outcome::{testing, wild};

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
fn a_closed_loop_run() {
    insta::assert_snapshot!(text(&rr_run()));
}

#[test]
fn an_open_loop_run() {
    insta::assert_snapshot!(text(&merge(open_loop_input(1_000.0))));
}

#[test]
fn a_run_that_lost_its_server() {
    let mut input = stream_input();
    input.server.as_mut().unwrap().samples.clear();
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
    client.samples = samples(&senders, &testing::client_machine(), 0);
    client.facts = facts("client-host", 100, 40);
    input.server.as_mut().unwrap().samples = samples(&receivers, &testing::server_machine(), 0);
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
        input in wild::input(),
    ) {
        let text = text(&merge(input));
        for line in text.lines() {
            prop_assert!(columns(line) <= usize::from(WIDTH), "{} columns: {line}", columns(line));
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}
