//! One row a path, test and number of flows.

use crate::analysis::bootstrap::{estimate, ratio};
use crate::analysis::compare::{Better, versus};
use crate::analysis::cpu::{average, cpu};
use crate::analysis::latency;
use crate::analysis::samples::{SampleGroup, groups, rate};
use podperf_model::result::cluster::{
    BASELINE, BaselineComparison, ClusterPlan, Row, Sample, Summary,
};
use podperf_model::result::run::{Bound, Latency, Run};
use podperf_model::units::float;

/// The rows of what was planned and what was measured, against those of [`BASELINE`] where the
/// plan has it and any of it was measured.
#[must_use]
pub fn summarise(plan: &ClusterPlan, samples: &[Sample]) -> Summary {
    let groups = groups(plan, samples);
    let measured = |group: &SampleGroup<'_>| group.path == BASELINE && !group.whole.is_empty();
    let baseline = groups.iter().any(measured).then(|| BASELINE.to_owned());
    let row_of = |group: &SampleGroup<'_>| {
        let same = |other: &&SampleGroup<'_>| {
            other.path == BASELINE && (other.test, other.flows) == (group.test, group.flows)
        };
        let base = groups.iter().find(same).filter(|base| base.path != group.path);
        row(group, base, plan.tolerance_share)
    };
    let rows = groups.iter().map(row_of).collect();
    Summary { baseline, rows }
}

fn row(group: &SampleGroup<'_>, base: Option<&SampleGroup<'_>>, tolerance: f64) -> Row {
    let (rates, latencies) = (rates(group), latencies(group));
    let transacts = transacts(group);
    let rate = estimate(&rates);
    let against =
        |own: &[f64], of: fn(&SampleGroup<'_>) -> Vec<f64>, better| -> Option<BaselineComparison> {
            Some(versus(ratio(own, &of(base?))?, tolerance, better))
        };
    // Rates of different kinds are never held against each other.
    let alike = base.is_some_and(|base| self::transacts(base) == transacts);
    let alike = |versus: Option<BaselineComparison>| versus.filter(|_| alike);
    Row {
        path: group.path.to_owned(),
        test: group.test.to_owned(),
        flows: group.flows,
        samples: u32::try_from(group.whole.len()).unwrap_or(u32::MAX),
        failed: group.failed,
        missing: group.missing.clone(),
        goodput_bits_per_second: rate.filter(|_| transacts == Some(false)),
        transactions_per_second: rate.filter(|_| transacts == Some(true)),
        latency_mean_ns: estimate(&latencies),
        rate_vs_baseline: alike(against(&rates, self::rates, Better::Higher)),
        latency_vs_baseline: alike(against(&latencies, self::latencies, Better::Lower)),
        retransmitted_segments_per_gb: retransmits_per_gb(group),
        loss_share: loss_share(group),
        fairness: average(group.runs().filter_map(|run| run.fairness)),
        cpu: cpu(group),
        same_machine: group.runs().any(Run::same_machine),
        latency: latency::pooled(&distributions(group.runs())),
        bound_by: bound_by(group),
    }
}

/// What the row's test is made of; absent: nothing was measured, or not one kind alone.
fn transacts(group: &SampleGroup<'_>) -> Option<bool> {
    let mut kinds = group.runs().map(|run| run.plan.workload.transacts());
    let first = kinds.next()?;
    kinds.all(|kind| kind == first).then_some(first)
}

/// Of each sample, the sum over its pairs.
fn rates(group: &SampleGroup<'_>) -> Vec<f64> {
    let sum = |sample: &&Sample| sample.runs.iter().map(rate).sum::<Option<f64>>();
    group.whole.iter().filter_map(sum).collect()
}

/// Of each sample, the mean over all transactions of its pairs.
fn latencies(group: &SampleGroup<'_>) -> Vec<f64> {
    let mean = |sample: &&Sample| latency::mean(&distributions(sample.runs.iter()));
    group.whole.iter().filter_map(mean).collect()
}

fn distributions<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<&'a Latency> {
    runs.filter_map(|run| run.latency.as_ref()).collect()
}

fn retransmits_per_gb(group: &SampleGroup<'_>) -> Option<f64> {
    let told = group.runs().filter(|run| !run.plan.workload.transacts()).filter_map(|run| {
        let throughput = run.throughput.as_ref()?;
        Some((float(throughput.retransmits?), float(throughput.bytes_received)))
    });
    let (segments, bytes) = told.fold((0.0, 0.0), |all, run| (all.0 + run.0, all.1 + run.1));
    (bytes > 0.0).then(|| segments / (bytes / 1e9))
}

/// Over all runs that tell.
fn loss_share(group: &SampleGroup<'_>) -> Option<f64> {
    let told = group.runs().filter_map(|run| {
        let udp = run.udp.as_ref()?;
        if let Some(datagrams) = &udp.datagrams {
            return Some((float(datagrams.lost), float(datagrams.sent)));
        }
        let lost = float(udp.lost_transactions?);
        Some((lost, lost + float(run.transactions.as_ref()?.count)))
    });
    let (lost, all) = told.fold((0.0, 0.0), |all, run| (all.0 + run.0, all.1 + run.1));
    (all > 0.0).then(|| lost / all)
}

/// The verdict that most runs share; of several, the one seen first.
fn bound_by(group: &SampleGroup<'_>) -> Option<Bound> {
    let mut tally: Vec<(Bound, usize)> = Vec::new();
    for bound in group.runs().map(|run| run.verdict.bound_by) {
        match tally.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, times)) => *times += 1,
            None => tally.push((bound, 1)),
        }
    }
    let most = tally.iter().map(|(_, times)| *times).max()?;
    tally.into_iter().find(|(_, times)| *times == most).map(|(bound, _)| bound)
}
