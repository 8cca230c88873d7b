//! Puts together samples, errors and policies from what the coordinator's log told.

use std::collections::BTreeMap;

use crate::cluster::log_state::LogState;
use crate::plan::test_plan;
use podperf_model::error::{Error, Kind};
use podperf_model::plan::Expect;
use podperf_model::result::cluster::{ClusterPlan, PolicyFacts, ProbeFacts, Sample};
use podperf_model::result::run::Status;
use podperf_model::schedule::Step;

/// Errors in one document: many samples may fail for one reason.
const MAX_ERRORS: usize = 16;

/// Makes one sample a step, in the order of the schedule, whether there is a result or not.
pub(crate) fn samples(steps: &[Step], log: &LogState) -> Vec<Sample> {
    let numbered = (1_u32..).zip(steps);
    numbered.map(|(number, step)| sample(number, step, log)).collect()
}

fn sample(number: u32, step: &Step, log: &LogState) -> Sample {
    let (test, flows, path) = test_plan::parse_id(&step.test).unwrap_or((&step.test, 0, ""));
    let mut runs = Vec::new();
    let mut reasons: Vec<String> = Vec::new();
    let whole = log.missing.get(&(number, None));
    for agent in &step.agents {
        let key = (number, agent.clone());
        match log.results.get(&key) {
            Some(run) => {
                if run.status == Status::Incomplete {
                    let why = run.errors.first().map_or_else(String::new, Error::to_string);
                    reasons.push(format!("{agent} broke off: {why}"));
                }
                runs.push(run.clone());
            }
            None => {
                let own = log.missing.get(&(number, Some(agent.clone())));
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

/// The errors of a run, samples that are missing for one reason in one error.
pub(crate) fn errors(
    ended_early_by: Option<Error>,
    log: &LogState,
    samples: &[Sample],
) -> Vec<Error> {
    let mut errors: Vec<Error> = ended_early_by.into_iter().collect();
    for (agent, cause) in &log.lost {
        errors.push(Error::new(Kind::Incomplete, "keep the client", cause).with_peer(agent));
    }
    if let Some(Some(cause)) = &log.finished {
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
    errors.truncate(MAX_ERRORS);
    errors
}

/// Facts about the policies, by what the denied probes met.
pub(crate) fn policies(plan: &ClusterPlan, probes: &[ProbeFacts]) -> Option<PolicyFacts> {
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
