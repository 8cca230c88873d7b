//! What failed, and what to doubt: probes, policies, samples without a result, errors, warnings.

use super::{Paragraph, names, short};
use crate::text::layout::number;
use crate::text::row;
use podperf_model::error::Error;
use podperf_model::plan::Expect;
use podperf_model::result::cluster::{ClusterRun, PolicyFacts, ProbeFacts, Row};
use podperf_model::result::run::Warning;
use podperf_model::result::wording::count;

pub(crate) fn judgement(run: &ClusterRun) -> Vec<Paragraph> {
    let mut rows = probes(&run.probes);
    rows.extend(run.policies.as_ref().map(|facts| row("policies", policies(facts))));
    let injected = run.pods.iter().filter(|pod| !pod.injected_containers.is_empty());
    rows.extend(injected.map(|pod| {
        let added = names(&pod.injected_containers);
        row("injected", format!("containers not asked for in pod {}: {added}", short(&pod.name)))
    }));
    rows.extend(doubts(&run.summary.rows, &run.errors, &run.warnings));
    rows
}

/// Samples without a result, errors, warnings.
pub(crate) fn doubts(rows: &[Row], errors: &[Error], warnings: &[Warning]) -> Vec<Paragraph> {
    let mut doubts = missing(rows);
    doubts.extend(errors.iter().map(|error| row("error", error.to_string())));
    doubts.extend((1..).zip(warnings).map(|(place, own)| {
        let text = format!("{}: {}. Remedy: {}", own.code, own.text, own.remedy);
        row(&format!("warning {place}"), text)
    }));
    doubts
}

/// Rows that lack samples, put together where they lack them for one reason.
fn missing(rows: &[Row]) -> Vec<Paragraph> {
    const MAX_NAMES_SHOWN: usize = 6;
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for own in rows.iter().filter(|row| row.failed > 0) {
        let (path, test, flows) = (short(&own.path), short(&own.test), count(own.flows, "flow"));
        let all = own.samples.saturating_add(own.failed);
        let named = format!("{path} {test}, {flows} ({} of {all})", own.failed);
        let reason = own.missing.as_deref().unwrap_or("reason unknown");
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, rows)) => rows.push(named),
            None => reasons.push((reason, vec![named])),
        }
    }
    let paragraph = |(reason, mut rows): (&str, Vec<String>)| {
        let more = rows.len().saturating_sub(MAX_NAMES_SHOWN);
        rows.truncate(MAX_NAMES_SHOWN);
        if more > 0 {
            rows.push(format!("{more} rows more"));
        }
        row("missing", format!("samples of {}: {reason}", rows.join("; ")))
    };
    reasons.into_iter().map(paragraph).collect()
}

/// How many were as expected, and each that was not.
fn probes(probes: &[ProbeFacts]) -> Vec<Paragraph> {
    if probes.is_empty() {
        return Vec::new();
    }
    let met = probes.iter().filter(|probe| probe.met).count();
    let mut rows = vec![row("probes", format!("{met} of {} as expected", probes.len()))];
    let unmet = probes.iter().filter(|probe| !probe.met);
    rows.extend(unmet.map(|probe| {
        let expected = match probe.expect {
            Expect::Answer => "an answer",
            Expect::NoAnswer => "no answer",
        };
        let cause = probe.cause.as_deref().unwrap_or("cause unknown");
        row(
            "probe",
            format!(
                "{} from {} to {}: expected {expected}, not so after {} s: {cause}",
                short(&probe.path),
                short(&probe.agent),
                short(&probe.address),
                number(probe.seconds, 1)
            ),
        )
    }));
    rows
}

fn policies(facts: &PolicyFacts) -> String {
    let enforced = match facts.enforced {
        Some(true) => "enforced: yes",
        Some(false) => "NOT ENFORCED by this network plugin: the rows show no cost of policies",
        None => "enforced: unknown",
    };
    format!("{enforced}; {} select the server, {} select no pod", facts.selecting, facts.idle)
}
