//! Means and ratios of means with their 95 % intervals, by the expanded percentile bootstrap over
//! samples.
//!
//! Few samples have few resamples, so their distribution is written down whole; of more, a fixed
//! number is drawn from a generator with a fixed seed. The same samples in any order give the same
//! interval. Figures that are not finite are left out.

use crate::analysis::level::tail;
use podperf_model::result::cluster::{Estimate, Ratio};

/// Up to so many samples, every resample is counted: 462 means of six, and their square in pairs.
const MAX_EXACT_SAMPLES: usize = 6;
/// Resamples that are drawn of more. The outermost thousandth then still holds forty.
const RESAMPLES: usize = 40_000;
const SEED: u64 = 0x706f_6470_6572_6600;

/// A value, and how likely it is.
type Point = (f64, f64);

/// The mean of `samples` and its interval; nothing without samples.
#[must_use]
pub fn estimate(samples: &[f64]) -> Option<Estimate> {
    let samples = sorted(samples);
    let mean = mean(&samples)?;
    let bounds = tail(samples.len()).map(|tail| {
        let points = if samples.len() <= MAX_EXACT_SAMPLES {
            means(&samples)
        } else {
            let mut random = fastrand::Rng::with_seed(SEED);
            equally(|| resampled(&samples, &mut random))
        };
        bounds(points, tail)
    });
    let (low, high) = around(mean, bounds).unzip();
    Some(Estimate { mean, low, high, samples: u32::try_from(samples.len()).unwrap_or(u32::MAX) })
}

/// The mean of `samples` divided by that of `baseline`, two groups that know nothing of each other;
/// nothing where either is empty or the baseline's mean is 0. The interval reaches as far as the
/// smaller group asks for.
#[must_use]
pub fn ratio(samples: &[f64], baseline: &[f64]) -> Option<Ratio> {
    let (samples, baseline) = (sorted(samples), sorted(baseline));
    let ratio = mean(&samples)? / mean(&baseline)?;
    if !ratio.is_finite() {
        return None;
    }
    let smaller = samples.len().min(baseline.len());
    let bounds = tail(smaller).map(|tail| {
        let points = if samples.len().max(baseline.len()) <= MAX_EXACT_SAMPLES {
            let below = means(&baseline);
            let pairs = means(&samples).into_iter().flat_map(|(above, weight)| {
                below.iter().map(move |(below, other)| (above / below, weight * other))
            });
            pairs.collect()
        } else {
            let mut random = fastrand::Rng::with_seed(SEED);
            equally(|| resampled(&samples, &mut random) / resampled(&baseline, &mut random))
        };
        bounds(points, tail)
    });
    let (low, high) = around(ratio, bounds).unzip();
    Some(Ratio { ratio, low, high })
}

/// Samples of a path and of the baseline that were measured in one run.
#[derive(Debug, Clone, Copy)]
pub struct RunSamples<'a> {
    /// Those of the path.
    pub path: &'a [f64],
    /// Those of the baseline.
    pub baseline: &'a [f64],
}

/// The ratio of `one` to its own baseline, divided by that of `other`: how much two clusters differ
/// beyond what their nodes do. Each run has its ratio, and the runs of a side are weighed by the
/// path's samples; nothing where a run lacks either.
#[must_use]
pub fn ratio_of_ratios(one: &[RunSamples<'_>], other: &[RunSamples<'_>]) -> Option<Ratio> {
    let drawn = |runs: &[RunSamples<'_>]| -> Vec<[Vec<f64>; 2]> {
        runs.iter().map(|run| [sorted(run.path), sorted(run.baseline)]).collect()
    };
    let (one, other) = (drawn(one), drawn(other));
    let all = || one.iter().chain(&other).flatten();
    if one.is_empty() || other.is_empty() || all().any(Vec::is_empty) {
        return None;
    }
    let weighed = |runs: &[[Vec<f64>; 2]], mean: &mut dyn FnMut(&[f64]) -> f64| -> f64 {
        let sum =
            |[path, baseline]: &[Vec<f64>; 2]| float(path.len()) * mean(path) / mean(baseline);
        let samples: usize = runs.iter().map(|[path, _]| path.len()).sum();
        runs.iter().map(sum).sum::<f64>() / float(samples)
    };
    let mut plain = |samples: &[f64]| samples.iter().sum::<f64>() / float(samples.len());
    let ratio = weighed(&one, &mut plain) / weighed(&other, &mut plain);
    if !ratio.is_finite() {
        return None;
    }
    let pooled = |runs: &[[Vec<f64>; 2]]| {
        let of = |which: usize| runs.iter().map(|run| run[which].len()).sum::<usize>();
        of(0).min(of(1))
    };
    let smaller = pooled(&one).min(pooled(&other));
    let bounds = tail(smaller).map(|tail| {
        let mut random = fastrand::Rng::with_seed(SEED);
        let mut again = |samples: &[f64]| resampled(samples, &mut random);
        bounds(equally(|| weighed(&one, &mut again) / weighed(&other, &mut again)), tail)
    });
    let (low, high) = around(ratio, bounds).unzip();
    Some(Ratio { ratio, low, high })
}

#[expect(clippy::cast_precision_loss, reason = "a number of samples")]
const fn float(count: usize) -> f64 {
    count as f64
}

/// An interval that holds the point it belongs to; none where it does not end, as with a baseline
/// that can be resampled to 0.
fn around(point: f64, bounds: Option<(f64, f64)>) -> Option<(f64, f64)> {
    let (low, high) = bounds?;
    // Sums in different order differ in their last digit.
    (low.is_finite() && high.is_finite()).then(|| (low.min(point), high.max(point)))
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut samples: Vec<f64> = samples.iter().copied().filter(|value| value.is_finite()).collect();
    samples.sort_unstable_by(f64::total_cmp);
    samples
}

#[expect(clippy::cast_precision_loss, reason = "a number of samples")]
fn mean(samples: &[f64]) -> Option<f64> {
    let mean = samples.iter().sum::<f64>() / samples.len() as f64;
    mean.is_finite().then_some(mean)
}

/// The mean of as many samples drawn with replacement.
#[expect(clippy::cast_precision_loss, reason = "a number of samples")]
fn resampled(samples: &[f64], random: &mut fastrand::Rng) -> f64 {
    let drawn = samples.iter().map(|_| samples[random.usize(..samples.len())]);
    drawn.sum::<f64>() / samples.len() as f64
}

/// As many values as are drawn, each as likely.
#[expect(clippy::cast_precision_loss, reason = "a number of resamples")]
fn equally(mut value: impl FnMut() -> f64) -> Vec<Point> {
    (0..RESAMPLES).map(|_| (value(), 1.0 / RESAMPLES as f64)).collect()
}

/// Every mean of a resample: one a multiset of the samples, as likely as its multinomial
/// coefficient says.
#[expect(clippy::cast_precision_loss, reason = "a handful of samples")]
fn means(samples: &[f64]) -> Vec<Point> {
    let count = samples.len();
    // Sums of `left` more draws among those not yet looked at.
    let mut open = vec![(0.0, 1.0, count)];
    for (place, value) in samples.iter().enumerate() {
        let last = place + 1 == count;
        let taken = |(sum, weight, left): (f64, f64, usize)| {
            let times = if last { left..=left } else { 0..=left };
            times.map(move |times| {
                (sum + times as f64 * value, weight * binomial(left, times), left - times)
            })
        };
        open = open.into_iter().flat_map(taken).collect();
    }
    let all = (count as f64).powf(count as f64);
    open.into_iter().map(|(sum, weight, _)| (sum / count as f64, weight / all)).collect()
}

/// `all` over `some`.
#[expect(clippy::cast_precision_loss, reason = "a handful of samples")]
fn binomial(all: usize, some: usize) -> f64 {
    (0..some).fold(1.0, |product, step| product * (all - step) as f64 / (step + 1) as f64)
}

/// The outermost values that have at least `tail` of the distribution at or beyond them.
fn bounds(mut points: Vec<Point>, tail: f64) -> (f64, f64) {
    points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let low = reaching(points.iter(), tail);
    let high = reaching(points.iter().rev(), tail);
    (low, high)
}

fn reaching<'a>(points: impl Iterator<Item = &'a Point>, tail: f64) -> f64 {
    let mut weight = 0.0;
    let mut reached = f64::NAN;
    for (value, more) in points {
        weight += more;
        reached = *value;
        if weight >= tail {
            break;
        }
    }
    reached
}

#[cfg(test)]
mod tests;
