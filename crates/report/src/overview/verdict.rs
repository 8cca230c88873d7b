//! The verdict in words: what the rows say, the most important first.

use crate::cluster::short;
use crate::text::bound;
use crate::text::layout::number;
use podperf_model::result::cluster::{BaselineComparison, Difference, Estimate, Ratio, Row};
use podperf_model::result::wording::count;
use podperf_model::units::rate_text;

/// Rows that have a sentence of their own where there is no baseline.
const MAX_ROWS_TOLD: usize = 12;

/// Sentences about `rows`, which are held against the path `baseline` where there is one.
pub(super) fn of(rows: &[Row], baseline: Option<&str>, tolerance_share: f64) -> Vec<String> {
    let measured: Vec<&Row> = rows.iter().filter(|row| row.samples > 0).collect();
    if measured.is_empty() {
        return vec!["Nothing was measured whole.".to_owned()];
    }
    let mut sentences = Vec::new();
    match baseline {
        Some(baseline) => {
            sentences.extend(tally(&measured, baseline, 100.0 * tolerance_share));
            sentences.extend(paths(&measured, baseline));
            let own = measured.iter().filter(|row| row.path == baseline);
            sentences.extend(best(own));
        }
        None => {
            sentences.extend(measured.iter().take(MAX_ROWS_TOLD).map(|row| alone(row)));
            let more = measured.len().saturating_sub(MAX_ROWS_TOLD);
            if more > 0 {
                sentences.push(format!("{more} more rows stand in the tables."));
            }
        }
    }
    let failed: u32 = rows.iter().fold(0, |all, row| all.saturating_add(row.failed));
    if failed > 0 {
        let samples = count(failed, "sample");
        sentences.push(format!("Not whole, and in no figure: {samples}."));
    }
    sentences
}

/// What a row is judged by: its latency where it has one, its rate otherwise.
const fn judged(row: &Row) -> Option<&BaselineComparison> {
    match &row.latency_vs_baseline {
        Some(latency) => Some(latency),
        None => row.rate_vs_baseline.as_ref(),
    }
}

fn tally(rows: &[&Row], baseline: &str, tolerance_percent: f64) -> Option<String> {
    let held: Vec<&Row> = rows.iter().filter(|row| judged(row).is_some()).copied().collect();
    let of = |wanted: Difference| {
        let same = |row: &&&Row| judged(row).is_some_and(|own| own.difference == wanted);
        held.iter().filter(same).count()
    };
    let over = held.iter().filter(|row| row.over_tolerance()).count();
    let rows = count(u32::try_from(held.len()).unwrap_or(u32::MAX), "row");
    (!held.is_empty()).then(|| {
        format!(
            "Of {rows} held against {}, {} are slower ({over} by more than {} %), {} are faster, \
             {} show no difference, {} are inconclusive.",
            short(baseline),
            of(Difference::Slower),
            number(tolerance_percent, 1),
            of(Difference::Faster),
            of(Difference::NoDifferenceShown),
            of(Difference::Inconclusive),
        )
    })
}

/// How much worse than the baseline; below zero it is better.
fn loss(row: &Row) -> Option<f64> {
    let own = judged(row)?;
    let more = own.ratio.ratio - 1.0;
    Some(if row.latency_vs_baseline.is_some() { more } else { -more })
}

/// Of each path and test, the row that does worst.
fn paths(rows: &[&Row], baseline: &str) -> Vec<String> {
    let mut keys: Vec<(&str, &str)> = Vec::new();
    for row in rows.iter().filter(|row| loss(row).is_some()) {
        if !keys.contains(&(&row.test, &row.path)) {
            keys.push((&row.test, &row.path));
        }
    }
    let worst = |(test, path): &(&str, &str)| {
        let own = rows.iter().filter(|row| (&*row.test, &*row.path) == (*test, *path));
        let known = own.filter_map(|row| Some((loss(row)?, *row)));
        let (_, row) = known.reduce(|a, b| if b.0 > a.0 { b } else { a })?;
        held(row, baseline)
    };
    keys.iter().filter_map(worst).collect()
}

fn held(row: &Row, baseline: &str) -> Option<String> {
    let own = judged(row)?;
    let (what, words) = if row.latency_vs_baseline.is_some() {
        ("mean latency", ["longer", "shorter"])
    } else if row.transactions_per_second.is_some() {
        ("transactions", ["fewer", "more"])
    } else {
        ("goodput", ["less", "more"])
    };
    let percent = |value: f64| number(100.0 * value, 1);
    let Ratio { ratio, low, high } = own.ratio;
    let interval = low.zip(high).map_or_else(
        || ", no interval".to_owned(),
        |(low, high)| format!(", 95 % interval {}–{} %", percent(low), percent(high)),
    );
    let verdict = match own.difference {
        Difference::Slower => format!("{} % {}", percent((ratio - 1.0).abs()), words[0]),
        Difference::Faster => format!("{} % {}", percent((ratio - 1.0).abs()), words[1]),
        Difference::NoDifferenceShown => "no difference shown".to_owned(),
        Difference::Inconclusive => "inconclusive".to_owned(),
    };
    Some(format!(
        "{} over {}, {}: {what} is {} % of that over {}{interval}: {verdict}.",
        row.test,
        short(&row.path),
        count(row.flows, "flow"),
        percent(ratio),
        short(baseline),
    ))
}

/// The largest goodput, and the shortest mean latency, of each test.
fn best<'a>(rows: impl Iterator<Item = &'a &'a Row>) -> Vec<String> {
    let mut of_tests: Vec<&Row> = Vec::new();
    for row in rows {
        match of_tests.iter_mut().find(|known| known.test == row.test) {
            Some(known) if better(row, known) => *known = row,
            Some(_) => {}
            None => of_tests.push(row),
        }
    }
    of_tests.into_iter().map(alone).collect()
}

fn better(row: &Row, known: &Row) -> bool {
    match (&row.latency_mean_ns, &known.latency_mean_ns) {
        (Some(own), Some(other)) => own.mean < other.mean,
        _ => row.rate().zip(known.rate()).is_some_and(|(own, other)| own.mean > other.mean),
    }
}

/// A row's own figures.
fn alone(row: &Row) -> String {
    let mut parts = Vec::new();
    if let Some(goodput) = &row.goodput_bits_per_second {
        parts.push(format!("goodput {}", estimate(goodput, rate_text)));
    }
    if let Some(rate) = &row.transactions_per_second {
        parts.push(format!("{} transactions per second", estimate(rate, |value| number(value, 0))));
    }
    if let Some(latency) = &row.latency_mean_ns {
        parts.push(format!(
            "mean latency {}",
            estimate(latency, |ns| format!("{} µs", number(ns / 1e3, 1)))
        ));
    }
    if let Some(bound_by) = row.bound_by {
        parts.push(format!("bound by: {}", bound(bound_by)));
    }
    let flows = count(row.flows, "flow");
    format!("{} over {}, {flows}: {}.", row.test, short(&row.path), parts.join("; "))
}

fn estimate(own: &Estimate, text: impl Fn(f64) -> String) -> String {
    let interval = own.low.zip(own.high);
    interval.map_or_else(
        || text(own.mean),
        |(low, high)| format!("{} (95 % interval {} to {})", text(own.mean), text(low), text(high)),
    )
}
