//! What makes the rows doubtful, and what the engine had to say of the runs they are made of.
//!
//! One small function a warning; the order of the list is the order in the document.

use podperf_model::result::cluster::{
    BASELINE, BaselineComparison, ClusterPlan, Difference, Row, Sample, Summary,
};
use podperf_model::result::run::{Bound, Warning};
use podperf_model::result::wording::count;

/// Samples from which on the interval holds what it says.
const MIN_SAMPLES: u32 = 5;
/// Rows that one warning names.
const MAX_ROWS_NAMED: usize = 4;
/// Warnings of the engine that are carried up, by their codes.
const MAX_CARRIED_WARNINGS: usize = 20;
/// What this module says itself of all samples together.
const SAME_MACHINE: &str = "same_machine";

struct RowEvidence<'a> {
    plan: &'a ClusterPlan,
    summary: &'a Summary,
}

type RowCheck = fn(&RowEvidence<'_>) -> Option<Warning>;

/// All that is doubtful about `summary`, which was made of the other two.
#[must_use]
pub fn warnings(plan: &ClusterPlan, samples: &[Sample], summary: &Summary) -> Vec<Warning> {
    let seen = RowEvidence { plan, summary };
    let checks: [RowCheck; 8] = [
        failed_samples,
        few_samples_per_row,
        no_baseline,
        baseline_noise,
        baseline_slower,
        link_bound,
        generator_bound,
        same_machine,
    ];
    let own = checks.into_iter().filter_map(|check| check(&seen));
    own.chain(carried(samples)).collect()
}

fn warning(code: &str, text: String, remedy: &str) -> Warning {
    Warning { code: code.to_owned(), text, remedy: remedy.to_owned() }
}

/// "pod tcp_stream, 4 flows".
fn name(row: &Row) -> String {
    format!("{} {}, {}", row.path, row.test, count(row.flows, "flow"))
}

/// The first few of several; absent: none.
fn list<'a>(rows: impl Iterator<Item = &'a Row>, text: impl Fn(&Row) -> String) -> Option<String> {
    let mut all: Vec<String> = rows.map(text).collect();
    let more = all.len().saturating_sub(MAX_ROWS_NAMED);
    all.truncate(MAX_ROWS_NAMED);
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    (!all.is_empty()).then(|| all.join("; "))
}

fn failed_samples(seen: &RowEvidence<'_>) -> Option<Warning> {
    let failed = || seen.summary.rows.iter().filter(|row| row.failed > 0);
    let total = failed().fold(0, |all: u32, row| all.saturating_add(row.failed));
    let rows = list(failed(), |row| {
        let (whole, reason) = (row.samples, row.missing.as_deref().unwrap_or("reason unknown"));
        format!("{}: {} of {}, {reason}", name(row), row.failed, whole.saturating_add(row.failed))
    })?;
    Some(warning(
        "failed_samples",
        format!("the rows leave out {} without a whole result: {rows}", count(total, "sample")),
        "see the errors; what an incomplete run had measured stands with its sample",
    ))
}

fn few_samples_per_row(seen: &RowEvidence<'_>) -> Option<Warning> {
    let measured = seen.summary.rows.iter().map(|row| row.samples).filter(|samples| *samples > 0);
    let fewest = measured.min().filter(|fewest| *fewest < MIN_SAMPLES)?;
    let rows =
        seen.summary.rows.iter().filter(|row| (1..MIN_SAMPLES).contains(&row.samples)).count();
    let rows = count(u32::try_from(rows).unwrap_or(u32::MAX), "row");
    // The range of n independent samples misses their median when all lie on one side of it.
    let held = match fewest {
        1 => "with 1 sample there is no interval and nothing can be told from noise",
        2 => "the interval of 2 is their range and holds the true value with about 50 %, not 95 %",
        3 => "the interval of 3 is their range and holds the true value with about 75 %, not 95 %",
        _ => "the interval of 4 is their range and holds the true value with about 87 %, not 95 %",
    };
    Some(warning(
        "few_samples_per_row",
        format!("{rows} with fewer than {MIN_SAMPLES} samples: {held}"),
        "take 5 samples or more of each row",
    ))
}

fn no_baseline(seen: &RowEvidence<'_>) -> Option<Warning> {
    let planned = seen.plan.paths.iter().any(|path| path == BASELINE);
    (planned && seen.summary.baseline.is_none()).then(|| {
        warning(
            "no_baseline",
            format!("nothing was measured on the path {BASELINE}: no row has a ratio"),
            "see why its samples failed, and measure again",
        )
    })
}

/// Half the width of the interval, as a share of the mean.
fn noise(row: &Row) -> Option<f64> {
    let rate = row.rate()?;
    Some((rate.high? - rate.low?) / (2.0 * rate.mean)).filter(|noise| noise.is_finite())
}

fn baseline_noise(seen: &RowEvidence<'_>) -> Option<Warning> {
    let tolerance = seen.plan.tolerance_share;
    let loud = |row: &&Row| row.path == BASELINE && noise(row).is_some_and(|own| own > tolerance);
    let rows = list(seen.summary.rows.iter().filter(loud), |row| {
        format!("{}: ± {:.1} %", name(row), 100.0 * noise(row).unwrap_or_default())
    })?;
    Some(warning(
        "baseline_noise",
        format!(
            "the baseline's own interval is wider than the tolerance of {:.1} %, so differences \
             of its size cannot be seen: {rows}",
            100.0 * tolerance
        ),
        "take more or longer samples, on nodes that do nothing else",
    ))
}

fn baseline_slower(seen: &RowEvidence<'_>) -> Option<Warning> {
    let faster = |row: &&Row| {
        let versus = [&row.rate_vs_baseline, &row.latency_vs_baseline];
        versus.into_iter().flatten().any(|versus| versus.difference == Difference::Faster)
    };
    let rows = list(seen.summary.rows.iter().filter(faster), |row| {
        let percent = |versus: &BaselineComparison| format!("{:.1} %", 100.0 * versus.ratio.ratio);
        let rate = row.rate_vs_baseline.as_ref().map_or_else(|| "-".to_owned(), percent);
        let latency = row.latency_vs_baseline.as_ref();
        let latency = latency.map_or_else(String::new, |own| format!(", latency {}", percent(own)));
        format!("{}: rate {rate}{latency} of the baseline's", name(row))
    })?;
    Some(warning(
        "baseline_slower",
        format!("the baseline is slower than another path, so it is no upper bound: {rows}"),
        "compare placement, offloads, MTU and CPU of both paths; a busy node or an IRQ on a \
         worker's CPU may slow the nodes' own network alone",
    ))
}

/// Where both are at line rate, goodput no longer tells them apart.
fn link_bound(seen: &RowEvidence<'_>) -> Option<Warning> {
    let rows = &seen.summary.rows;
    let bound = |row: &&Row| {
        let base = |other: &&Row| {
            other.path == BASELINE && (&other.test, other.flows) == (&row.test, row.flows)
        };
        let base = rows.iter().find(base).filter(|base| base.path != row.path);
        [Some(*row), base]
            .iter()
            .all(|row| row.is_some_and(|row| row.bound_by == Some(Bound::Link)))
    };
    let named = list(rows.iter().filter(bound), name)?;
    Some(warning(
        "link_bound",
        format!("the link was full on the baseline too, so goodput shows no overhead: {named}"),
        "compare CPU and retransmits of these rows, or goodput with fewer flows",
    ))
}

fn generator_bound(seen: &RowEvidence<'_>) -> Option<Warning> {
    let bound = |row: &&Row| row.bound_by == Some(Bound::Generator);
    let rows = list(seen.summary.rows.iter().filter(bound), name)?;
    Some(warning(
        "generator_bound",
        format!("podperf itself was the bound, as fast as over loopback: {rows}"),
        "read these rows as lower bounds of what the path can carry",
    ))
}

fn same_machine(seen: &RowEvidence<'_>) -> Option<Warning> {
    let rows = list(seen.summary.rows.iter().filter(|row| row.same_machine), name)?;
    Some(warning(
        SAME_MACHINE,
        format!(
            "both ends ran on one machine (equal boot ids), so each end's CPU figures cover both \
             and cannot be split: {rows}"
        ),
        "read the CPU of these rows as that of both ends together; for paths between nodes, use \
         nodes on two machines",
    ))
}

/// The engine's own, each code once: in how many samples, and one of the texts.
fn carried(samples: &[Sample]) -> Vec<Warning> {
    struct CarriedWarning<'a> {
        first: &'a Warning,
        sample: &'a Sample,
        last: u32,
        times: u32,
    }
    let mut kinds: Vec<CarriedWarning<'_>> = Vec::new();
    for sample in samples {
        for warning in sample.runs.iter().flat_map(|run| &run.warnings) {
            match kinds.iter_mut().find(|kind| kind.first.code == warning.code) {
                Some(kind) if kind.last == sample.step => {}
                Some(kind) => (kind.last, kind.times) = (sample.step, kind.times + 1),
                None if warning.code == SAME_MACHINE => {}
                None => kinds.push(CarriedWarning {
                    first: warning,
                    sample,
                    last: sample.step,
                    times: 1,
                }),
            }
        }
    }
    let left_out = kinds.len().saturating_sub(MAX_CARRIED_WARNINGS);
    let mut carried: Vec<Warning> = kinds
        .iter()
        .take(MAX_CARRIED_WARNINGS)
        .map(|CarriedWarning { first, sample, times, .. }| Warning {
            code: first.code.clone(),
            text: format!(
                "in {}, first in {} {} with {}: {}",
                count(*times, "sample"),
                sample.path,
                sample.test,
                count(sample.flows, "flow"),
                first.text
            ),
            remedy: first.remedy.clone(),
        })
        .collect();
    if left_out > 0 {
        let left_out = count(u32::try_from(left_out).unwrap_or(u32::MAX), "further kind");
        carried.push(warning(
            "more_warnings",
            format!("{left_out} of warnings stand with the samples alone"),
            "see .samples[].runs[].warnings[] of the document",
        ));
    }
    carried
}
