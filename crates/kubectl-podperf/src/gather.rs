//! Puts a run's document together from what its coordinator told.

use std::collections::BTreeMap;

use super::follow::Told;
use super::options::Settings;
use super::trial;
use podperf_model::error::{Error, Kind};
use podperf_model::plan::Expect;
use podperf_model::result::cluster::{ClusterPlan, PlannedRow, PolicyFacts, ProbeFacts, Sample};
use podperf_model::result::run::Status;
use podperf_model::schedule::Step;

/// Errors told of one run; many samples may fail for one reason.
const ERRORS_MOST: usize = 16;

/// What is to be done, for the document and for who collects it.
pub(super) fn plan(settings: &Settings) -> ClusterPlan {
    let measure = &settings.measure;
    let mut flows: Vec<u32> = trial::rows(settings).iter().map(|row| row.flows).collect();
    flows.sort_unstable();
    flows.dedup();
    ClusterPlan {
        namespace: settings.cluster.namespace.clone(),
        image: settings.pods.image.clone(),
        paths: trial::paths(settings).into_iter().map(trial::Path::name).collect(),
        tests: settings.tests.iter().map(|test| test.name()).collect(),
        flows,
        rows: trial::rows(settings)
            .into_iter()
            .map(|row| PlannedRow {
                path: row.path.name(),
                test: row.test.name(),
                flows: row.flows,
            })
            .collect(),
        samples: settings.samples,
        window_seconds: settings.duration.as_secs_f64(),
        warm_up_seconds: settings.warmup.as_secs_f64(),
        seed: settings.seed,
        pairs: measure.pairs,
        policies: settings.policies,
        idle_policies: measure.idle_policies,
        background_services: measure.services,
        tolerance_share: settings.tolerance / 100.0,
    }
}

/// One sample a step, in the order of the schedule, whether there is a result or not.
pub(super) fn samples(steps: &[Step], told: &Told) -> Vec<Sample> {
    let numbered = (1_u32..).zip(steps);
    numbered.map(|(number, step)| sample(number, step, told)).collect()
}

fn sample(number: u32, step: &Step, told: &Told) -> Sample {
    let (test, flows, path) = trial::parse_id(&step.test).unwrap_or((&step.test, 0, ""));
    let mut runs = Vec::new();
    let mut reasons: Vec<String> = Vec::new();
    let whole = told.missing.get(&(number, None));
    for agent in &step.agents {
        let key = (number, agent.clone());
        match told.results.get(&key) {
            Some(run) => {
                if run.status == Status::Incomplete {
                    let why = run.errors.first().map_or_else(String::new, Error::to_string);
                    reasons.push(format!("{agent} broke off: {why}"));
                }
                runs.push(run.clone());
            }
            None => {
                let own = told.missing.get(&(number, Some(agent.clone())));
                let why = own.or(whole).map_or("the run ended before", String::as_str);
                reasons.push(format!("{agent}: {why}"));
            }
        }
    }
    Sample {
        step: number,
        path: path.to_owned(),
        test: test.to_owned(),
        flows,
        sample: step.sample,
        missing: (!reasons.is_empty()).then(|| reasons.join("; ")),
        runs,
    }
}

/// What went wrong, samples that miss for one reason drawn together.
pub(super) fn errors(broken_off: Option<Error>, told: &Told, samples: &[Sample]) -> Vec<Error> {
    let mut errors: Vec<Error> = broken_off.into_iter().collect();
    for (agent, cause) in &told.lost {
        errors.push(Error::new(Kind::Incomplete, "keep the client", cause).with_peer(agent));
    }
    if let Some(Some(cause)) = &told.finished {
        errors.push(Error::new(Kind::Incomplete, "carry out the schedule", cause));
    }
    let mut reasons: BTreeMap<(String, &str), Vec<String>> = BTreeMap::new();
    for sample in samples {
        if let Some(why) = &sample.missing {
            let row = format!("{} x{}", sample.test, sample.flows);
            reasons.entry((why.clone(), &sample.path)).or_default().push(row);
        }
    }
    for ((why, path), rows) in reasons {
        let mut kinds = rows.clone();
        kinds.sort();
        kinds.dedup();
        let kind = if samples.iter().all(|it| it.runs.is_empty()) {
            Kind::Unmeasured
        } else {
            Kind::Incomplete
        };
        let operation =
            format!("measure path {path} ({} samples of {})", rows.len(), kinds.join(", "));
        errors.push(Error::new(kind, operation, why));
    }
    errors.truncate(ERRORS_MOST);
    errors
}

/// What is known of the policies.
pub(super) fn policies(plan: &ClusterPlan, probes: &[ProbeFacts]) -> Option<PolicyFacts> {
    if plan.policies + plan.idle_policies == 0 {
        return None;
    }
    let mut denied = probes.iter().filter(|probe| probe.expect == Expect::NoAnswer);
    let first = denied.next();
    let enforced = first.map(|first| first.met && denied.all(|probe| probe.met));
    Some(PolicyFacts { selecting: plan.policies, idle: plan.idle_policies, enforced })
}

#[cfg(test)]
mod tests;
