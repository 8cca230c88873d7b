//! The two-sided test of Mann and Whitney (Wilcoxon's rank sum): could two groups of samples be
//! draws of one distribution?
//!
//! Small groups are held against every way of dealing their ranks out, ties included; large ones
//! against the normal distribution with the correction for ties.

use std::f64::consts::SQRT_2;

/// Samples of both groups together up to which every division is counted.
const MAX_EXACT_SAMPLES: usize = 64;

/// The probability that two groups of one distribution have rank sums as far apart as these or
/// further; nothing where a group is empty or has a value that is not finite.
#[must_use]
pub fn rank_test(one: &[f64], other: &[f64]) -> Option<f64> {
    let finite = one.iter().chain(other).all(|value| value.is_finite());
    if one.is_empty() || other.is_empty() || !finite {
        return None;
    }
    let ranks = doubled_ranks(one, other);
    let sum: usize = ranks[..one.len()].iter().sum();
    Some(if ranks.len() <= MAX_EXACT_SAMPLES {
        exact(&ranks, one.len(), sum)
    } else {
        approximate(&ranks, one.len(), sum)
    })
}

/// Twice the rank of each value, those of `one` first; equal values share the mean of their ranks.
fn doubled_ranks(one: &[f64], other: &[f64]) -> Vec<usize> {
    let values: Vec<f64> = one.iter().chain(other).copied().collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0; values.len()];
    let mut below = 0;
    for tied in order.chunk_by(|a, b| same(values[*a], values[*b])) {
        // Ranks `below + 1` to `below + tied`: their mean, twice.
        tied.iter().for_each(|place| ranks[*place] = 2 * below + tied.len() + 1);
        below += tied.len();
    }
    ranks
}

#[expect(clippy::float_cmp, reason = "samples are tied when they are the same figure")]
fn same(a: f64, b: f64) -> bool {
    a == b
}

/// Twice the rank sum that is expected: each rank is as likely in either group.
const fn expected(all: usize, taken: usize) -> usize {
    taken * (all + 1)
}

/// Of all ways to take `taken` of the ranks, the share whose sum is as far from the expected one.
fn exact(ranks: &[usize], taken: usize, sum: usize) -> f64 {
    let total: usize = ranks.iter().sum();
    // Ways to reach a sum with so many ranks.
    let mut ways = vec![vec![0.0; total + 1]; taken + 1];
    ways[0][0] = 1.0;
    let mut reached = 0;
    for (seen, rank) in ranks.iter().enumerate() {
        reached += rank;
        for count in (1..=taken.min(seen + 1)).rev() {
            let (fewer, more) = ways.split_at_mut(count);
            let (fewer, more) = (&fewer[count - 1], &mut more[0]);
            for sum in (*rank..=reached).rev() {
                more[sum] += fewer[sum - rank];
            }
        }
    }
    let middle = expected(ranks.len(), taken);
    let far = |own: usize| own.abs_diff(middle) >= sum.abs_diff(middle);
    let ways = ways.swap_remove(taken);
    let beyond: f64 = ways.iter().enumerate().filter(|(own, _)| far(*own)).map(|(_, n)| n).sum();
    (beyond / ways.iter().sum::<f64>()).min(1.0)
}

/// By the normal distribution, half a rank nearer for the sum's steps.
#[expect(clippy::cast_precision_loss, reason = "numbers of samples and their ranks")]
fn approximate(ranks: &[usize], taken: usize, sum: usize) -> f64 {
    let (all, one) = (ranks.len() as f64, taken as f64);
    let mut sorted = ranks.to_vec();
    sorted.sort_unstable();
    let ties: f64 = sorted
        .chunk_by(|a, b| a == b)
        .map(|tied| (tied.len() as f64).powi(3) - tied.len() as f64)
        .sum();
    let variance = one * (all - one) / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    let away = sum.abs_diff(expected(ranks.len(), taken)) as f64 / 2.0;
    libm::erfc((away - 0.5).max(0.0) / variance.sqrt() / SQRT_2).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    /// Values of `ranks`, and all others up to `all`.
    fn split(ranks: &[usize], all: usize) -> f64 {
        let (one, other): (Vec<usize>, Vec<usize>) =
            (1..=all).partition(|rank| ranks.contains(rank));
        let floats = |ranks: Vec<usize>| ranks.into_iter().map(|rank| rank as f64).collect();
        let (one, other): (Vec<f64>, Vec<f64>) = (floats(one), floats(other));
        rank_test(&one, &other).unwrap()
    }

    #[test]
    fn the_least_probabilities_are_those_of_counting() {
        for (each, ways) in [(3, 20.0), (4, 70.0), (5, 252.0), (6, 924.0), (7, 3_432.0)] {
            let lowest: Vec<usize> = (1..=each).collect();
            assert!(close(split(&lowest, 2 * each), 2.0 / ways), "{each}");
        }
        assert!(close(split(&[1], 2), 1.0));
    }

    /// One-sided probabilities of U, table 1 of Mann and Whitney, Annals of Mathematical Statistics
    /// 18 (1947), for 4 against 4, 5 against 5, and 3 against 6.
    #[test]
    fn published_probabilities_come_out() {
        for (ranks, all, one_sided) in [
            (vec![1, 2, 3, 5], 8, 0.029),
            (vec![1, 2, 4, 5], 8, 0.057),
            (vec![1, 2, 3, 4, 7], 10, 0.016),
            (vec![1, 2, 3, 5, 7], 10, 0.028),
            (vec![1, 2, 4, 5, 7], 10, 0.048),
            (vec![1, 2, 5], 9, 0.048),
        ] {
            let found = split(&ranks, all) / 2.0;
            assert!((found - one_sided).abs() < 0.0005, "{ranks:?}: {found}");
        }
    }

    #[test]
    fn equal_groups_show_nothing_and_values_must_be_finite() {
        assert!(close(rank_test(&[5.0; 7], &[5.0; 7]).unwrap(), 1.0));
        assert!(close(rank_test(&[5.0; 70], &[5.0; 70]).unwrap(), 1.0));
        assert_eq!(rank_test(&[], &[1.0]), None);
        assert_eq!(rank_test(&[1.0], &[f64::NAN]), None);
    }

    #[test]
    fn large_groups_agree_with_counting() {
        let mut random = fastrand::Rng::with_seed(3);
        for shift in [0.0, 0.1, 0.2, 0.3] {
            let one: Vec<f64> = (0..32).map(|_| (random.f64() * 40.0).round()).collect();
            let other: Vec<f64> =
                (0..32).map(|_| ((random.f64() + shift) * 40.0).round()).collect();
            let ranks = doubled_ranks(&one, &other);
            let sum = ranks[..32].iter().sum();
            let (exact, near) = (exact(&ranks, 32, sum), approximate(&ranks, 32, sum));
            assert!((exact - near).abs() < 0.01, "{exact} {near}");
        }
    }

    /// By taking every subset in turn.
    fn counted(ranks: &[usize], taken: usize, sum: usize) -> f64 {
        let middle = expected(ranks.len(), taken);
        let (mut beyond, mut all) = (0.0, 0.0);
        for subset in 0_u32..1 << ranks.len() {
            if subset.count_ones() as usize != taken {
                continue;
            }
            let own: usize =
                (0..ranks.len()).filter(|place| subset >> place & 1 == 1).map(|p| ranks[p]).sum();
            all += 1.0;
            if own.abs_diff(middle) >= sum.abs_diff(middle) {
                beyond += 1.0;
            }
        }
        beyond / all
    }

    proptest! {
        #[test]
        fn ties_are_counted_as_they_are(
            one in prop::collection::vec(0_u8..6, 1..7),
            other in prop::collection::vec(0_u8..6, 1..7),
        ) {
            let floats = |own: &[u8]| own.iter().map(|value| f64::from(*value)).collect();
            let (one, other): (Vec<f64>, Vec<f64>) = (floats(&one), floats(&other));
            let ranks = doubled_ranks(&one, &other);
            let sum = ranks[..one.len()].iter().sum();
            prop_assert!(close(rank_test(&one, &other).unwrap(), counted(&ranks, one.len(), sum)));
            // Neither group comes first.
            prop_assert!(close(rank_test(&one, &other).unwrap(), rank_test(&other, &one).unwrap()));
        }
    }
}
