//! Status, warnings and exit status of documents.

use serde_json::json;

use super::*;
use crate::plan::layout::RunLayout;
use crate::plan::test_plan;
use crate::testing::{pod, settings, strings};
use podperf_model::plan::Expect;
use podperf_model::result::cluster::{ProbeFacts, Sample};
use podperf_report::analysis::testing::{full, plan, samples};

/// A document of these samples, complete but for `errors`.
fn document(plan: &ClusterPlan, samples: Vec<Sample>, errors: Vec<Error>) -> ClusterRun {
    let steps: Vec<Step> = Vec::new();
    let (pods, log) = (BTreeMap::new(), LogState::default());
    let mut run = build(DocumentParts {
        run_id: "r1",
        plan,
        facts: ClusterFacts::default(),
        steps: &steps,
        pods: &pods,
        settings: None,
        without_address: &[],
        log: &log,
        ended_early_by: None,
    });
    run.summary = analysis::summarise(plan, &samples);
    run.status = if errors.is_empty() { Status::Complete } else { Status::Incomplete };
    (run.samples, run.errors) = (samples, errors);
    run
}

fn error(kind: Kind) -> Error {
    Error::new(kind, "measure", "as a test wants it")
}

/// Only these tests of the example's plan.
fn plan_of(tests: &[&str]) -> ClusterPlan {
    let mut all = plan(5);
    all.tests = strings(tests);
    full(all)
}

#[test]
fn the_exit_status_tells_what_became_of_the_run() {
    let plan = plan(5);
    let whole = samples(&plan);
    let some = whole[..3].to_vec();
    for (samples, kinds, status) in [
        (whole.clone(), vec![], 0),
        (some.clone(), vec![Kind::Incomplete], 4),
        (some.clone(), vec![Kind::Unmeasured], 4),
        (Vec::new(), vec![Kind::Incomplete], 3),
        (Vec::new(), vec![Kind::Unmeasured], 3),
        (some.clone(), vec![Kind::Incomplete, Kind::Deadline], 5),
        (Vec::new(), vec![Kind::Deadline], 5),
        (some.clone(), vec![Kind::Interrupted, Kind::Incomplete], 130),
        (some, vec![Kind::Deadline, Kind::Terminated], 143),
    ] {
        let errors: Vec<Error> = kinds.iter().map(|kind| error(*kind)).collect();
        let run = document(&plan, samples, errors);
        assert_eq!(exit_status(&run, None), status, "{kinds:?}");
        // How slow a path is does not matter where not all was measured.
        if status > 0 {
            assert_eq!(exit_status(&run, Some(0.0)), status, "{kinds:?}");
        }
    }
}

#[test]
fn what_requests_alone_measured_was_measured() {
    let plan = plan_of(&["tcp_rr"]);
    let some = samples(&plan)[..2].to_vec();
    assert_eq!(exit_status(&document(&plan, some, vec![error(Kind::Incomplete)]), None), 4);
}

#[test]
fn a_slow_path_is_an_exit_status_of_its_own_if_asked_for() {
    // Each path of the example is slower than the one before by a third: 67 and 44 percent.
    for tests in [&["tcp_stream"][..], &["tcp_rr"], &["tcp_stream", "tcp_rr"]] {
        let plan = plan_of(tests);
        let run = document(&plan, samples(&plan), Vec::new());
        assert!(run.summary.rows.iter().any(|row| row.rate_vs_baseline.is_some()));
        for (most, status) in [(None, 0), (Some(10.0), 1), (Some(50.0), 1), (Some(0.0), 1)] {
            assert_eq!(exit_status(&run, most), status, "{tests:?} {most:?}");
        }
        assert_eq!(exit_status(&run, Some(500.0)), 0, "{tests:?}");
    }
    // By throughput alone: 56 percent slower at the worst.
    let plan = plan_of(&["tcp_stream"]);
    let run = document(&plan, samples(&plan), Vec::new());
    assert_eq!(exit_status(&run, Some(60.0)), 0);
}

#[test]
fn rate_and_latency_are_each_enough_to_be_slow() {
    let plan = plan_of(&["tcp_rr"]);
    let both = document(&plan, samples(&plan), Vec::new());
    for by_rate in [true, false] {
        let mut run = both.clone();
        for row in &mut run.summary.rows {
            let other =
                if by_rate { &mut row.latency_vs_baseline } else { &mut row.rate_vs_baseline };
            *other = None;
        }
        assert_eq!(exit_status(&run, Some(10.0)), 1, "by rate: {by_rate}");
        // Latency more than doubles, by 125 percent; a rate cannot fall by so much.
        assert_eq!(exit_status(&run, Some(100.0)), u8::from(!by_rate), "by rate: {by_rate}");
    }
}

fn probe(met: bool) -> ProbeFacts {
    ProbeFacts {
        path: "policies".to_owned(),
        agent: "client-0".to_owned(),
        address: "10.1.0.1:5219".to_owned(),
        expect: Expect::NoAnswer,
        met,
        seconds: 0.5,
        cause: None,
    }
}

#[test]
fn a_document_is_put_together_from_what_was_told() {
    let settings = settings("--scenarios host,policies --policies 3 -P 1 --rr-flows 1 --samples 1");
    let plan = test_plan::cluster_plan(&settings);
    let steps = test_plan::order(&settings, |row| vec![format!("of {}", row.path.name())]);
    let pods = BTreeMap::from([(
        "podperf-r1-client-0".to_owned(),
        pod(&json!({"metadata": {"name": "podperf-r1-client-0"}})),
    )]);
    let mut log =
        LogState { finished: Some(None), probes: vec![probe(false)], ..LogState::default() };
    for (number, step) in (1..).zip(&steps) {
        let run = if step.test.starts_with("tcp_rr") {
            analysis::testing::requests(1.0)
        } else {
            analysis::testing::streams(1.0)
        };
        log.results.insert((number, step.agents[0].clone()), run);
    }
    let parts = |ended_early_by: Option<Error>, log: &LogState| {
        build(DocumentParts {
            run_id: "r1",
            plan: &plan,
            facts: ClusterFacts::default(),
            steps: &steps,
            pods: &pods,
            settings: None,
            without_address: &[],
            log,
            ended_early_by,
        })
    };
    let run = parts(None, &log);
    assert_eq!((&*run.schema, &*run.run_id, run.status), (SCHEMA, "r1", Status::Complete));
    assert_eq!((run.samples.len(), run.pods.len(), run.probes.len()), (4, 1, 1));
    assert_eq!(run.summary.rows.len(), 4);
    assert!(
        run.errors.is_empty() && run.warnings.iter().any(|it| it.code == "policies_not_enforced")
    );
    assert_eq!(run.policies.as_ref().unwrap().enforced, Some(false));
    assert_eq!(exit_status(&run, None), 0);
    // One result less.
    let key = log.results.keys().next().unwrap().clone();
    log.results.remove(&key);
    log.probes = vec![probe(true)];
    let run = parts(None, &log);
    assert_eq!((run.status, run.errors.len(), exit_status(&run, None)), (Status::Incomplete, 1, 4));
    assert!(run.warnings.iter().all(|it| it.code != "policies_not_enforced"));
    let run = parts(Some(error(Kind::Interrupted)), &log);
    assert_eq!(exit_status(&run, None), 130);
    let back: ClusterRun = serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap();
    assert_eq!(back, run);
}

/// The document of a run of these settings, by its coordinator's log.
fn of_run(
    settings: &Settings,
    pods: &BTreeMap<String, Pod>,
    without_address: &[MissingPath],
    log: &LogState,
    ended_early_by: Option<Error>,
) -> ClusterRun {
    let layout = RunLayout::new(settings);
    build(DocumentParts {
        run_id: &settings.run_id,
        plan: &test_plan::cluster_plan(settings),
        settings: Some(settings),
        facts: ClusterFacts::default(),
        steps: &test_plan::order(settings, |row| layout.agents(row)),
        pods,
        without_address,
        log,
        ended_early_by,
    })
}

#[test]
fn a_run_that_came_nowhere_is_a_document_too() {
    let settings = settings("--scenarios pod --preset quick");
    let (pods, log) = (BTreeMap::new(), LogState::default());
    let run = of_run(&settings, &pods, &[], &log, Some(error(Kind::Unmeasured)));
    assert_eq!((run.status, run.samples.len(), run.pods.len()), (Status::Incomplete, 9, 0));
    assert_eq!(run.errors[0], error(Kind::Unmeasured));
    assert_eq!(exit_status(&run, None), 3);
}

#[test]
fn a_path_without_an_address_makes_a_run_incomplete() {
    let settings =
        settings("--scenarios pod --tests tcp_rr --rr-flows 1 --samples 1 --pod-label a=b");
    let labels = json!({"app.kubernetes.io/component": "client"});
    let client = json!({"metadata": {"name": "c", "labels": labels},
                        "spec": {"containers": [{"name": "client"}]}});
    let pods = BTreeMap::from([("c".to_owned(), pod(&client))]);
    let mut log = LogState { finished: Some(None), ..LogState::default() };
    log.results.insert((1, "client-0".to_owned()), analysis::testing::requests(1.0));
    let run = of_run(&settings, &pods, &[], &log, None);
    assert_eq!((run.status, run.errors.len(), exit_status(&run, None)), (Status::Complete, 0, 0));
    assert!(run.warnings.iter().any(|warning| warning.code == "mesh_not_injected"));
    let missing = [("pod-v6".to_owned(), "it has no IPv6 address".to_owned())];
    let run = of_run(&settings, &pods, &missing, &log, None);
    assert_eq!((run.status, exit_status(&run, None)), (Status::Incomplete, 4));
    assert_eq!(run.errors.len(), 1);
    assert_eq!(run.errors[0].kind, Kind::Incomplete);
    assert_eq!(
        run.errors[0].to_string(),
        "find an address for path pod-v6: it has no IPv6 address"
    );
}
