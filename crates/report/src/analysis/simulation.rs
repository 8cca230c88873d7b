//! How often a difference is called where there is none, and where there is one: pairs of groups
//! drawn with a fixed seed. For a test and for the bench `error_rates`.

use std::f64::consts::{SQRT_2, TAU};

/// How samples of one row vary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The normal distribution.
    Normal,
    /// The exponential one, whose long tail is to the right (skewness 2).
    Skewed,
}

/// How the samples of two groups lie in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeOrder {
    /// None depends on another.
    Independent,
    /// Each depends on the one before it (AR(1)), the groups take turns.
    Interleaved,
    /// The same, one group after the other.
    Blocks,
}

/// What is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Simulation {
    /// Samples of each group.
    pub(crate) samples: usize,
    /// Standard deviation by the mean.
    pub(crate) noise_share: f64,
    /// How they vary.
    pub(crate) shape: Shape,
    /// How they lie in time.
    pub(crate) order: TimeOrder,
    /// True mean of the second group by that of the first.
    pub(crate) true_ratio: f64,
    /// Of the generator.
    pub(crate) seed: u64,
}

/// Correlation of neighbours in time, where there is any.
const CORRELATION: f64 = 0.5;

impl Simulation {
    /// The share of `pairs` of which `called` says that they differ.
    pub(crate) fn rate(&self, pairs: u32, called: impl Fn(&[f64], &[f64]) -> bool) -> f64 {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let hits = (0..pairs).filter(|_| {
            let (one, other) = self.pair(&mut random);
            called(&one, &other)
        });
        f64::from(u32::try_from(hits.count()).unwrap_or(u32::MAX)) / f64::from(pairs)
    }

    fn pair(&self, random: &mut fastrand::Rng) -> (Vec<f64>, Vec<f64>) {
        let all = 2 * self.samples;
        let correlation = if self.order == TimeOrder::Independent { 0.0 } else { CORRELATION };
        let mut value = normal(random);
        let mut series = Vec::with_capacity(all);
        for _ in 0..all {
            series.push(self.sample(value));
            let fresh = (1.0 - correlation * correlation).sqrt();
            value = correlation * value + fresh * normal(random);
        }
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for (place, value) in series.into_iter().enumerate() {
            let first = match self.order {
                TimeOrder::Blocks => place < self.samples,
                // Turns change who is first, as a drawn order does.
                _ => (place % 2 == 0) == (place / 2 % 2 == 0),
            };
            if first { one.push(value) } else { other.push(value * self.true_ratio) }
        }
        (one, other)
    }

    fn sample(&self, value: f64) -> f64 {
        match self.shape {
            Shape::Normal => 1.0 + self.noise_share * value,
            Shape::Skewed => {
                // The share of the normal distribution above it, as a draw from the exponential.
                let above = 0.5 * libm::erfc(value / SQRT_2);
                1.0 + self.noise_share * (-above.ln() - 1.0)
            }
        }
    }
}

/// A draw from the normal distribution (Box and Muller 1958).
fn normal(random: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    radius * (TAU * random.f64()).cos()
}
