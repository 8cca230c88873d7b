//! What is written, and under which names.

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser as _;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::cluster::log_state::LogState;
use crate::plan::options::{LauncherCli, LauncherCommand};
use crate::result::document::{DocumentParts, build};
use podperf_model::result::cluster::ClusterFacts;
use podperf_report::analysis::testing::{plan, samples, streams};

fn output(line: &str) -> ResultArgs {
    let words = ["kubectl-podperf", "run"].into_iter().chain(line.split_whitespace());
    let LauncherCommand::Run(args) = LauncherCli::try_parse_from(words).unwrap().command else {
        panic!()
    };
    args.output
}

fn run() -> ClusterRun {
    let plan = plan(2);
    let log = LogState::default();
    let parts = DocumentParts {
        run_id: "r1",
        plan: &plan,
        facts: ClusterFacts::default(),
        steps: &[],
        pods: &BTreeMap::new(),
        settings: None,
        without_address: &[],
        log: &log,
        ended_early_by: None,
    };
    let mut run = build(parts);
    run.samples = samples(&plan);
    run.samples[1].runs.push(streams(1.0));
    run
}

#[test]
fn everything_is_in_the_directory_and_can_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("deep/er");
    let line = format!("--out-dir {} -o json", named.display());
    let results = ResultsDirectory::open(&output(&line), "r1").unwrap();
    assert_eq!(results.directory(), named);
    let run = run();
    results.files(&run).unwrap();
    results.manifests(&[json!({"kind": "Pod"})]).unwrap();
    let read =
        |name: &str| fs::read_to_string(named.join(name)).unwrap_or_else(|_| panic!("{name}"));
    let back: ClusterRun = serde_json::from_str(&read("result.json")).unwrap();
    assert_eq!(back, run);
    for name in ["cluster.json", "summary.json"] {
        assert!(serde_json::from_str::<Value>(&read(name)).unwrap().is_object(), "{name}");
    }
    assert!(read("report.html").contains("<figure"), "the page has figures");
    assert_eq!(results.page(), named.join("report.html"));
    assert!(read("summary.txt").contains("host") && read("summary.md").contains('|'));
    assert_eq!(read("manifests.yaml"), "---\nkind: Pod\n");
    let names: BTreeSet<String> = fs::read_dir(named.join("samples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let runs: usize = run.samples.iter().map(|sample| sample.runs.len()).sum();
    assert_eq!(names.len(), runs, "each run a file of its own");
    for name in [
        "0001-host-tcp_stream-x1-sample1.json",
        "0002-pod-tcp_stream-x1-sample1-pair0.json",
        "0002-pod-tcp_stream-x1-sample1-pair1.json",
    ] {
        assert!(names.contains(name), "no {name} in {names:?}");
    }
    let first = read("samples/0001-host-tcp_stream-x1-sample1.json");
    assert_eq!(
        serde_json::from_str::<podperf_model::result::run::Run>(&first).unwrap(),
        run.samples[0].runs[0]
    );
}

#[test]
fn a_directory_that_cannot_be_made_is_refused_by_option_and_name() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let named = file.path().join("below");
    let error = ResultsDirectory::open(&output(&format!("--out-dir {}", named.display())), "r1")
        .unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    let text = error.to_string();
    assert!(text.contains("--out-dir") && text.contains(&named.display().to_string()), "{text}");
}

#[test]
fn manifests_survive_yaml_whatever_their_strings_look_like() {
    let objects = vec![
        json!({"kind": "Pod", "port": 5210, "host": true, "none": null, "empty": {}, "list": []}),
        json!({"words": ["yes", "no", "on", "null", "~", "0123", "1e3", "5210", "-", "a: b", "#x",
                         "'", "\"", "{", "[", "*", "&a", "!t", "|", ">", "%", "@", "`", "", " a ",
                         "two\nlines", "tab\there", "---", "...", "1:30", "::1", "=", "y"]}),
        json!({"schedule": "{\"agents\":[\"client-0\"],\"join_seconds\":480,\"steps\":[]}"}),
    ];
    let text = yaml_stream(&objects).unwrap();
    let back: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    assert_eq!(back, objects);
    assert_eq!(yaml_stream(&[]).unwrap(), "");
}

proptest! {
    #[test]
    fn any_string_survives_yaml(words in proptest::collection::vec("\\PC{0,20}", 1..4)) {
        let objects = vec![json!({"words": words})];
        let text = yaml_stream(&objects).unwrap();
        let back: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        prop_assert_eq!(back, objects);
    }
}
