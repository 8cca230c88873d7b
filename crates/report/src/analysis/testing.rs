//! Constructed samples for tests alone, out of the whole runs that the model makes for tests.

use podperf_model::result::cluster::{ClusterPlan, PlannedRow, Sample};
use podperf_model::result::run::{Bound, Run};
use podperf_model::result::testing::{rr_run, stream_run};

/// Three paths, a stream test and a request/response test, `samples` of each row.
pub fn plan(samples: u32) -> ClusterPlan {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    full(ClusterPlan {
        namespace: "podperf".to_owned(),
        image: "podperf:0.1.0".to_owned(),
        paths: owned(&["host", "pod", "service"]),
        tests: owned(&["tcp_stream", "tcp_rr"]),
        flows: vec![1, 8],
        samples,
        window_seconds: 10.0,
        warm_up_seconds: 1.0,
        seed: 42,
        pairs: 1,
        tolerance_share: 0.05,
        ..ClusterPlan::default()
    })
}

/// A plan with a row for every path, test and number of flows.
pub fn full(mut plan: ClusterPlan) -> ClusterPlan {
    let mut rows = Vec::new();
    for path in &plan.paths {
        for test in &plan.tests {
            let row =
                |flows: &u32| PlannedRow { path: path.clone(), test: test.clone(), flows: *flows };
            rows.extend(plan.flows.iter().map(row));
        }
    }
    plan.rows = rows;
    plan
}

/// A stream run of 4 Gbit/s times `factor`, one way.
pub fn streams(factor: f64) -> Run {
    let mut run = stream_run();
    run.verdict.bound_by = Bound::SoftirqCore;
    run.throughput.as_mut().unwrap().bits_per_second *= factor;
    run
}

/// A request/response run of 1,000 transactions a second and 1 ms, slower by `factor`.
pub fn requests(factor: f64) -> Run {
    let mut run = rr_run();
    run.verdict.bound_by = Bound::RoundTrip;
    run.transactions.as_mut().unwrap().per_second /= factor;
    let latency = run.latency.as_mut().unwrap();
    latency.mean = latency.mean.map(|mean| mean * factor);
    run
}

/// Every sample of `plan`, each path slower than the one before it by a third, with 2 % of spread.
pub fn samples(plan: &ClusterPlan) -> Vec<Sample> {
    let mut samples = Vec::new();
    for number in 1..=plan.samples {
        for test in &plan.tests {
            for flows in &plan.flows {
                let mut share = 1.0 + 0.01 * f64::from(number % 3);
                for path in &plan.paths {
                    let run = if test == "tcp_rr" { requests(1.0 / share) } else { streams(share) };
                    samples.push(Sample {
                        step: u32::try_from(samples.len()).unwrap() + 1,
                        path: path.clone(),
                        test: test.clone(),
                        flows: *flows,
                        sample: number,
                        missing: None,
                        runs: vec![run],
                    });
                    share *= 2.0 / 3.0;
                }
            }
        }
    }
    samples
}
