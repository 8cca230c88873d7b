//! What a ratio's interval says of two paths.

use podperf_model::result::cluster::{BaselineComparison, Difference, Ratio};

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Rates.
    Higher,
    /// Times.
    Lower,
}

/// Within `tolerance` (a share) around 1 as a whole: no difference shown. Otherwise on one side of
/// 1 as a whole: slower or faster. A baseline is no upper bound, so either can come out.
#[must_use]
pub fn difference(ratio: &Ratio, tolerance: f64, better: Better) -> Difference {
    let (Some(low), Some(high)) = (ratio.low, ratio.high) else { return Difference::Inconclusive };
    if low >= 1.0 - tolerance && high <= 1.0 + tolerance {
        return Difference::NoDifferenceShown;
    }
    match (low > 1.0, high < 1.0, better) {
        (true, _, Better::Higher) | (_, true, Better::Lower) => Difference::Faster,
        (_, true, Better::Higher) | (true, _, Better::Lower) => Difference::Slower,
        _ => Difference::Inconclusive,
    }
}

/// The bound of the interval that is nearest to the baseline is worse than it by more than
/// `tolerance`: even at its best, the path is. Never without an interval.
#[must_use]
pub fn over_tolerance(ratio: &Ratio, tolerance: f64, better: Better) -> bool {
    match better {
        Better::Higher => ratio.high.is_some_and(|high| high < 1.0 - tolerance),
        Better::Lower => ratio.low.is_some_and(|low| low > 1.0 + tolerance),
    }
}

/// Largest probability, corrected for the number of tests, at which a difference is called.
pub const SIGNIFICANCE: f64 = 0.05;

/// Both witnesses call a difference: the whole interval lies on one side of 1, and the rank test's
/// probability `p` (corrected) is below [`SIGNIFICANCE`].
#[must_use]
pub fn differs(ratio: &Ratio, p: Option<f64>) -> bool {
    let one_side = match (ratio.low, ratio.high) {
        (Some(low), Some(high)) => low > 1.0 || high < 1.0,
        _ => false,
    };
    one_side && p.is_some_and(|p| p < SIGNIFICANCE)
}

/// All of it.
pub(super) fn versus(ratio: Ratio, tolerance: f64, better: Better) -> BaselineComparison {
    BaselineComparison {
        difference: difference(&ratio, tolerance, better),
        over_tolerance: over_tolerance(&ratio, tolerance, better),
        ratio,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(low: f64, high: f64) -> Ratio {
        Ratio { ratio: f64::midpoint(low, high), low: Some(low), high: Some(high) }
    }

    #[test]
    fn the_whole_interval_decides() {
        use Difference::{Faster, Inconclusive, NoDifferenceShown, Slower};
        for (low, high, higher, lower) in [
            (0.60, 0.70, Slower, Faster),
            (0.90, 0.99, Slower, Faster),
            (0.96, 0.98, NoDifferenceShown, NoDifferenceShown),
            (0.95, 1.05, NoDifferenceShown, NoDifferenceShown),
            (0.94, 1.01, Inconclusive, Inconclusive),
            (1.00, 1.20, Inconclusive, Inconclusive),
            (1.01, 1.20, Faster, Slower),
        ] {
            assert_eq!(difference(&of(low, high), 0.05, Better::Higher), higher, "{low}..{high}");
            assert_eq!(difference(&of(low, high), 0.05, Better::Lower), lower, "{low}..{high}");
        }
        let unframed = Ratio { ratio: 0.1, low: None, high: None };
        assert_eq!(difference(&unframed, 0.05, Better::Higher), Inconclusive);
    }

    #[test]
    fn a_difference_takes_both_witnesses() {
        for (low, high, p, called) in [
            (0.90, 0.99, Some(0.01), true),
            (1.01, 1.02, Some(0.049), true),
            (0.90, 0.99, Some(0.05), false),
            (0.90, 0.99, None, false),
            (0.90, 1.00, Some(0.01), false),
        ] {
            assert_eq!(differs(&of(low, high), p), called, "{low}..{high} {p:?}");
        }
        assert!(!differs(&Ratio { ratio: 0.1, low: None, high: None }, Some(0.001)));
    }

    #[test]
    fn the_tolerance_is_held_against_the_near_bound() {
        for (low, high, higher, lower) in [
            (0.60, 0.70, true, false),
            (0.60, 0.96, false, false),
            (1.04, 1.40, false, false),
            (1.06, 1.40, false, true),
        ] {
            assert_eq!(over_tolerance(&of(low, high), 0.05, Better::Higher), higher);
            assert_eq!(over_tolerance(&of(low, high), 0.05, Better::Lower), lower);
        }
        let unframed = Ratio { ratio: 0.1, low: None, high: None };
        assert!(!over_tolerance(&unframed, 0.05, Better::Higher));
    }
}
