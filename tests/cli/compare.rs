//! `podperf compare` from outside: documents that were written before, changed as each test needs.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use assert_cmd::assert::OutputAssertExt as _;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What samples of one row vary by.
const SPREAD: [f64; 7] = [1.000, 1.010, 0.991, 1.005, 0.994, 1.007, 0.993];

fn fixture(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/documents/v1");
    serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
}

/// A run of streams with so much goodput.
fn run(bits_per_second: f64) -> Value {
    let mut run = fixture("stream.json");
    run["throughput"]["bits_per_second"] = bits_per_second.into();
    run
}

/// A run on Kubernetes of two paths, seven samples each: `host` at `host`, `path` at `share` of it.
fn cluster(host: f64, path: &str, share: f64) -> Value {
    let mut document = fixture("cluster.json");
    let row = |path: &str| json!({"path": path, "test": "tcp_stream", "flows": 2});
    document["plan"]["rows"] = json!([row("host"), row(path)]);
    document["plan"]["samples"] = SPREAD.len().into();
    let mut samples = Vec::new();
    for (round, spread) in SPREAD.iter().enumerate() {
        // The paths do not vary together.
        let other = SPREAD[(round + 3) % SPREAD.len()];
        for (path, rate) in [("host", host * spread), (path, host * share * other)] {
            let mut sample = row(path);
            sample["step"] = (samples.len() + 1).into();
            sample["sample"] = (round + 1).into();
            sample["missing"] = Value::Null;
            sample["runs"] = json!([run(rate)]);
            samples.push(sample);
        }
    }
    document["samples"] = samples.into();
    document
}

/// Folders and files to compare.
struct Sides(TempDir);

impl Sides {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn document(&self, name: &str, document: &Value) {
        self.write(name, document.to_string());
    }

    /// Seven runs in a folder.
    fn runs(&self, folder: &str, bits_per_second: f64) {
        for (number, spread) in SPREAD.iter().enumerate() {
            self.document(&format!("{folder}/{number}.json"), &run(bits_per_second * spread));
        }
    }

    fn compare(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podperf"));
        command.current_dir(self.0.path()).arg("compare").args(line.split_whitespace());
        command.stdin(Stdio::null()).output().unwrap()
    }
}

#[test]
fn a_loss_is_shown_and_a_side_is_no_worse_than_itself() {
    let sides = Sides::new();
    sides.runs("a", 4e9);
    sides.runs("b", 3.2e9);
    for (line, status, verdict) in [
        ("a b", 1, "slower, over"),
        ("b a", 0, "faster"),
        ("a b --tolerance 30%", 0, "slower"),
        ("a b --tolerance 30", 0, "slower"),
        ("a a", 0, "no difference shown"),
        ("a a --fail-inconclusive", 0, "no difference shown"),
    ] {
        sides.compare(line).assert().code(status).stdout(contains(verdict)).stderr("");
    }
    // p of 7 against 7 that do not overlap: 2 in 3,432.
    sides.compare("a b").assert().stdout(contains("<0.001").and(contains("80.0")));
}

#[test]
fn one_run_a_side_has_a_ratio_and_no_interval() {
    let sides = Sides::new();
    sides.document("a.json", &run(4e9));
    sides.document("b.json", &run(1e9));
    let advice = "1 of 1 figure: too few";
    sides
        .compare("a.json b.json")
        .assert()
        .code(0)
        .stdout(contains("inconclusive").and(contains("25.0")).and(contains(advice)));
    sides.compare("a.json b.json --fail-inconclusive").assert().code(1);
}

#[test]
fn runs_on_kubernetes_are_held_against_their_own_baseline_first() {
    let sides = Sides::new();
    sides.document("a/result.json", &cluster(4e9, "pod", 0.6));
    // Nodes half as fast again, and the same network on them.
    sides.document("b/result.json", &cluster(6e9, "pod", 0.6));
    // The samples stand in the launcher's folder once more.
    sides.document("b/samples/0001-pod.json", &run(9e9));
    sides.document("c/result.json", &cluster(6e9, "pod", 0.5));
    let table = |output: &Output| {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        text.lines()
            .find(|line| line.starts_with("pod "))
            .unwrap_or_else(|| panic!("{text}"))
            .to_owned()
    };
    let same = sides.compare("a b");
    let words: Vec<String> = table(&same).split_whitespace().map(str::to_owned).collect();
    assert_eq!((&*words[2], &*words[words.len() - 4]), ("100.0", "150.0"), "{words:?}");
    same.assert().code(0).stdout(contains("complete samples: 14)"));
    let worse = sides.compare("a c");
    assert!(table(&worse).contains("slower, over"), "{}", table(&worse));
    worse.assert().code(1).stdout(contains("83.3").and(contains("125.0")));
    // One table, each against the first.
    sides.compare("a b c").assert().code(1).stdout(predicate::function(|text: &str| {
        let rows = text.lines().filter(|line| line.starts_with("pod ")).count();
        text.matches(": goodput\n").count() == 1 && rows == 2
    }));
}

#[test]
fn what_differs_beside_the_figures_stands_first() {
    let sides = Sides::new();
    let mut other = run(4e9);
    other["host"]["server"]["kernel"] = "6.18.0".into();
    other["plan"]["socket"]["congestion_control"] = "bbr".into();
    other["transport"]["client"]["send"]["used"] = "splice".into();
    sides.document("a.json", &run(4e9));
    sides.document("b.json", &other);
    let output = sides.compare("a.json b.json");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
    let table = place(": goodput\n");
    assert!(place("server kernel: 6.12.0 in A, 6.18.0 in B") < table);
    assert!(place("client send used: write in A, splice in B (rows: 1)") < table);
    assert!(place("plan socket congestion_control: default in A, bbr in B (rows: 1)") < table);
    output.assert().code(0);
}

#[test]
fn what_differs_in_kind_is_never_divided() {
    let sides = Sides::new();
    sides.document("a.json", &run(4e9));
    let mut other = run(4e9);
    other["plan"]["workload"]["message_bytes"] = 65_536.into();
    sides.document("size.json", &other);
    let mut other = run(4e9);
    other["plan"]["flows"] = 5.into();
    sides.document("flows.json", &other);
    sides.document("rr.json", &fixture("rr.json"));
    sides.document("cluster.json", &cluster(4e9, "pod", 0.6));
    for (file, words) in [
        ("size.json", "stream, 2 flows: message bytes 131072 in A, 65536 in B"),
        ("flows.json", "stream, 2 flows: flows 2 in A, 5 in B"),
        ("rr.json", "stream, 2 flows: not in B"),
        ("cluster.json", "path none in A, host in B"),
    ] {
        let output = sides.compare(&format!("a.json {file}"));
        let expected = contains("not comparable: ").and(contains(words));
        output.assert().code(3).stdout(expected.and(contains("no row could be compared")));
    }
    // One row of two is there.
    sides.document("both/1.json", &run(4e9));
    sides.document("both/2.json", &fixture("rr.json"));
    sides.compare("both a.json").assert().code(4).stdout(contains("not comparable: rr, 1 flow"));
}

#[test]
fn incomplete_runs_are_told_and_in_no_figure() {
    let sides = Sides::new();
    sides.runs("a", 4e9);
    sides.runs("b", 4e9);
    let mut broken = run(1e6);
    broken["status"] = "incomplete".into();
    broken["errors"] = json!([{"operation": "receive from", "peer": "192.0.2.2:5210",
        "cause": "connection reset"}]);
    sides.document("b/broken.json", &broken);
    let told = "left out  B: b/broken.json: receive from 192.0.2.2:5210: connection reset";
    sides.compare("a b").assert().code(4).stdout(contains(told).and(contains("100.0")));
    // What the first lacks too is no loss of the second's.
    sides.compare("b b").assert().code(0);
    sides.document("lost.json", &broken);
    sides.compare("a lost.json").assert().code(3).stdout(contains("no complete sample in B"));
}

#[test]
fn files_that_are_no_results_are_errors_that_help() {
    let sides = Sides::new();
    sides.document("a.json", &run(4e9));
    let whole = run(4e9).to_string();
    sides.write("cut.json", &whole[..whole.len() / 2]);
    sides.write("empty.json", "");
    sides.write("foreign.json", r#"{"schema": "other/v1"}"#);
    sides.write("plain.json", r#"{"end": {}}"#);
    sides.write("list.json", "[1]");
    sides.write("number.json", "5");
    sides.write("newer.json", r#"{"schema": "podperf.run/v2"}"#);
    sides.document("calibration.json", &fixture("calibration.json"));
    sides.write("none/readme.txt", "x");
    sides.write("broken/one.json", "{");
    for (file, words) in [
        ("nosuch.json", "No such file"),
        ("cut.json", "no whole JSON document: EOF"),
        ("empty.json", "the file is empty"),
        ("foreign.json", "it has schema other/v1"),
        ("plain.json", "it has no schema"),
        ("list.json", "it has no schema"),
        ("number.json", "it is no object"),
        ("newer.json", "not comparable: its schema is podperf.run/v2, and this podperf reads"),
        ("calibration.json", "a document of schema podperf.calibration/v1"),
        ("none", "the folder has no whole document"),
        ("broken", "broken/one.json: no whole JSON document"),
    ] {
        let output = sides.compare(&format!("a.json {file}"));
        let names = contains(format!("podperf: error: read '{file}'"));
        output.assert().code(2).stdout("").stderr(names.and(contains(words)));
    }
    sides.compare("a.json").assert().code(2).stderr(contains("RESULT"));
    sides.compare("a.json a.json --tolerance x").assert().code(2).stderr(contains("percent"));
    sides
        .compare("a.json a.json --junit /nonexistent/j")
        .assert()
        .code(2)
        .stderr(contains("--junit"));
}

#[test]
fn a_folder_gives_each_whole_document_once() {
    let sides = Sides::new();
    sides.runs("a", 4e9);
    sides.runs("b/deep/er", 4e9);
    sides.document("b/copy.json", &run(4e9));
    sides.write("b/cut.json", r#"{"schema": "podperf.run/v1""#);
    sides.write("b/package.json", r#"{"name": "something else"}"#);
    sides.write("b/cluster/result.json", r#"{"schema": "podperf.cluster/v1", "#);
    sides.document("b/cluster/samples/1.json", &run(1e6));
    sides.compare("a b").assert().code(0).stdout(
        contains("b (documents: 7, rows: 1, complete samples: 7)")
            .and(contains("B: b/deep/er/0.json: the same document as b/copy.json"))
            .and(contains("B: b/cut.json: no whole JSON document"))
            .and(contains("B: b/cluster/result.json: no whole JSON document"))
            .and(contains("package.json").not()),
    );
}

/// Counts of cases, failures, errors and skipped ones, by a parser of XML.
fn parsed(junit: &Path) -> String {
    let program = "import sys, xml.etree.ElementTree as tree\n\
                   suites = tree.parse(sys.argv[1]).getroot()\n\
                   assert suites.tag == 'testsuites', suites.tag\n\
                   for suite in suites:\n\
                   \x20   kinds = ['', '/failure', '/error', '/skipped']\n\
                   \x20   found = [len(suite.findall('testcase' + kind)) for kind in kinds]\n\
                   \x20   told = [int(suite.get(kind)) for kind in\n\
                   \x20           ['tests', 'failures', 'errors', 'skipped']]\n\
                   \x20   assert found == told, (found, told)\n\
                   \x20   print(*found, suite.find('testcase').get('name'))\n";
    let output = Command::new("python3").arg("-c").arg(program).arg(junit).output();
    let output = output.expect("python3 parses JUnit's XML");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn names_from_elsewhere_make_no_markup() {
    let sides = Sides::new();
    let path = "p|<b>\"&\u{7}\u{1b}[31m,";
    let named = |share: f64| {
        let mut document = cluster(4e9, path, share);
        for sample in document["samples"].as_array_mut().unwrap() {
            sample["runs"][0]["plan"]["workload"]["send"] = "\u{1b}[2J".into();
        }
        document
    };
    sides.document("a/result.json", &named(0.6));
    sides.document("b/result.json", &named(0.4));
    let junit = sides.0.path().join("j.xml");
    sides.compare("a b --junit j.xml").assert().code(1).stdout(contains("\u{1b}").not());
    let told = parsed(&junit);
    assert!(told.starts_with("2 1 0 0 host tcp_stream, 2 flows goodput, B / A"), "{told}");
    sides
        .compare("a b --markdown")
        .assert()
        .code(1)
        .stdout(contains("p\\|&lt;b>").and(contains("| ---: |")).and(contains("\u{1b}").not()));
    let csv = String::from_utf8(sides.compare("a b --csv").stdout).unwrap();
    let mut lines = csv.split("\r\n");
    assert_eq!(lines.next().unwrap().split(',').count(), 22);
    assert!(csv.contains("\"p|<b>\"\"&  [31m,\",2,1,goodput,bit/s,B,7,7,"), "{csv}");
    assert_eq!(lines.filter(|line| !line.is_empty()).count(), 2);
}

#[test]
fn junit_has_a_case_for_every_row() {
    let sides = Sides::new();
    sides.document("both/1.json", &run(4e9));
    sides.document("both/2.json", &fixture("rr.json"));
    sides.document("a.json", &run(4e9));
    let junit = sides.0.path().join("j.xml");
    sides.compare("both a.json --junit j.xml").assert().code(4);
    assert!(parsed(&junit).starts_with("2 0 1 1 stream, 2 flows goodput"));
    sides.compare("both a.json --junit j.xml --fail-inconclusive").assert().code(1);
    assert!(parsed(&junit).starts_with("2 1 1 0 "));
}
