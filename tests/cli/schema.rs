//! The JSON Schemas in docs/: the types make them, the program prints that of a run, documents obey
//! them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use podperf_model::result::merge::{Input, merge};
use podperf_model::result::schema::{json_schema, saturation_schema};
use podperf_model::result::testing;
use podperf_report::json;
use serde_json::Value;

/// Renews the file instead of refusing it.
const RENEW: &str = "UPDATE_SCHEMA";

type MakeSchema = fn() -> Value;

/// Documents, by the names in their files.
const DOCUMENTS: [(&str, MakeSchema); 2] =
    [("run", json_schema), ("saturation", saturation_schema)];

fn published(document: &str) -> PathBuf {
    let file = format!("docs/podperf.{document}.v1.schema.json");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

#[test]
fn the_schema_in_docs_is_up_to_date() {
    for (document, schema) in DOCUMENTS {
        let expected = format!("{:#}\n", schema());
        let file = published(document);
        if std::env::var_os(RENEW).is_some() {
            fs::write(&file, &expected).expect("docs/ can be written to");
        }
        let found = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            found == expected,
            "{} is out of date; run: {RENEW}=1 cargo test -p podperf --test cli the_schema_in_docs",
            file.display()
        );
    }
}

/// A schema that has just been renewed is not in the program yet.
#[test]
fn the_program_prints_the_schema_in_docs() {
    if std::env::var_os(RENEW).is_some() {
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_podperf")).arg("schema").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout == fs::read(published("run")).unwrap(), "not the file in docs/");
}

/// What is wrong with a document, in words.
fn faults(document: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(&json_schema()).expect("the schema is one");
    validator
        .iter_errors(document)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect()
}

fn document(input: Input) -> Value {
    serde_json::from_str(&json::render(&merge(input))).expect("one JSON document")
}

#[test]
fn documents_obey_the_schema() {
    let whole = [
        testing::stream_input(),
        testing::rr_input(),
        testing::open_loop_input(1_000.0),
        testing::crr_input(),
    ];
    for input in whole {
        assert_eq!(faults(&document(input.clone())), [""; 0]);
        for lose in [
            |input: &mut Input| input.server = None,
            |input: &mut Input| input.client = None,
            |input: &mut Input| (input.client, input.server) = (None, None),
        ] {
            let mut part = input.clone();
            lose(&mut part);
            let document = document(part);
            assert_eq!(document["status"], "incomplete");
            assert_eq!(faults(&document), [""; 0]);
        }
    }
}

#[test]
fn the_schema_refuses_what_is_no_result() {
    let good = document(testing::stream_input());
    let mut no_headline = good.clone();
    no_headline["throughput"]["bits_per_second"] = Value::Null;
    assert_eq!(faults(&no_headline).len(), 1, "{:?}", faults(&no_headline));
    let mut no_schema = good;
    no_schema.as_object_mut().expect("an object").remove("schema");
    assert_eq!(faults(&no_schema).len(), 1);
}

/// The paths that programs read, each with its type.
#[test]
fn the_promised_paths_are_there() {
    let stream = document(testing::stream_input());
    let rr = document(testing::rr_input());
    let number = [
        "/window/seconds",
        "/window/start_skew_us",
        "/throughput/bits_per_second",
        "/throughput/sent_bits_per_second",
        "/streams/0/id",
        "/streams/0/bytes_received",
        "/streams/0/bytes_sent",
        "/streams/0/bits_per_second",
        "/streams/0/retransmits",
        "/streams/0/rtt_us",
        "/fairness",
        "/cpu/client/process/user_cores",
        "/cpu/server/process/system_cores",
        "/cpu/client/cores_per_gbit",
        "/intervals/0/bits_per_second",
    ];
    let cpu = ["user", "nice", "system", "iowait", "irq", "softirq", "steal", "idle"];
    let cpu = cpu.iter().flat_map(|field| {
        [format!("/cpu/client/{field}_cores"), format!("/cpu/server/per_cpu/0/{field}_cores")]
    });
    for path in number.into_iter().map(str::to_owned).chain(cpu) {
        assert!(stream.pointer(&path).is_some_and(Value::is_number), "{path}");
    }
    for field in
        ["mean", "stddev", "min", "p50", "p90", "p99", "max"].map(|name| format!("{name}_ns"))
    {
        assert!(rr["latency"][&field].is_number(), "{field}");
    }
    for (path, value) in [("/transactions/count", 2_000.0), ("/transactions/per_second", 1_000.0)] {
        assert_eq!(rr.pointer(path).and_then(Value::as_f64), Some(value), "{path}");
    }
    for field in ["p99_9_ns", "p99_99_ns"] {
        assert_eq!(rr["latency"].get(field), Some(&Value::Null), "{field}");
    }
    assert!(rr["latency"]["count"].is_number());
    assert!(rr["latency"]["histogram"].is_string());
    assert_eq!(stream["schema"], "podperf.run/v1");
    assert_eq!(stream["status"], "complete");
    assert!(stream["verdict"]["bound_by"].is_string());
    assert!(stream["verdict"]["evidence"].is_array());
    for path in ["/plan", "/host/client", "/host/server"] {
        assert!(stream.pointer(path).is_some_and(Value::is_object), "{path}");
    }
}
