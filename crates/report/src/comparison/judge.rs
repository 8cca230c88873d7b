//! The comparison: a ratio, an interval, a probability and a verdict for every row.
//!
//! Enters: the sides, the first of which all others are held against. Leaves: a [`Comparison`], and
//! what it means for an exit status.

use std::collections::BTreeMap;

use super::documents::Side;
use super::facts::differences;
use super::figure::{Against, RowFigure};
use super::rows::{RowKey, SideRow, SideRows};
use crate::analysis::{
    Better, differs, holm, noise_floor, over_tolerance, rank_test, ratio, ratio_of_ratios,
};
use podperf_model::result::cluster::{BASELINE, Difference, Ratio};

/// Sides that have a letter.
pub const MAX_SIDES: usize = 26;

/// Sides held against the first of them.
#[derive(Debug)]
pub struct Comparison {
    /// Largest difference that a gate lets pass, as a share.
    pub(super) tolerance: f64,
    /// What each side is, the first one first.
    pub(super) sides: Vec<String>,
    /// How hosts, clusters and plans differ.
    pub(super) differences: Vec<String>,
    /// One entry a row, figure and other side.
    pub(super) lines: Vec<Line>,
    /// Rows of the first side that have no counterpart, by letter of the side that lacks it.
    pub(super) not_comparable: Vec<(char, String)>,
    /// Rows that another side has and the first lacks.
    pub(super) alone: Vec<(char, String)>,
    /// Rows of the first side that another lacks, or has less complete.
    pub(super) missing: usize,
    /// Geometric means over the rows of a test.
    pub(super) means: Vec<MeanRatio>,
    /// Files and samples that are in no figure.
    pub(super) left_out: Vec<(char, String)>,
}

/// One figure of a row on the first side and on another.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) key: RowKey,
    pub(super) figure: RowFigure,
    /// Number of the other side.
    pub(super) side: usize,
    pub(super) samples: [usize; 2],
    pub(super) means: [f64; 2],
    /// The other's mean by the first's.
    pub(super) plain: Ratio,
    /// The same of the ratios to the baseline, each taken within its own run.
    pub(super) of_baseline: Option<Ratio>,
    /// Of the rank test.
    pub(super) p: Option<f64>,
    /// The same, corrected for the number of tests.
    pub(super) corrected_p: Option<f64>,
    /// By how much halves of the first side's samples differ, as a share.
    pub(super) noise_floor: Option<f64>,
    pub(super) verdict: Difference,
    /// A difference that was called, for the worse and beyond the tolerance at its near end.
    pub(super) over_tolerance: bool,
}

/// The geometric mean of a test's ratios.
#[derive(Debug)]
pub(super) struct MeanRatio {
    pub(super) title: String,
    pub(super) figure: RowFigure,
    pub(super) side: usize,
    pub(super) ratio: f64,
    pub(super) rows: usize,
}

impl Line {
    /// What the verdict is about.
    pub(super) fn judged(&self) -> &Ratio {
        self.of_baseline.as_ref().unwrap_or(&self.plain)
    }
}

impl Comparison {
    /// Holds all others against the first of `sides`. Above `tolerance`, a share, a difference for
    /// the worse is an answer of its own.
    #[must_use]
    pub fn of(sides: &[Side], tolerance: f64) -> Self {
        let read: Vec<SideRows> = sides.iter().map(SideRows::of).collect();
        let mut comparison = Self {
            tolerance,
            sides: sides.iter().zip(&read).map(|(side, rows)| described(side, rows)).collect(),
            differences: Vec::new(),
            lines: Vec::new(),
            not_comparable: Vec::new(),
            alone: Vec::new(),
            missing: 0,
            means: Vec::new(),
            left_out: Vec::new(),
        };
        for (number, (side, rows)) in sides.iter().zip(&read).enumerate() {
            let all = side.left_out.iter().chain(&rows.incomplete);
            comparison.left_out.extend(all.map(|text| (letter(number), text.clone())));
        }
        let Some((first, others)) = read.split_first() else { return comparison };
        for (side, other) in (1..).zip(others) {
            comparison.differences.extend(differing(first, other, letter(side)));
            comparison.add(first, other, side);
        }
        comparison.lines.sort_by_cached_key(|line| {
            let place = |names: &[String], name: Option<&String>| {
                names.iter().position(|own| Some(own) == name).unwrap_or(usize::MAX)
            };
            let key = &line.key;
            let (test, path) =
                (place(&first.tests, Some(&key.test)), place(&first.paths, key.path.as_ref()));
            (
                test,
                key.test.clone(),
                key.work.clone(),
                key.pairs,
                line.figure,
                path,
                key.clone(),
                line.side,
            )
        });
        comparison.judge();
        comparison.average(first);
        comparison
    }

    /// What is to be told by an exit status: 1 where a row is shown to be worse by more than the
    /// tolerance, or, as `fail_inconclusive` wants, is inconclusive; 3 where nothing could be
    /// compared; 4 where a row is missing; else 0.
    #[must_use]
    pub fn exit_status(&self, fail_inconclusive: bool) -> u8 {
        let worse = self.lines.iter().any(|line| self.fails(line, fail_inconclusive));
        match (worse, self.lines.is_empty(), self.missing) {
            (true, ..) => 1,
            (_, true, _) => 3,
            (.., 1..) => 4,
            _ => 0,
        }
    }

    pub(super) fn fails(&self, line: &Line, fail_inconclusive: bool) -> bool {
        line.over_tolerance || fail_inconclusive && line.verdict == Difference::Inconclusive
    }

    /// The rows of both, and those that one of them lacks.
    fn add(&mut self, first: &SideRows, other: &SideRows, side: usize) {
        let has = |rows: &SideRows, key: &RowKey| {
            rows.rows.get(key).is_some_and(|row| row.samples().next().is_some())
        };
        let mut near: Vec<&RowKey> = Vec::new();
        for (key, row) in first.rows.iter().filter(|(key, _)| has(first, key)) {
            let Some(own) = other.rows.get(key).filter(|own| own.samples().next().is_some()) else {
                self.missing += 1;
                let mut left = other.rows.keys().filter(|key| has(other, key) && !has(first, key));
                let nearest = nearest(key, &mut left);
                near.extend(nearest);
                let reason = unmatched(key, nearest, other, letter(side));
                self.not_comparable.push((letter(side), format!("not comparable: {reason}")));
                continue;
            };
            if own.failed > row.failed {
                self.missing += 1;
                let why = own.reason.as_deref().unwrap_or("reason unknown");
                let all = own.samples().count() + usize::try_from(own.failed).unwrap_or(usize::MAX);
                let text = format!("{}: {} of {all} samples lack, {why}", key.name(), own.failed);
                self.left_out.push((letter(side), text));
            }
            let host = RowKey { path: Some(BASELINE.to_owned()), ..key.clone() };
            let based = key.path.as_deref().is_some_and(|path| path != BASELINE);
            let bases = [first, other].map(|rows| rows.rows.get(&host).filter(|_| based));
            for figure in RowFigure::of(row) {
                if let Some(line) = line(key, *figure, side, [row, own], bases) {
                    self.lines.push(line);
                } else {
                    let (figure, _) = figure.name();
                    let text = format!("not comparable: {}: no {figure} in A", key.name());
                    self.not_comparable.push((letter(side), text));
                }
            }
        }
        for key in other.rows.keys().filter(|key| has(other, key) && !has(first, key)) {
            if !near.contains(&key) {
                self.alone.push((letter(side), format!("not in A: {}", key.name())));
            }
        }
    }

    /// Verdicts, once it is known how many tests there are.
    fn judge(&mut self) {
        let all: Vec<f64> = self.lines.iter().filter_map(|line| line.p).collect();
        let mut corrected = holm(&all).into_iter();
        for line in &mut self.lines {
            line.corrected_p = line.p.and_then(|_| corrected.next());
            let (ratio, better) = (*line.judged(), line.figure.better());
            let called = differs(&ratio, line.corrected_p);
            let within = |bound: Option<f64>| {
                bound.is_some_and(|bound| (bound - 1.0).abs() <= self.tolerance)
            };
            line.verdict = match (called, ratio.ratio > 1.0, better) {
                (true, true, Better::Higher) | (true, false, Better::Lower) => Difference::Faster,
                (true, ..) => Difference::Slower,
                _ if within(ratio.low) && within(ratio.high) => Difference::NoDifferenceShown,
                _ => Difference::Inconclusive,
            };
            line.over_tolerance = called && over_tolerance(&ratio, self.tolerance, better);
        }
    }

    /// Geometric means, each over all rows of a test that the first side has, the baseline's aside
    /// where others are held against it.
    fn average(&mut self, first: &SideRows) {
        let is_base = |key: &RowKey| key.path.as_deref() == Some(BASELINE);
        let group = |line: &Line| (line.key.title(), line.figure, line.side);
        let mut groups: Vec<Vec<&Line>> = Vec::new();
        for line in self.lines.iter().filter(|line| !is_base(&line.key)) {
            match groups.iter_mut().find(|own| group(own[0]) == group(line)) {
                Some(lines) => lines.push(line),
                None => groups.push(vec![line]),
            }
        }
        for lines in groups {
            let (title, figure, side) = group(lines[0]);
            let planned = first.rows.iter().filter(|(key, row)| {
                key.title() == title && !is_base(key) && row.samples().next().is_some()
            });
            // A mean over other rows, or of ratios of two kinds, would be no answer.
            let of_one_kind = lines
                .iter()
                .all(|line| line.of_baseline.is_some() == lines[0].of_baseline.is_some());
            if lines.len() < 2 || planned.count() != lines.len() || !of_one_kind {
                continue;
            }
            let logarithms: f64 = lines.iter().map(|line| line.judged().ratio.ln()).sum();
            let ratio = (logarithms / count(lines.len())).exp();
            self.means.push(MeanRatio { title, figure, side, ratio, rows: lines.len() });
        }
    }
}

/// The letter of a side.
pub(super) fn letter(side: usize) -> char {
    u8::try_from(side).map_or('?', |side| char::from(b'A'.saturating_add(side)))
}

fn described(side: &Side, rows: &SideRows) -> String {
    let samples: usize = rows.rows.values().map(|row| row.samples().count()).sum();
    let measured = rows.rows.values().filter(|row| row.samples().next().is_some()).count();
    let documents = side.documents.len();
    let name = &side.name;
    format!("{name} (documents: {documents}, rows: {measured}, complete samples: {samples})")
}

/// What differs between two sides beside their figures.
fn differing(first: &SideRows, other: &SideRows, side: char) -> Vec<String> {
    let said = |(name, [one, two]): (String, [String; 2])| {
        format!("{}: {one} in A, {two} in {side}", name.replace('.', " "))
    };
    let mut all: Vec<String> =
        differences(&first.hosts, &other.hosts).into_iter().map(said).collect();
    let mut plans: BTreeMap<String, usize> = BTreeMap::new();
    for (key, row) in &first.rows {
        let Some(own) = other.rows.get(key) else { continue };
        for difference in differences(&row.beside, &own.beside) {
            *plans.entry(said(difference)).or_default() += 1;
        }
    }
    all.extend(plans.into_iter().map(|(text, rows)| format!("{text} (rows: {rows})")));
    all
}

/// The row that differs in the fewest ways, if they are few.
fn nearest<'a>(key: &RowKey, others: &mut dyn Iterator<Item = &'a RowKey>) -> Option<&'a RowKey> {
    const MAX_WAYS: usize = 3;
    let far = |other: &&RowKey| key.apart(other).len();
    others.filter(|other| far(other) <= MAX_WAYS).min_by_key(far)
}

fn unmatched(key: &RowKey, nearest: Option<&RowKey>, other: &SideRows, side: char) -> String {
    let name = key.name();
    let failed = other.rows.get(key).and_then(|row| row.reason.clone());
    let planned = || {
        let same = |(test, path, flows, _): &&(String, String, u32, String)| {
            (test, Some(path), u64::from(*flows)) == (&key.test, key.path.as_ref(), key.flows)
        };
        other.unmeasured.iter().find(same).map(|(.., reason)| reason.clone())
    };
    if let Some(reason) = failed.or_else(planned) {
        return format!("{name}: no complete sample in {side}: {reason}");
    }
    let Some(nearest) = nearest else { return format!("{name}: not in {side}") };
    let apart = key.apart(nearest).into_iter();
    let apart: Vec<String> = apart
        .map(|(what, [a, b])| format!("{} {a} in A, {b} in {side}", what.replace('_', " ")))
        .collect();
    format!("{name}: {}", apart.join("; "))
}

fn line(
    key: &RowKey,
    figure: RowFigure,
    side: usize,
    rows: [&SideRow; 2],
    [base, other_base]: [Option<&SideRow>; 2],
) -> Option<Line> {
    let values = |row: &SideRow| -> Vec<f64> {
        row.samples().filter_map(|sample| figure.value(sample)).collect()
    };
    let [own, other] = rows.map(values);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / count(values.len());
    let against = Against::of(rows[0], base, figure).zip(Against::of(rows[1], other_base, figure));
    let of_baseline =
        against.as_ref().and_then(|(one, two)| ratio_of_ratios(&two.samples(), &one.samples()));
    let (p, noise_floor) = match &against {
        Some((one, two)) if of_baseline.is_some() => {
            (rank_test(&two.by_round, &one.by_round), noise_floor(&one.by_round))
        }
        _ => (rank_test(&other, &own), noise_floor(&own)),
    };
    // Without an interval there is nothing that a probability could bear out.
    let several = own.len() > 1 && other.len() > 1;
    Some(Line {
        key: key.clone(),
        figure,
        side,
        samples: [own.len(), other.len()],
        means: [mean(&own), mean(&other)],
        plain: ratio(&other, &own)?,
        of_baseline,
        p: p.filter(|_| several),
        corrected_p: None,
        noise_floor,
        verdict: Difference::Inconclusive,
        over_tolerance: false,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a number of samples or rows")]
const fn count(number: usize) -> f64 {
    number as f64
}
