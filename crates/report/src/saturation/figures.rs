//! The plateau of goodput, and the streams that reach shares of it, each with an interval.
//!
//! With X(N) the mean goodput of N streams: the plateau is the largest X(N), and n95 the smallest
//! N that was measured with X(N) at least 95 % of it. The intervals are those of one bootstrap over
//! all N together: each resample draws the samples of every N anew and takes all figures of it, so
//! that what is uncertain of the plateau is uncertain of the streams too. How far into the tails
//! they reach is that of the smallest group (the expanded percentile interval). A maximum of means
//! is drawn upwards by their noise, and that of resamples twice, so that their distribution lies
//! too high; the plateau's interval therefore reaches as far to either side as that distribution
//! does to the farther one.

use crate::analysis::tail;
use podperf_model::result::cluster::Estimate;
use podperf_model::result::saturation::StreamsNeeded;

/// The share of the plateau that the answer is about.
pub const ANSWER_SHARE: f64 = 0.95;
/// Shares of the plateau that are asked for.
pub const SHARES: [f64; 3] = [0.90, ANSWER_SHARE, 0.99];
/// Resamples of all samples: the outermost thousandth then still holds ten.
const RESAMPLES: usize = 10_000;
const SEED: u64 = 0x706f_6470_6572_6673;

/// The samples of one number of streams.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSamples {
    /// Streams.
    pub streams: u32,
    /// Goodput of each sample, in bits per second.
    pub goodputs: Vec<f64>,
    /// Samples that it is to have.
    pub wanted: usize,
}

/// Mean goodput of each number of streams.
pub(super) type Means = Vec<(u32, f64)>;
/// One of the figures.
type FigureOf<'a> = &'a dyn Fn(&Means) -> f64;

/// What the samples of all numbers of streams say together.
#[derive(Debug, Clone, PartialEq)]
pub struct PlateauFigures {
    /// The largest mean goodput, in bits per second.
    pub plateau: Estimate,
    /// The streams that reach each of [`SHARES`].
    pub needed: [StreamsNeeded; SHARES.len()],
}

impl PlateauFigures {
    /// Of the goodput of each number of streams; nothing without samples.
    #[must_use]
    pub fn of(all: &[StreamSamples]) -> Option<Self> {
        Self::resampled(all, RESAMPLES)
    }

    fn resampled(all: &[StreamSamples], resamples: usize) -> Option<Self> {
        let means = means(all);
        let plateau = highest(&means)?;
        let lengths = || known(all).map(|own| own.goodputs.len());
        let smallest = lengths().min().unwrap_or(0);
        let mut random = fastrand::Rng::with_seed(SEED);
        let drawn: Vec<Means> = (0..resamples).map(|_| resample(all, &mut random)).collect();
        let ends = |of: FigureOf<'_>| -> Option<(f64, f64)> {
            let mut values: Vec<f64> = drawn.iter().map(of).collect();
            values.sort_unstable_by(f64::total_cmp);
            Some(outermost(&values, tail(smallest)?))
        };
        let highest_of = |means: &Means| highest(means).unwrap_or(0.0);
        let (low, high) = ends(&highest_of)
            .map(|(low, high)| (plateau - low).max(high - plateau))
            .map(|half| (plateau - half, plateau + half))
            .unzip();
        let largest = lengths().max().unwrap_or(0);
        let samples = u32::try_from(largest).unwrap_or(u32::MAX);
        let needed = SHARES.map(|share| {
            let streams = reaching(&means, share).unwrap_or(0);
            let of = |means: &Means| f64::from(reaching(means, share).unwrap_or(0));
            let (low, high) = ends(&of).map(|(low, high)| (whole(low), whole(high))).unzip();
            let (low, high) = (low.map(|low| low.min(streams)), high.map(|high| high.max(streams)));
            StreamsNeeded { streams, low, high }
        });
        Some(Self { plateau: Estimate { mean: plateau, low, high, samples }, needed })
    }
}

/// The smallest number of streams whose mean is at least `share` of the largest; nothing without
/// samples.
#[must_use]
pub fn streams_needed(all: &[StreamSamples], share: f64) -> Option<u32> {
    reaching(&means(all), share)
}

/// Those that were measured.
pub(super) fn known(all: &[StreamSamples]) -> impl Iterator<Item = &StreamSamples> {
    all.iter().filter(|own| !own.goodputs.is_empty())
}

/// Of those that were measured.
pub(super) fn means(all: &[StreamSamples]) -> Means {
    known(all).map(|own| (own.streams, mean(&own.goodputs, |place| place))).collect()
}

fn resample(all: &[StreamSamples], random: &mut fastrand::Rng) -> Means {
    let mut again = |own: &StreamSamples| {
        (own.streams, mean(&own.goodputs, |_| random.usize(..own.goodputs.len())))
    };
    known(all).map(&mut again).collect()
}

/// The mean of as many samples as there are, each taken from the place that is said.
#[expect(clippy::cast_precision_loss, reason = "a number of samples")]
fn mean(samples: &[f64], mut from: impl FnMut(usize) -> usize) -> f64 {
    let count = samples.len();
    (0..count).map(|place| samples[from(place)]).sum::<f64>() / count as f64
}

fn highest(means: &Means) -> Option<f64> {
    means.iter().map(|(_, mean)| *mean).reduce(f64::max)
}

fn reaching(means: &Means, share: f64) -> Option<u32> {
    let least = share * highest(means)?;
    means.iter().find(|(_, mean)| *mean >= least).map(|(streams, _)| *streams)
}

/// The values beyond which `tail` of them lie on each side.
#[expect(clippy::cast_precision_loss, reason = "a number of resamples")]
#[expect(clippy::cast_possible_truncation, reason = "a share of a number that fits")]
#[expect(clippy::cast_sign_loss, reason = "a share of a number that fits")]
fn outermost(sorted: &[f64], tail: f64) -> (f64, f64) {
    let last = sorted.len().saturating_sub(1);
    let place = ((tail * sorted.len() as f64) as usize).min(last);
    (sorted[place], sorted[last - place])
}

#[expect(clippy::cast_possible_truncation, reason = "it was made of a number of streams")]
#[expect(clippy::cast_sign_loss, reason = "it was made of a number of streams")]
const fn whole(streams: f64) -> u32 {
    streams as u32
}

#[cfg(test)]
mod tests;
