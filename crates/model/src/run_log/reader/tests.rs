//! Logs that are whole, cut, repeated, mixed up or damaged, and what is read out of them.

use proptest::prelude::*;

use super::super::{ResultKey, SCHEMA, write, write_encoded, write_result};
use super::*;
use crate::result::testing;

fn place(step: u32, agent: &str) -> ResultKey {
    ResultKey { step, test: "a".into(), sample: 1, agent: agent.into() }
}

fn records() -> Vec<LogRecord> {
    let started = LogRecord::Started {
        schema: SCHEMA.into(),
        podperf_version: "1".into(),
        steps: 2,
        at_unix_seconds: 1.5,
    };
    let beat = LogRecord::Heartbeat {
        elapsed_seconds: 2.0,
        step: Some(1),
        steps: 2,
        test: Some("a".into()),
        sample: Some(1),
        bits_per_second: Some(1e9),
        transactions_per_second: None,
    };
    let finished = LogRecord::Finished { results: 2, cause: None };
    vec![started, LogRecord::Joined { agent: "one".into() }, beat, finished]
}

/// Records, with a result of several lines and one of another agent in their midst.
fn log() -> (String, Vec<Run>) {
    let mut long = testing::stream_run();
    // Incompressible, so that it takes several lines.
    let mut dice = fastrand::Rng::with_seed(7);
    long.command = (0..3000).map(|_| format!("{:016x}", dice.u64(..))).collect();
    let runs = vec![long, testing::stream_run()];
    let mut to = Vec::new();
    let records = records();
    for record in &records[..3] {
        write(&mut to, record).unwrap();
    }
    write_result(&mut to, &place(1, "one"), &runs[0]).unwrap();
    write_encoded(&mut to, &place(1, "two"), &EncodedRun::of(&runs[1]).unwrap()).unwrap();
    write(&mut to, &records[3]).unwrap();
    (String::from_utf8(to).unwrap(), runs)
}

fn whole(items: &[Item]) -> Vec<Run> {
    let run = |item: &Item| match item {
        Item::Result { run, .. } => Some((**run).clone()),
        _ => None,
    };
    items.iter().filter_map(run).collect()
}

fn told(items: &[Item]) -> Vec<LogRecord> {
    let record = |item: &Item| match item {
        Item::LogRecord(record) => Some(record.clone()),
        _ => None,
    };
    items.iter().filter_map(record).collect()
}

fn read<'a>(lines: impl Iterator<Item = &'a str>) -> (Vec<Item>, Vec<Item>) {
    let mut reader = Reader::new();
    let items = lines.filter_map(|line| reader.line(line)).collect();
    (items, reader.finish())
}

#[test]
fn records_and_results_come_out_in_their_order_and_no_line_is_long() {
    let (log, runs) = log();
    assert!(log.lines().all(|line| line.len() <= LINE_CHARS) && log.lines().count() > 15);
    let (items, damaged) = read(log.lines());
    assert_eq!((told(&items), whole(&items), damaged.len()), (records(), runs, 0));
    assert!(matches!(&items[3], Item::Result { header, .. } if header.agent == "one"));
    assert_eq!(items.len(), 6);
}

#[test]
fn a_log_read_again_tells_nothing_twice() {
    let (log, runs) = log();
    let (items, damaged) = read(log.lines().chain(log.lines()));
    assert_eq!((told(&items), whole(&items), damaged.len()), (records(), runs, 0));
}

#[test]
fn foreign_lines_stand_anywhere_without_harm() {
    let (log, runs) = log();
    let foreign = [
        "podperf: step 1: a",
        "",
        "{",
        "{\"record\":\"nosuch\"}",
        "[1]",
        "AAAA=",
        "{\"record\":\"beat\"}",
    ];
    let lines = log.lines().flat_map(|line| foreign.into_iter().chain([line]));
    let (items, damaged) = read(lines);
    assert_eq!((told(&items), whole(&items), damaged.len()), (records(), runs, 0));
}

#[test]
fn a_lost_or_changed_line_damages_its_result_alone() {
    let (log, runs) = log();
    let lines: Vec<&str> = log.lines().collect();
    for changed in 4..8 {
        let without = lines.iter().enumerate().filter(|(at, _)| *at != changed);
        let (items, damaged) = read(without.map(|(_, line)| *line));
        assert_eq!((told(&items), whole(&items)), (records(), runs[1..].to_vec()));
        let [Item::Damaged { header, cause }] = &damaged[..] else { panic!("{damaged:?}") };
        assert_eq!(header.agent, "one");
        assert!(cause.contains(" lines"), "{cause}");
        let turned: String = lines[changed].chars().rev().collect();
        let with = lines.iter().enumerate();
        let with = with.map(|(at, line)| if at == changed { &turned[..] } else { line });
        let (items, damaged) = read(with);
        assert_eq!((whole(&items), damaged.len()), (runs[1..].to_vec(), 1));
    }
}

#[test]
fn headers_that_announce_too_much_are_refused_and_cost_nothing() {
    for lines in [0, u32::MAX] {
        let header = ResultHeader {
            step: 1,
            test: "a".into(),
            sample: 1,
            agent: "one".into(),
            lines,
            sha256: String::new(),
        };
        let text = serde_json::to_string(&LogRecord::Result(header)).unwrap();
        let mut reader = Reader::new();
        assert_eq!(reader.line(&text), None);
        let data = "A".repeat(LINE_CHARS);
        assert!((0..100).all(|_| reader.line(&data).is_none()));
        assert!(reader.gathering.is_none());
        let damaged = reader.finish();
        assert!(
            matches!(&damaged[..], [Item::Damaged { cause, .. }]
            if cause.contains("are announced")),
            "{damaged:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Cut anywhere, even inside a line, and then read from the beginning.
    #[test]
    fn a_log_cut_anywhere_and_read_again_is_whole(at in 0.0..1.0_f64) {
        let (log, runs) = log();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below it")]
        let cut = (log.len() as f64 * at) as usize;
        let (items, damaged) = read(log[..cut].lines());
        prop_assert!(whole(&items).len() + damaged.len() <= 2);
        prop_assert!(told(&items).len() <= 4);
        let (items, damaged) = read(log[..cut].lines().chain(log.lines()));
        prop_assert_eq!((whole(&items), damaged.len()), (runs, 0));
        prop_assert_eq!(told(&items).len(), 4);
    }

    #[test]
    fn no_lines_make_it_panic(
        lines in prop::collection::vec("\\PC{0,80}|[A-Za-z+/=]{0,12}", 0..20),
    ) {
        let _ = read(lines.iter().map(String::as_str));
    }
}
