//! Known curves, and how often the intervals hold the true figures.

use super::*;

/// A draw from the normal distribution (Box and Muller 1958).
fn normal(random: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.f64()).cos()
}

/// `samples` of each of `counts`, around `curve`.
fn drawn(
    counts: &[u32],
    curve: fn(f64) -> f64,
    samples: usize,
    noise: f64,
    random: &mut fastrand::Rng,
) -> Vec<StreamSamples> {
    let mut of = |streams: &u32| {
        let mean = curve(f64::from(*streams));
        (0..samples).map(|_| mean * (1.0 + noise * normal(random))).collect()
    };
    counts
        .iter()
        .map(|streams| StreamSamples { streams: *streams, goodputs: of(streams), wanted: samples })
        .collect()
}

/// Half a Gbit/s each, and 1.91 Gbit/s of all together.
fn shaped(streams: f64) -> f64 {
    (0.5 * streams).min(1.91)
}

/// More streams gain less and less.
fn bent(streams: f64) -> f64 {
    10.0 * streams / (streams + 0.3)
}

fn flat(_streams: f64) -> f64 {
    9.4
}

#[test]
fn without_noise_all_figures_are_those_of_the_curve() {
    let mut random = fastrand::Rng::with_seed(1);
    let goodputs = drawn(&[1, 2, 3, 4, 6, 8], shaped, 5, 0.0, &mut random);
    let figures = PlateauFigures::of(&goodputs).unwrap();
    let at_4 = StreamsNeeded { streams: 4, low: Some(4), high: Some(4) };
    assert_eq!(figures.needed, [at_4; 3]);
    assert!((figures.plateau.mean - 1.91).abs() < 1e-9);
    assert_eq!(streams_needed(&goodputs, 0.5), Some(2));
    assert_eq!(PlateauFigures::of(&[]), None);
}

#[test]
fn one_sample_of_any_number_leaves_no_interval() {
    let own = |streams, goodputs| StreamSamples { streams, goodputs, wanted: 2 };
    let goodputs = [own(1, vec![1.0, 1.1]), own(2, vec![1.2]), own(3, Vec::new())];
    let figures = PlateauFigures::of(&goodputs).unwrap();
    assert_eq!((figures.plateau.mean, figures.plateau.low), (1.2, None));
    assert_eq!(figures.needed[2], StreamsNeeded { streams: 2, low: None, high: None });
}

/// The share of the intervals that hold the truth: of the plateau, n90, n95 and n99.
fn coverage(
    counts: &[u32],
    curve: fn(f64) -> f64,
    [samples, trials, resamples]: [usize; 3],
    noise: f64,
) -> [f64; 4] {
    let mut random = fastrand::Rng::with_seed(3);
    let truth = drawn(counts, curve, 1, 0.0, &mut random);
    let plateau = highest(&means(&truth)).unwrap();
    let needed = SHARES.map(|share| streams_needed(&truth, share).unwrap());
    let mut held = [0_u32; 4];
    for _ in 0..trials {
        let goodputs = drawn(counts, curve, samples, noise, &mut random);
        let figures = PlateauFigures::resampled(&goodputs, resamples).unwrap();
        let Estimate { low, high, .. } = figures.plateau;
        held[0] += u32::from(low.unwrap() <= plateau && plateau <= high.unwrap());
        for (place, (own, true_one)) in figures.needed.iter().zip(needed).enumerate() {
            let holds = own.low.unwrap() <= true_one && true_one <= own.high.unwrap();
            held[place + 1] += u32::from(holds);
        }
    }
    held.map(|held| f64::from(held) / trials as f64)
}

/// On curves as far as a search follows them.
#[test]
fn the_intervals_hold_the_truth_as_often_as_they_say() {
    type Case = (&'static str, &'static [u32], fn(f64) -> f64);
    let cases: [Case; 3] = [
        ("shaped", &[1, 2, 3, 4, 6, 8], shaped),
        ("bent", &[1, 2, 3, 4, 6, 8, 12, 16], bent),
        ("flat", &[1, 2, 3], flat),
    ];
    for (name, counts, curve) in cases {
        for (samples, noise) in [(5, 0.02), (7, 0.02), (5, 0.05)] {
            let held = coverage(counts, curve, [samples, 200, 1_000], noise);
            println!("{name}, {samples} samples, noise {noise}: {held:?}");
            // Of 200 trials, 95 % are 92 % at the least in 39 of 40 cases.
            assert!(held.iter().all(|held| *held >= 0.92), "{name} {samples} {noise}: {held:?}");
        }
    }
}
