//! Documents of version 1 as podperf wrote them when that version was settled (over loopback): what
//! comes later reads them, renders them and writes them again with every key that they had.

use std::fs;
use std::path::{Path, PathBuf};

use podperf_model::result::calibration::Calibration;
use podperf_model::result::cluster::ClusterRun;
use podperf_model::result::run::{Run, Status};
use podperf_model::result::saturation::Saturation;
use podperf_model::run_log::{Item, LogRecord, Reader};
use podperf_report::{cluster, json, saturation, text};
use serde::Serialize;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/documents/v1")
}

fn document(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Everything that `old` has is in `new`, which may have more.
fn assert_holds(new: &Value, old: &Value, at: &str) {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            for (key, value) in old {
                let at = format!("{at}/{key}");
                assert_holds(new.get(key).unwrap_or_else(|| panic!("{at} is gone")), value, &at);
            }
        }
        (Value::Array(new), Value::Array(old)) => {
            assert_eq!(new.len(), old.len(), "{at}");
            let pairs = new.iter().zip(old).enumerate();
            pairs.for_each(|(index, (new, old))| assert_holds(new, old, &format!("{at}/{index}")));
        }
        _ => assert_eq!(new, old, "{at}"),
    }
}

fn assert_written_again(read: &impl Serialize, name: &str) {
    let old = serde_json::from_str(&document(name)).unwrap();
    assert_holds(&serde_json::to_value(read).unwrap(), &old, name);
}

#[test]
fn a_saturation_search_is_read_and_rendered() {
    let search: Saturation = serde_json::from_str(&document("saturation.json")).unwrap();
    assert_written_again(&search, "saturation.json");
    let mut out = Vec::new();
    saturation::text::render(&search, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("no plateau: up to 3 streams"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn runs_of_every_kind_are_read_and_rendered() {
    let files = fs::read_dir(folder()).unwrap();
    let mut names: Vec<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| {
        !["calibration.json", "cluster.json", "coordination.log", "saturation.json"]
            .contains(&&**name)
    });
    assert_eq!(names.len(), 10, "{names:?}");
    for name in names {
        let run: Run = serde_json::from_str(&document(&name))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let complete = run.status == Status::Complete;
        assert_eq!(complete, !name.contains("incomplete"), "{name}");
        assert_written_again(&run, &name);
        assert!(json::render(&run).contains("podperf.run/v1"), "{name}");
        let mut table = Vec::new();
        text::render(&run, &mut table).unwrap();
        let table = String::from_utf8(table).unwrap();
        assert_eq!(table.contains("INCOMPLETE"), !complete, "{name}: {table}");
        assert!(table.contains("window") && table.contains("bound by"), "{name}: {table}");
    }
}

#[test]
fn a_calibration_is_read_and_rendered() {
    let record: Calibration = serde_json::from_str(&document("calibration.json")).unwrap();
    assert_written_again(&record, "calibration.json");
    let mut table = Vec::new();
    text::render_calibration(&record, &mut table).unwrap();
    assert!(!record.streams.is_empty() && !table.is_empty());
}

#[test]
fn a_run_on_kubernetes_is_read_and_rendered() {
    let run: ClusterRun = serde_json::from_str(&document("cluster.json")).unwrap();
    assert_written_again(&run, "cluster.json");
    let (mut plain, mut markdown) = (Vec::new(), Vec::new());
    cluster::text::render(&run, &mut plain).unwrap();
    cluster::markdown::render(&run, &mut markdown).unwrap();
    for rendered in [plain, markdown] {
        let rendered = String::from_utf8(rendered).unwrap();
        assert!(rendered.contains("tcp_stream") && rendered.contains("abc123"), "{rendered}");
    }
}

#[test]
fn a_coordinators_log_is_read() {
    let (mut reader, mut runs, mut records) = (Reader::new(), 0, Vec::new());
    for line in document("coordination.log").lines() {
        match reader.line(line) {
            Some(Item::Result { run, .. }) => {
                assert_eq!(run.status, Status::Complete);
                runs += 1;
            }
            Some(Item::LogRecord(record)) => records.push(record),
            Some(Item::Damaged { header, cause }) => panic!("{header:?}: {cause}"),
            None => {}
        }
    }
    assert_eq!((runs, reader.finish()), (2, Vec::new()));
    assert!(matches!(records.first(), Some(LogRecord::Started { .. })), "{records:?}");
    assert!(matches!(records.last(), Some(LogRecord::Finished { results: 2, .. })), "{records:?}");
}
