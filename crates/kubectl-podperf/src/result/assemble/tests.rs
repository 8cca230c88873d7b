//! Samples and errors out of a coordinator's log.

use super::*;
use crate::testing::{laid_out, strings};
use podperf_model::result::run::Run;
use podperf_report::analysis::testing::{requests, streams};

fn step(test: &str, sample: u32, agents: &[&str]) -> Step {
    Step { test: test.to_owned(), sample, agents: strings(agents), limit_seconds: 9 }
}

fn ended_early_by() -> Run {
    let mut run = streams(1.0);
    run.status = Status::Incomplete;
    run.errors = vec![Error::new(Kind::Incomplete, "read from", "connection reset")];
    run
}

fn log_state(results: Vec<(u32, &str, Run)>, missing: &[(u32, Option<&str>, &str)]) -> LogState {
    let results = results.into_iter().map(|(step, agent, run)| ((step, agent.to_owned()), run));
    let missing = missing
        .iter()
        .map(|(step, agent, why)| ((*step, agent.map(str::to_owned)), (*why).to_owned()));
    LogState { results: results.collect(), missing: missing.collect(), ..LogState::default() }
}

#[test]
fn every_step_is_a_sample_whether_there_is_a_result_or_not() {
    let steps = [
        step("tcp_stream.8@pod", 1, &["client-0"]),
        step("tcp_rr.1@clusterip-v6", 2, &["client-0", "client-1"]),
        step("tcp_stream.8@pod", 2, &["client-0"]),
        step("tcp_stream.8@pod", 3, &["client-0"]),
        step("tcp_stream.8@pod", 4, &["client-0"]),
    ];
    let log = log_state(
        vec![
            (1, "client-0", streams(1.0)),
            (2, "client-1", requests(1.0)),
            (5, "client-0", ended_early_by()),
        ],
        &[(2, Some("client-0"), "refused"), (3, None, "the path did not answer")],
    );
    let samples = samples(&steps, &log);
    let row = |sample: &Sample| (sample.step, sample.flows, sample.sample, sample.runs.len());
    let found: Vec<_> = samples.iter().map(row).collect();
    assert_eq!(found, [(1, 8, 1, 1), (2, 1, 2, 1), (3, 8, 2, 0), (4, 8, 3, 0), (5, 8, 4, 1)]);
    let why: Vec<_> = samples.iter().map(|sample| sample.missing.as_deref()).collect();
    assert_eq!(
        why[..4],
        [
            None,
            Some("client-0: refused"),
            Some("client-0: the path did not answer"),
            Some("client-0: the run ended before"),
        ]
    );
    let last = why[4].unwrap();
    assert!(last.starts_with("client-0 broke off: ") && last.ends_with("connection reset"));
    assert_eq!((&*samples[1].test, &*samples[1].path), ("tcp_rr", "clusterip-v6"));
}

#[test]
fn a_reason_of_ones_own_goes_before_that_of_the_step() {
    let steps = [step("tcp_rr.1@pod", 1, &["a", "b"])];
    let log = log_state(Vec::new(), &[(1, None, "given up"), (1, Some("a"), "a's own")]);
    let missing = samples(&steps, &log)[0].missing.clone();
    assert_eq!(missing.as_deref(), Some("a: a's own; b: given up"));
}

#[test]
fn samples_that_miss_for_one_reason_are_one_error() {
    let steps: Vec<Step> = (1..=3)
        .flat_map(|sample| {
            ["tcp_stream.1@pod", "tcp_rr.1@pod", "tcp_stream.1@host"]
                .map(|test| step(test, sample, &["c"]))
        })
        .collect();
    let mut log = log_state(vec![(3, "c", streams(1.0))], &[]);
    log.lost.push(("c".to_owned(), "it went away".to_owned()));
    log.finished = Some(Some("an agent is lost".to_owned()));
    let samples = samples(&steps, &log);
    let first = Error::new(Kind::Deadline, "measure", "not done within 1m");
    let errors = errors(Some(first.clone()), &log, &samples);
    let texts: Vec<String> = errors.iter().map(Error::to_string).collect();
    assert_eq!(errors[0], first);
    assert!(texts[1].contains("c") && texts[1].contains("it went away"), "{texts:?}");
    assert!(texts[2].contains("carry out the schedule: an agent is lost"), "{texts:?}");
    assert!(texts[3].contains("path host (2 samples of tcp_stream x1)"), "{texts:?}");
    assert!(texts[4].contains("path pod (6 samples of tcp_rr x1, tcp_stream x1)"), "{texts:?}");
    assert_eq!(errors.len(), 5);
    assert!(errors[1..].iter().all(|error| error.kind == Kind::Incomplete));
}

#[test]
fn with_nothing_at_all_nothing_was_measured() {
    let steps = [step("tcp_rr.1@pod", 1, &["c"])];
    let log = LogState::default();
    let found = errors(None, &log, &samples(&steps, &log));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].kind, Kind::Unmeasured);
    // A coordinator that ended as it should is no error.
    let whole = LogState { finished: Some(None), ..LogState::default() };
    assert!(errors(None, &whole, &[]).is_empty());
}

#[test]
fn errors_do_not_grow_without_bound() {
    let steps: Vec<Step> = (1..=40).map(|n| step("tcp_rr.1@pod", n, &["c"])).collect();
    let reasons: Vec<String> = (1..=40).map(|n| format!("reason {n}")).collect();
    let missing: Vec<_> = (1..).zip(&reasons).map(|(n, why)| (n, None, why.as_str())).collect();
    let log = log_state(Vec::new(), &missing);
    assert_eq!(errors(None, &log, &samples(&steps, &log)).len(), MAX_ERRORS);
}

#[test]
fn whether_policies_are_enforced_is_told_by_the_denied_probes() {
    let probe = |expect, met| ProbeFacts {
        path: "policies".to_owned(),
        agent: "client-0".to_owned(),
        address: "10.1.0.1:5219".to_owned(),
        expect,
        met,
        seconds: 0.1,
        cause: None,
    };
    let (settings, _) = laid_out("--scenarios policies --policies 5 --idle-policies 2");
    let plan_with = test_plan::cluster_plan(&settings);
    for (probes, enforced) in [
        (vec![], None),
        (vec![probe(Expect::Answer, true)], None),
        (vec![probe(Expect::Answer, false), probe(Expect::NoAnswer, true)], Some(true)),
        (vec![probe(Expect::NoAnswer, true), probe(Expect::NoAnswer, false)], Some(false)),
        (vec![probe(Expect::NoAnswer, false)], Some(false)),
    ] {
        let wanted = PolicyFacts { selecting: 5, idle: 2, enforced };
        assert_eq!(policies(&plan_with, &probes), Some(wanted));
    }
    let (plain, _) = laid_out("--preset policies --scenarios pod");
    assert_eq!(policies(&test_plan::cluster_plan(&plain), &[]), None, "none were made");
}
