//! How far apart the halves of one group of samples come out: what cannot be told from nothing.

/// Samples up to which every division into halves is counted: 924 of twelve.
const MAX_EXACT_SAMPLES: usize = 12;
/// Divisions that are drawn of more.
const DIVISIONS: usize = 1_000;
const SEED: u64 = 0x706f_6470_6572_6601;
/// Of the divisions, so many are nearer.
const LEVEL: f64 = 0.95;
/// Two a half.
const MIN_SAMPLES: usize = 4;

/// By how much the means of two halves of `samples` differ, as a share, in 95 % of the divisions at
/// most; nothing with fewer than four samples.
#[must_use]
pub fn noise_floor(samples: &[f64]) -> Option<f64> {
    let usable = samples.iter().all(|value| value.is_finite());
    if samples.len() < MIN_SAMPLES || !usable {
        return None;
    }
    let mut apart = if samples.len() <= MAX_EXACT_SAMPLES { all(samples) } else { drawn(samples) };
    apart.retain(|share| share.is_finite());
    apart.sort_by(f64::total_cmp);
    apart.get(place(apart.len())?).copied()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the count")]
#[expect(clippy::cast_precision_loss, reason = "a number of divisions")]
fn place(count: usize) -> Option<usize> {
    count.checked_sub(1).map(|last| ((count as f64 * LEVEL).ceil() as usize - 1).min(last))
}

fn all(samples: &[f64]) -> Vec<f64> {
    let half = samples.len() / 2;
    let divisions = (0_u32..1 << samples.len()).filter(|own| own.count_ones() as usize == half);
    let division = |own: u32| {
        apart(samples.iter().enumerate().map(move |(place, value)| (own >> place & 1 == 1, *value)))
    };
    divisions.map(division).collect()
}

fn drawn(samples: &[f64]) -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut samples = samples.to_vec();
    // The same whatever their order was.
    samples.sort_by(f64::total_cmp);
    let half = samples.len() / 2;
    let mut division = || {
        random.shuffle(&mut samples);
        apart(samples.iter().enumerate().map(|(place, value)| (place < half, *value)))
    };
    (0..DIVISIONS).map(|_| division()).collect()
}

/// Between the mean of those of the first half and that of the others.
fn apart(samples: impl Iterator<Item = (bool, f64)>) -> f64 {
    let mut halves = [(0.0, 0.0); 2];
    for (first, value) in samples {
        let (sum, count) = &mut halves[usize::from(first)];
        (*sum, *count) = (*sum + value, *count + 1.0);
    }
    let [other, one] = halves.map(|(sum, count)| sum / count);
    (one / other - 1.0).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_what_varies_little_are_near() {
        assert_eq!(noise_floor(&[1.0, 2.0, 3.0]), None);
        assert_eq!(noise_floor(&[5.0; 4]), Some(0.0));
        assert_eq!(noise_floor(&[5.0; 20]), Some(0.0));
        // Six divisions: 1 against 4 (3 and 7) are the farthest apart.
        let floor = noise_floor(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert!((floor - 4.0 / 3.0).abs() < 1e-12, "{floor}");
        let few: Vec<f64> = (0..12).map(|place| 100.0 + f64::from(place % 3)).collect();
        let many: Vec<f64> = (0..48).map(|place| 100.0 + f64::from(place % 3)).collect();
        let (few, many) = (noise_floor(&few).unwrap(), noise_floor(&many).unwrap());
        assert!(many < few && few < 0.02, "{many} {few}");
        assert_eq!(noise_floor(&[1.0, f64::NAN, 1.0, 1.0]), None);
        assert_eq!(noise_floor(&[0.0; 5]), None);
    }
}
