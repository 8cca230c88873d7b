//! The document of a run, and the exit status that follows from it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

use crate::cluster::log_state::LogState;
use crate::cluster::verify;
use crate::plan::settings::Settings;
use crate::plan::targets::MissingPath;
use crate::result::assemble;
use crate::result::fingerprint;
use podperf_model::error::{Error, Kind};
use podperf_model::result::cluster::{
    ClusterFacts, ClusterPlan, ClusterRun, PodFacts, PolicyFacts, SCHEMA,
};
use podperf_model::result::run::{Status, Warning};
use podperf_model::schedule::Step;
use podperf_report::analysis::{self, Better};

/// The parts that a document is made from.
pub(crate) struct DocumentParts<'a> {
    pub(crate) run_id: &'a str,
    pub(crate) plan: &'a ClusterPlan,
    /// The settings; absent where another process started the run.
    pub(crate) settings: Option<&'a Settings>,
    pub(crate) facts: ClusterFacts,
    pub(crate) steps: &'a [Step],
    pub(crate) pods: &'a BTreeMap<String, Pod>,
    /// Paths that have no address here.
    pub(crate) without_address: &'a [MissingPath],
    pub(crate) log: &'a LogState,
    /// The error that ended the run before its time.
    pub(crate) ended_early_by: Option<Error>,
}

/// Builds the document of a run out of its coordinator's log.
pub(crate) fn build(parts: DocumentParts<'_>) -> ClusterRun {
    let DocumentParts { run_id, plan, mut facts, steps, log, .. } = parts;
    let samples = assemble::samples(steps, log);
    let mut errors = assemble::errors(parts.ended_early_by, log, &samples);
    errors.extend(parts.without_address.iter().map(without_address));
    fingerprint::add_measured(&mut facts, &samples);
    let pods: Vec<PodFacts> =
        parts.pods.iter().map(|(name, pod)| verify::facts(name, pod)).collect();
    let summary = analysis::summarise(plan, &samples);
    let policies = assemble::policies(plan, &log.probes);
    let mut warnings = analysis::warnings(plan, &samples, &summary);
    warnings.extend(fingerprint::warnings(&facts));
    warnings.extend(not_enforced(policies.as_ref()));
    warnings.extend(parts.settings.and_then(|settings| verify::mesh(&pods, settings)));
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
        pods,
        probes: log.probes.clone(),
        policies,
        summary,
        samples,
    }
}

fn without_address((path, why): &MissingPath) -> Error {
    Error::new(Kind::Incomplete, format!("find an address for path {path}"), why)
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

/// The exit status: 0, 1 with `max_slowdown`, 3, 4, 5, 130 or 143.
pub(crate) fn exit_status(run: &ClusterRun, max_slowdown: Option<f64>) -> u8 {
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
