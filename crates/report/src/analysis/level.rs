//! How far into the tails of a bootstrap distribution an interval of 95 % reaches.
//!
//! The plain percentile interval takes 2.5 % off each end and is too narrow for few samples: it
//! lacks the factor sqrt(n/(n-1)) of the sample variance and what Student's t adds to the normal
//! distribution. The expanded percentile interval puts both into the level (Hesterberg, "What
//! Teachers Should Know About the Bootstrap", The American Statistician 69(4), 2015).

use std::f64::consts::SQRT_2;

/// t(0.975) of 1 to 30 degrees of freedom (NIST/SEMATECH e-Handbook of Statistical Methods,
/// section 1.3.6.7.2).
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];
/// The normal distribution's.
const Z: f64 = 1.959_963_985;

/// What is cut off each end with `samples` of them; none where there is no spread to see.
#[expect(clippy::cast_precision_loss, reason = "a number of samples")]
pub(crate) fn tail(samples: usize) -> Option<f64> {
    let freedom = samples.checked_sub(1).filter(|freedom| *freedom > 0)?;
    let stretch = (samples as f64 / freedom as f64).sqrt();
    Some(phi(-stretch * t(freedom)))
}

/// Student's t at 0.975; past the table by its expansion in 1/freedom (Abramowitz and Stegun,
/// 26.7.5).
#[expect(clippy::cast_precision_loss, reason = "a number of samples")]
fn t(freedom: usize) -> f64 {
    let expansion = || {
        let freedom = freedom as f64;
        let (cube, fifth) = (Z.powi(3), Z.powi(5));
        Z + (cube + Z) / (4.0 * freedom)
            + (5.0 * fifth + 16.0 * cube + 3.0 * Z) / (96.0 * freedom * freedom)
    };
    T.get(freedom.wrapping_sub(1)).copied().unwrap_or_else(expansion)
}

/// The normal distribution function.
fn phi(x: f64) -> f64 {
    0.5 * libm::erfc(-x / SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_samples_reach_further_and_many_the_plain_level() {
        assert_eq!((tail(0), tail(1)), (None, None));
        let tails: Vec<f64> = (2..200).filter_map(tail).collect();
        assert!(tails.is_sorted_by(|a, b| a < b), "{tails:?}");
        assert!(tails.iter().all(|tail| *tail < 0.025));
        // Phi of -sqrt(5/4) x 2.776 and of -sqrt(10/9) x 2.262.
        assert!((tail(5).unwrap() - 0.000_955).abs() < 5e-6, "{:?}", tail(5));
        assert!((tail(10).unwrap() - 0.008_55).abs() < 5e-5, "{:?}", tail(10));
        assert!((tail(1_000_000).unwrap() - 0.025).abs() < 1e-5);
    }

    #[test]
    fn the_table_meets_its_expansion() {
        assert!((t(31) - 2.0395).abs() < 1e-4, "{}", t(31));
        assert!((t(60) - 2.0003).abs() < 1e-4, "{}", t(60));
        assert!(T[29] > t(31) && T.is_sorted_by(|a, b| a > b));
    }

    #[test]
    fn the_normal_distribution_is_known_far_into_its_tails() {
        assert!((phi(0.0) - 0.5).abs() < 1e-15);
        assert!((phi(-Z) - 0.025).abs() < 1e-10);
        assert!((phi(-5.0) / 2.866_515_718_791_94e-7 - 1.0).abs() < 1e-10);
    }
}
