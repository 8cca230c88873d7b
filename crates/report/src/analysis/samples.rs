//! Samples put in rows: which of them are whole, and why the others are not.

use podperf_model::result::cluster::{ClusterPlan, PlannedRow, Sample};
use podperf_model::result::run::{Run, Status};
use podperf_model::result::wording::count;

/// Reasons that stand in one row.
const MAX_REASONS_SHOWN: usize = 3;

/// The samples of one path, test and number of flows.
pub(super) struct SampleGroup<'a> {
    pub(super) path: &'a str,
    pub(super) test: &'a str,
    pub(super) flows: u32,
    /// In the order of measuring.
    pub(super) whole: Vec<&'a Sample>,
    /// Planned or begun, and not whole.
    pub(super) failed: u32,
    /// Why; absent: none failed.
    pub(super) missing: Option<String>,
}

impl SampleGroup<'_> {
    /// All runs of all whole samples.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.whole.iter().flat_map(|sample| &sample.runs)
    }
}

/// All that was planned, in the plan's order, then what was measured beyond it.
pub(super) fn groups<'a>(plan: &'a ClusterPlan, samples: &'a [Sample]) -> Vec<SampleGroup<'a>> {
    let place = |names: &[String], name: &str| names.iter().position(|own| own == name);
    let mut rows: Vec<&PlannedRow> = plan.rows.iter().collect();
    rows.sort_by_key(|row| {
        (place(&plan.paths, &row.path), place(&plan.tests, &row.test), row.flows)
    });
    let mut keys: Vec<(&str, &str, u32)> =
        rows.into_iter().map(|row| (row.path.as_str(), row.test.as_str(), row.flows)).collect();
    keys.extend(samples.iter().map(key));
    let mut groups: Vec<SampleGroup<'a>> = Vec::new();
    for key in keys {
        let (path, test, flows) = key;
        if !groups.iter().any(|known| (known.path, known.test, known.flows) == key) {
            groups.push(group(plan, samples, path, test, flows));
        }
    }
    groups
}

fn key(sample: &Sample) -> (&str, &str, u32) {
    (&sample.path, &sample.test, sample.flows)
}

fn group<'a>(
    plan: &ClusterPlan,
    samples: &'a [Sample],
    path: &'a str,
    test: &'a str,
    flows: u32,
) -> SampleGroup<'a> {
    let own = samples.iter().filter(|sample| key(sample) == (path, test, flows));
    let (whole, broken): (Vec<&Sample>, Vec<&Sample>) = own.partition(|sample| is_whole(sample));
    let narrow = |samples: usize| u32::try_from(samples).unwrap_or(u32::MAX);
    let recorded = narrow(whole.len()).saturating_add(narrow(broken.len()));
    let planned =
        plan.rows.iter().any(|row| (&*row.path, &*row.test, row.flows) == (path, test, flows));
    let never = if planned { plan.samples.saturating_sub(recorded) } else { 0 };
    let mut reasons: Vec<String> = Vec::new();
    for reason in broken.iter().map(|sample| reason(sample)) {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let more = reasons.len().saturating_sub(MAX_REASONS_SHOWN);
    reasons.truncate(MAX_REASONS_SHOWN);
    if more > 0 {
        reasons.push(format!("{} more", count(narrow(more), "reason")));
    }
    if never > 0 {
        reasons.push(format!("{} never begun", count(never, "sample")));
    }
    SampleGroup {
        path,
        test,
        flows,
        whole,
        failed: narrow(broken.len()).saturating_add(never),
        missing: (!reasons.is_empty()).then(|| reasons.join("; ")),
    }
}

/// Every run of it did all that was planned, and each has a rate.
#[must_use]
pub fn is_whole(sample: &Sample) -> bool {
    let complete = |run: &Run| run.status == Status::Complete && rate(run).is_some();
    sample.missing.is_none() && !sample.runs.is_empty() && sample.runs.iter().all(complete)
}

/// Transactions by second where there are any, goodput otherwise.
pub(super) fn rate(run: &Run) -> Option<f64> {
    if run.plan.workload.transacts() {
        run.transactions.as_ref().map(|all| all.per_second)
    } else {
        run.throughput.as_ref().map(|all| all.bits_per_second)
    }
}

fn reason(sample: &Sample) -> String {
    let error = || sample.runs.iter().flat_map(|run| &run.errors).next();
    let told = sample.missing.clone().or_else(|| error().map(ToString::to_string));
    told.unwrap_or_else(|| "a result without a rate, and no error to explain it".to_owned())
}
