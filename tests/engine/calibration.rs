//! `podperf calibrate` and what `stream` and `rr` make of its record, as processes over loopback.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::process::{Client, podperf};
use crate::support::{list, number, text};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Runs podperf with its calibration in `file`.
fn run(file: &Path, line: &str) -> crate::support::process::Outcome {
    let mut command = podperf(None);
    command.env("PODPERF_CALIBRATION", file);
    let words: Vec<&str> = line.split_whitespace().collect();
    Client::launch(command, &words).wait(TIMEOUT)
}

fn document(text: &str) -> Value {
    serde_json::from_str(text).expect("one JSON document")
}

#[test]
fn runs_are_held_against_the_record_while_it_is_of_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cache/calibration.json");
    let calibrated = {
        let mut command = podperf(None);
        command.env("PODPERF_CALIBRATION", &file);
        command.args(["calibrate", "-t", "2", "-J"]).output().unwrap()
    };
    let messages = String::from_utf8_lossy(&calibrated.stderr).into_owned();
    assert!(calibrated.status.success(), "{messages}");
    assert!(messages.contains("calibrating: write/read, 1 stream"), "{messages}");
    let record = document(&String::from_utf8(calibrated.stdout).unwrap());
    assert_eq!(record, document(&fs::read_to_string(&file).unwrap()));
    assert_eq!(text(&record, "/schema"), "podperf.calibration/v1");
    for pointer in ["/steps/0/ns", "/sends/0/cpu_ns", "/receives/0/mean_bytes"] {
        assert!(number(&record, pointer) > 0.0, "{pointer}");
    }
    let ceiling = number(&record, "/streams/0/bits_per_second");

    let stream = run(&file, "stream -t 0.3 -O 0 -i 0.3 -J -q");
    assert_eq!(stream.status, 0, "{}", stream.stderr);
    assert_eq!(number(&stream.json, "/ceiling/bits_per_second"), ceiling);
    let share = number(&stream.json, "/throughput/bits_per_second") / ceiling;
    assert!((number(&stream.json, "/ceiling/share") - share).abs() < 1e-9);
    if share >= 0.9 {
        let bound = text(&stream.json, "/verdict/bound_by");
        assert!(["generator", "softirq_core", "cpu_quota"].contains(&bound), "{bound}");
    }

    assert!(stream.json["no_ceiling"].is_null());

    let pair = run(&file, "stream --send splice --recv trunc -t 0.3 -O 0 -i 0.3 -J -q");
    assert_eq!(pair.status, 0, "{}", pair.stderr);
    assert!(pair.json["ceiling"].is_null());
    let reason = text(&pair.json, "/no_ceiling");
    assert!(reason.starts_with("the calibration has no splice/trunc: it pairs"), "{reason}");

    let mut old = record;
    old["machine"]["kernel"] = "2.4.0".into();
    fs::write(&file, old.to_string()).unwrap();
    let foreign = run(&file, "rr -t 0.3 -O 0 -i 0.3 -J -q");
    assert_eq!(foreign.status, 0, "{}", foreign.stderr);
    assert!(foreign.json["ceiling"].is_null());
    let warnings = list(&foreign.json, "/warnings").iter();
    let ignored = warnings.filter(|warning| warning["code"] == "calibration_ignored");
    let texts: Vec<_> = ignored.map(|warning| warning["text"].to_string()).collect();
    assert!(texts.len() == 1 && texts[0].contains("kernel was 2.4.0 and is"), "{texts:?}");
}

#[test]
fn a_place_that_cannot_be_written_is_named_and_the_record_is_shown() {
    let mut command = podperf(None);
    command.args(["calibrate", "-t", "2", "-q", "-o", "/proc/nowhere/calibration.json"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        messages.contains("store the calibration in '/proc/nowhere/calibration.json'"),
        "{messages}"
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("loopback ceiling"));

    let mut homeless = podperf(None);
    for name in ["PODPERF_CALIBRATION", "XDG_CACHE_HOME", "HOME"] {
        homeless.env_remove(name);
    }
    let output = homeless.args(["calibrate"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--no-store"));
}
