//! Means and ratios of known samples, and how often their intervals hold the true value.

use proptest::prelude::*;

use super::*;

fn samples() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(1.0..1e12, 2..9)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

fn interval(samples: &[f64]) -> (f64, f64) {
    let estimate = estimate(samples).unwrap();
    (estimate.low.unwrap(), estimate.high.unwrap())
}

/// A draw from the normal distribution (Box and Muller 1958).
fn normal(random: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.f64()).cos()
}

#[test]
fn every_resample_of_few_is_counted_once() {
    let mut points = means(&[1.0, 4.0]);
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert_eq!(points, [(1.0, 0.25), (2.5, 0.5), (4.0, 0.25)]);
    for (count, multisets) in [(3_usize, 10), (4, 35), (5, 126), (6, 462)] {
        let samples: Vec<f64> = (0..count).map(|value| value as f64).collect();
        let points = means(&samples);
        assert_eq!(points.len(), multisets);
        assert!(close(points.iter().map(|(_, weight)| weight).sum(), 1.0));
    }
}

#[test]
fn few_samples_give_their_range_and_one_gives_none() {
    assert_eq!(interval(&[3.0, 1.0, 2.0]), (1.0, 3.0));
    assert_eq!(interval(&[4.0, 1.0, 2.0, 3.0]), (1.0, 4.0));
    // Of five, the outermost mean (1 in 3,125) lies beyond the level, the next within.
    assert_eq!(interval(&[10.0, 20.0, 30.0, 40.0, 50.0]), (12.0, 48.0));
    let one = Estimate { mean: 7.0, low: None, high: None, samples: 1 };
    assert_eq!(estimate(&[7.0]), Some(one));
    assert_eq!(estimate(&[]), None);
    assert_eq!(estimate(&[f64::NAN, 7.0, f64::INFINITY]), Some(one));
}

#[test]
fn a_ratio_ends_at_the_outermost_pairs() {
    let found = ratio(&[2.0, 4.0, 6.0], &[1.0, 2.0, 3.0]).unwrap();
    assert_eq!((found.ratio, found.low, found.high), (2.0, Some(2.0 / 3.0), Some(6.0)));
}

#[test]
fn a_ratio_without_a_baseline_or_without_spread_says_so() {
    assert_eq!(ratio(&[1.0, 2.0], &[]), None);
    assert_eq!(ratio(&[1.0, 2.0], &[0.0, 0.0]), None);
    let unframed = Ratio { ratio: 1.5, low: None, high: None };
    assert_eq!(ratio(&[1.0, 2.0], &[1.0]), Some(unframed));
    assert_eq!(ratio(&[1.5], &[0.5, 1.5]), Some(unframed));
    // A resample of nothing but the zero has no ratio.
    let open = ratio(&[1.0, 2.0, 3.0], &[0.0, 1.0, 2.0]).unwrap();
    assert_eq!((open.ratio, open.low, open.high), (2.0, None, None));
}

/// How often the interval of `count` normal samples holds the true mean, of a thousand.
fn coverage(count: usize) -> usize {
    let mut random = fastrand::Rng::with_seed(7);
    let held = (0..1_000).filter(|_| {
        let samples: Vec<f64> = (0..count).map(|_| 100.0 + 5.0 * normal(&mut random)).collect();
        let (low, high) = interval(&samples);
        low <= 100.0 && 100.0 <= high
    });
    held.count()
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    // The range of n samples holds the median with 1 - 2^(1-n); sampling error is 1 % here.
    assert!((720..780).contains(&coverage(3)), "{}", coverage(3));
    assert!((850..900).contains(&coverage(4)), "{}", coverage(4));
    assert!((900..970).contains(&coverage(5)), "{}", coverage(5));
    assert!((920..980).contains(&coverage(6)), "{}", coverage(6));
}

#[test]
fn the_ratio_of_two_groups_of_five_holds_the_truth() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut group =
        |mean: f64| -> Vec<f64> { (0..5).map(|_| mean + 3.0 * normal(&mut random)).collect() };
    let held = (0..200).filter(|_| {
        let (above, below) = (group(60.0), group(100.0));
        let found = ratio(&above, &below).unwrap();
        found.low.unwrap() <= 0.6 && 0.6 <= found.high.unwrap()
    });
    let held = held.count();
    assert!(held >= 184, "{held} of 200");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_interval_holds_the_mean_and_stays_within_the_samples(samples in samples()) {
        let estimate = estimate(&samples).unwrap();
        let (low, high) = (estimate.low.unwrap(), estimate.high.unwrap());
        prop_assert!(low <= estimate.mean && estimate.mean <= high);
        let least = samples.iter().copied().fold(f64::INFINITY, f64::min);
        let most = samples.iter().copied().fold(0.0, f64::max);
        prop_assert!(low >= least * (1.0 - 1e-9) && high <= most * (1.0 + 1e-9));
    }

    #[test]
    fn a_unit_scales_the_interval_and_cancels_in_a_ratio(
        samples in samples(),
        others in samples(),
        unit in 1e-9..1e9,
    ) {
        let scaled: Vec<f64> = samples.iter().map(|value| value * unit).collect();
        let (low, high) = interval(&samples);
        let (scaled_low, scaled_high) = interval(&scaled);
        prop_assert!(close(scaled_low, low * unit) && close(scaled_high, high * unit));
        let others_scaled: Vec<f64> = others.iter().map(|value| value * unit).collect();
        let plain = ratio(&samples, &others).unwrap();
        let same = ratio(&scaled, &others_scaled).unwrap();
        prop_assert!(close(plain.ratio, same.ratio));
        prop_assert!(close(plain.low.unwrap(), same.low.unwrap()));
        prop_assert!(close(plain.high.unwrap(), same.high.unwrap()));
    }

    #[test]
    fn order_does_not_matter(samples in samples(), seed in any::<u64>()) {
        let mut shuffled = samples.clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
        prop_assert_eq!(estimate(&samples), estimate(&shuffled));
        prop_assert_eq!(ratio(&samples, &[1.0, 2.0]), ratio(&shuffled, &[2.0, 1.0]));
    }

    #[test]
    fn a_group_is_like_itself(samples in samples()) {
        let found = ratio(&samples, &samples).unwrap();
        prop_assert!(found.low.unwrap() <= 1.0 && 1.0 <= found.high.unwrap());
    }

    #[test]
    fn what_reaches_further_into_the_tails_holds_what_does_not(
        samples in prop::collection::vec(1.0..1e12, 2..7),
        tails in (1e-6..0.4, 1e-6..0.4),
    ) {
        let (far, near) = (f64::min(tails.0, tails.1), f64::max(tails.0, tails.1));
        let (wide, narrow) = (bounds(means(&samples), far), bounds(means(&samples), near));
        prop_assert!(wide.0 <= narrow.0 && narrow.1 <= wide.1);
    }
}

fn run<'a>(path: &'a [f64], baseline: &'a [f64]) -> RunSamples<'a> {
    RunSamples { path, baseline }
}

#[test]
fn a_ratio_of_ratios_takes_each_run_by_its_own_baseline() {
    // Nodes twice as fast, and a path that costs a fifth more of them.
    let a = run(&[79.0, 80.0, 81.0, 80.0, 80.0, 80.0], &[99.0, 101.0, 100.0, 100.0, 100.0, 100.0]);
    let b = run(&[127.0, 129.0, 128.0, 128.0, 128.0, 128.0], &[200.0; 6]);
    let found = ratio_of_ratios(&[b], &[a]).unwrap();
    assert!(close(found.ratio, 0.8), "{found:?}");
    let (low, high) = (found.low.unwrap(), found.high.unwrap());
    assert!((0.77..0.8).contains(&low) && (0.8..0.83).contains(&high), "{found:?}");
    // Two runs on different nodes pool without a difference between them showing.
    let both = ratio_of_ratios(&[b, run(&[64.0; 3], &[100.0; 3])], &[a]).unwrap();
    assert!(close(both.ratio, 0.8), "{both:?}");
    assert!(both.high.unwrap() < 0.83, "{both:?}");
}

#[test]
fn a_ratio_of_ratios_without_a_part_says_so() {
    let whole = run(&[1.0, 2.0], &[1.0, 2.0]);
    assert_eq!(ratio_of_ratios(&[], &[whole]), None);
    assert_eq!(ratio_of_ratios(&[whole, run(&[1.0], &[])], &[whole]), None);
    assert_eq!(ratio_of_ratios(&[whole], &[run(&[0.0], &[1.0])]), None);
    let one = run(&[1.0], &[2.0]);
    let found = ratio_of_ratios(&[one], &[one]).unwrap();
    assert_eq!((found.ratio, found.low, found.high), (1.0, None, None));
}
