//! The document of a run, and the exit status that follows from it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

use super::deploy::Deployed;
use super::fingerprint;
use super::follow::Told;
use super::gather;
use super::run::Prepared;
use super::targets::Missing;
use super::verify;
use podperf_model::error::{Error, Kind};
use podperf_model::result::cluster::{ClusterFacts, ClusterPlan, ClusterRun, PolicyFacts, SCHEMA};
use podperf_model::result::run::{Status, Warning};
use podperf_model::schedule::Step;
use podperf_report::analysis::{self, Better};

/// What a document is made from.
pub(super) struct Parts<'a> {
    pub(super) run_id: &'a str,
    pub(super) plan: &'a ClusterPlan,
    pub(super) facts: ClusterFacts,
    pub(super) steps: &'a [Step],
    pub(super) pods: &'a BTreeMap<String, Pod>,
    pub(super) told: &'a Told,
    pub(super) broken_off: Option<Error>,
}

/// Of a run that this launcher conducted.
pub(super) fn make(
    prepared: &Prepared,
    deployed: Option<&Deployed>,
    told: &Told,
    broken_off: Option<Error>,
) -> ClusterRun {
    let none = BTreeMap::new();
    let pods = deployed.map_or(&none, |deployed| &deployed.pods);
    let steps = prepared.steps();
    let mut run = assemble(Parts {
        run_id: &prepared.settings.run_id,
        plan: &prepared.plan,
        facts: prepared.facts.clone(),
        steps: &steps,
        pods,
        told,
        broken_off,
    });
    run.warnings.extend(verify::mesh(&run.pods, &prepared.settings));
    run.errors.extend(deployed.into_iter().flat_map(|deployed| left_out(&deployed.missing)));
    if !run.errors.is_empty() {
        run.status = Status::Incomplete;
    }
    run
}

/// Paths that have no address here.
fn left_out(missing: &[Missing]) -> Vec<Error> {
    let error = |(path, why): &Missing| {
        Error::new(Kind::Incomplete, format!("find an address for path {path}"), why)
    };
    missing.iter().map(error).collect()
}

/// Of any run, by what its coordinator told.
pub(super) fn assemble(parts: Parts<'_>) -> ClusterRun {
    let Parts { run_id, plan, mut facts, steps, pods, told, broken_off } = parts;
    let samples = gather::samples(steps, told);
    let errors = gather::errors(broken_off, told, &samples);
    fingerprint::measured(&mut facts, &samples);
    let summary = analysis::summarise(plan, &samples);
    let policies = gather::policies(plan, &told.probes);
    let mut warnings = analysis::warnings(plan, &samples, &summary);
    warnings.extend(fingerprint::warnings(&facts));
    warnings.extend(not_enforced(policies.as_ref()));
    ClusterRun {
        schema: SCHEMA.to_owned(),
        run_id: run_id.to_owned(),
        podperf_version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: String::new(),
        ended_at: jiff::Timestamp::now().to_string(),
        command: Vec::new(),
        plan: plan.clone(),
        status: if errors.is_empty() { Status::Complete } else { Status::Incomplete },
        errors,
        warnings,
        cluster: facts,
        pods: pods.iter().map(|(name, pod)| verify::facts(name, pod)).collect(),
        probes: told.probes.clone(),
        policies,
        summary,
        samples,
    }
}

fn not_enforced(policies: Option<&PolicyFacts>) -> Option<Warning> {
    let policies = policies?;
    (policies.enforced == Some(false)).then(|| Warning {
        code: "policies_not_enforced".to_owned(),
        text: "a port that no NetworkPolicy admits the client to was reached: this cluster's \
               network plugin does not enforce policies, so the path policies shows no cost of them"
            .to_owned(),
        remedy: "measure policies with a network plugin that enforces them".to_owned(),
    })
}

/// 0, 1 with `max_slowdown`, 3, 4, 5, 130 or 143.
pub(super) fn exit_status(run: &ClusterRun, max_slowdown: Option<f64>) -> u8 {
    let strongest = |kind: Kind| run.errors.iter().any(|error| error.kind == kind);
    for kind in [Kind::Interrupted, Kind::Terminated, Kind::Deadline] {
        if strongest(kind) {
            return kind.exit_status();
        }
    }
    let measured = run.samples.iter().flat_map(|sample| &sample.runs);
    let measured = measured.filter(|run| run.throughput.is_some()).count();
    if run.status == Status::Incomplete {
        let kind = if measured == 0 { Kind::Unmeasured } else { Kind::Incomplete };
        return kind.exit_status();
    }
    let Some(most) = max_slowdown else { return 0 };
    let slow = run.summary.rows.iter().any(|row| {
        let rate = row.rate_vs_baseline.as_ref().is_some_and(|versus| {
            analysis::over_tolerance(&versus.ratio, most / 100.0, Better::Higher)
        });
        let latency = row.latency_vs_baseline.as_ref().is_some_and(|versus| {
            analysis::over_tolerance(&versus.ratio, most / 100.0, Better::Lower)
        });
        rate || latency
    });
    u8::from(slow)
}

#[cfg(test)]
mod tests;
