//! What both ends of a run tell, one of which may lie: the run that is made of it.

use std::sync::LazyLock;

use podperf_model::plan::Plan;
use podperf_model::reading::Reading;
use podperf_model::result::end_result::{EndFacts, EndReport, EndResult};
use podperf_model::result::run::Status;
use podperf_model::result::testing::{
    crr_input, open_loop_input, rr_input, stream_input, udp_input,
};
use podperf_model::result::{Input, merge};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{edited, reports};

/// What comes over the wire of one end.
#[derive(Serialize, Deserialize)]
struct End {
    facts: EndFacts,
    readings: Vec<Reading>,
    report: Option<EndReport>,
}

/// Plan and ends of one run. The plan is the client's own, so that it keeps the rules.
#[derive(Serialize, Deserialize)]
struct Told {
    plan: Plan,
    client: Option<End>,
    server: Option<End>,
    warm_up_seconds: f64,
}

static RUNS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let end = |end: Option<EndResult>| {
        end.map(|EndResult { facts, readings, report }| End { facts, readings, report })
    };
    let inputs = [stream_input(), rr_input(), crr_input(), open_loop_input(1e3), udp_input()];
    let told = inputs.map(|input| Told {
        plan: input.plan,
        client: end(input.client),
        server: end(input.server),
        warm_up_seconds: input.warm_up_seconds,
    });
    told.into_iter().map(|told| json!(told)).collect()
});

/// Checks one run.
pub fn check(data: &[u8]) {
    let Some(json) = edited::json(data, &RUNS) else { return };
    let Ok(told) = serde_json::from_str::<Told>(&json) else { return };
    if podperf::CheckedPlan::new(told.plan.clone(), &podperf::Limits::default()).is_err() {
        return;
    }
    let end = |end: Option<End>| {
        end.map(|End { facts, readings, report }| EndResult { facts, readings, report })
    };
    let run = merge(Input {
        plan: told.plan,
        client: end(told.client),
        server: end(told.server),
        warm_up_seconds: told.warm_up_seconds,
        opened_at: None,
        errors: Vec::new(),
        ..stream_input()
    });
    assert_eq!(run.status == Status::Complete, run.errors.is_empty());
    if let Some(throughput) = &run.throughput {
        let rate = throughput.bits_per_second;
        assert!(rate.is_finite() && rate >= 0.0, "{rate} bit/s");
    }
    if let Some(fairness) = run.fairness {
        assert!((0.0..=1.0 + 1e-9).contains(&fairness), "a fairness of {fairness}");
    }
    reports::check_run(&run);
}
