//! A coordinator's log: records and results out of lines that anybody may have written, cut off and
//! read again at any place.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use podperf_model::result::testing::{rr_run, stream_run};
use podperf_model::run_log::{
    EncodedRun, Item, LogRecord, Reader, ResultKey, write, write_encoded,
};
use serde_json::{Value, json};

use super::edited;

/// Lines of one input.
const MAX_LINES: usize = 64;

/// The lines of a log with two results, and of records alone those that can be changed.
static LINES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut log = Vec::new();
    let finished = LogRecord::Finished { results: 2, cause: None };
    for record in [LogRecord::Joined { agent: "a".into() }, finished] {
        write(&mut log, &record).expect("memory takes it");
    }
    for (step, run) in [(1, stream_run()), (2, rr_run())] {
        let key = ResultKey { step, test: "t".into(), sample: 1, agent: "a".into() };
        let run = EncodedRun::of(&run).expect("a run can be packed");
        write_encoded(&mut log, &key, &run).expect("memory takes it");
    }
    String::from_utf8_lossy(&log).lines().map(str::to_owned).collect()
});
static RECORDS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let (test, agent, cause) = ("t".to_owned(), "a".to_owned(), "gone".to_owned());
    let records = LINES.iter().filter_map(|line| serde_json::from_str(line).ok());
    let missing =
        LogRecord::Missing { step: 3, test, sample: 1, agent: None, cause: cause.clone() };
    records.chain([json!(missing), json!(LogRecord::Lost { agent, cause })]).collect()
});

/// Checks one log.
pub fn check(data: &[u8]) {
    let lines = if data.first().is_some_and(u8::is_ascii_graphic) {
        let text = String::from_utf8_lossy(data);
        text.lines().take(1_000).map(str::to_owned).collect()
    } else {
        match lines(&mut Unstructured::new(data)) {
            Ok(lines) => lines,
            Err(_) => return,
        }
    };
    let whole = read(&mut Reader::new(), &lines);
    assert_consistent(&whole, Vec::new());
    // Cut off anywhere and read again from the start, it tells as much, and nothing twice.
    let cut = data.first().map_or(0, |&byte| usize::from(byte));
    let mut reader = Reader::new();
    let mut told = read(&mut reader, &lines[..cut % (lines.len() + 1)]);
    told.extend(read(&mut reader, &lines));
    let results = |items: &[Item]| -> BTreeSet<(u32, String)> {
        items.iter().filter_map(result_name).collect()
    };
    assert!(results(&told).is_superset(&results(&whole)), "a result is gone after a cut");
    // A header at the end may belong to lines at the start, which nobody has been told yet; records
    // have been.
    let again = read(&mut reader, &lines);
    let record = again.iter().find(|item| matches!(item, Item::LogRecord(_)));
    assert_eq!(record, None, "told twice");
    told.extend(again);
    assert_consistent(&told, reader.finish());
}

fn lines(input: &mut Unstructured<'_>) -> Result<Vec<String>> {
    // The first byte tells a structured log from a plain one, and where it is cut.
    input.arbitrary::<u8>()?;
    let mut lines = Vec::new();
    while !input.is_empty() && lines.len() < MAX_LINES {
        let line = input.choose(&LINES)?;
        match input.int_in_range(0..=7_u8)? {
            0 => lines.extend(LINES.iter().cloned()),
            1 => lines.push(edited::value(input, &RECORDS)?.to_string()),
            2 => lines.push(input.arbitrary::<&str>()?.to_owned()),
            3 => lines.push(line.chars().take(input.arbitrary::<u16>()?.into()).collect()),
            4 => lines.push(format!("\t{line}  ")),
            _ => lines.push(line.clone()),
        }
    }
    Ok(lines)
}

fn read(reader: &mut Reader, lines: &[String]) -> Vec<Item> {
    lines.iter().filter_map(|line| reader.line(line)).collect()
}

fn result_name(item: &Item) -> Option<(u32, String)> {
    let Item::Result { header, .. } = item else { return None };
    Some((header.step, header.agent.clone()))
}

/// Results are told once each, and none of them is damaged in the end.
fn assert_consistent(told: &[Item], left: Vec<Item>) {
    let names: Vec<_> = told.iter().filter_map(result_name).collect();
    let once: BTreeSet<_> = names.iter().cloned().collect();
    assert_eq!(names.len(), once.len(), "a result was told twice");
    for item in told {
        let marker = matches!(
            item,
            Item::LogRecord(LogRecord::Result(_) | LogRecord::ResultEnd { .. })
                | Item::Damaged { .. }
        );
        assert!(!marker, "{item:?} is no item of a line");
    }
    for item in left {
        let Item::Damaged { header, .. } = item else { panic!("{item:?} at the end") };
        assert!(!once.contains(&(header.step, header.agent)), "whole and damaged");
    }
}
