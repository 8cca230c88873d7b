//! Tests of the coordinator's log.

use super::*;
use podperf_model::result::run::Run;
use podperf_model::result::testing;
use podperf_model::run_log::{Item, Reader};

fn step() -> Step {
    Step { test: "a".into(), sample: 2, agents: vec!["m".into()], limit_seconds: 1 }
}

fn status(outcomes: &[Result<&Run, &str>]) -> u8 {
    let mut output = Vec::new();
    let mut log = RunLog::open(&mut output, 1).unwrap();
    for (number, outcome) in (1..).zip(outcomes) {
        let encoded = outcome.map(|run| EncodedRun::of(run).unwrap()).map_err(str::to_owned);
        log.outcome((number, &step()), "m", encoded).unwrap();
    }
    log.finish(None).unwrap();
    let status = log.exit_status();
    let mut reader = Reader::new();
    let text = String::from_utf8(output).unwrap();
    let items = text.lines().filter_map(|line| reader.line(line));
    let results = items.filter(|item| matches!(item, Item::Result { .. })).count();
    assert_eq!(results, outcomes.iter().filter(|outcome| outcome.is_ok()).count());
    status
}

#[test]
fn the_exit_status_tells_all_some_and_nothing_apart() {
    let complete = testing::stream_run();
    let broken = Run { status: Status::Incomplete, ..complete.clone() };
    let empty = Run { throughput: None, ..broken.clone() };
    assert_eq!(status(&[Ok(&complete), Ok(&complete)]), 0);
    assert_eq!(status(&[]), 0);
    assert_eq!(status(&[Ok(&complete), Err("lost")]), 4);
    assert_eq!(status(&[Ok(&broken)]), 4);
    assert_eq!(status(&[Ok(&empty), Err("lost")]), 3);
    assert_eq!(status(&[Err("lost")]), 3);
}

#[test]
fn texts_of_any_length_are_cut_between_characters() {
    assert_eq!(short("a"), "a");
    assert_eq!(short(""), "");
    let cut = short(&"ä".repeat(MAX_TEXT_BYTES));
    assert_eq!(cut, format!("{}…", "ä".repeat(MAX_TEXT_BYTES / 2)));
}
