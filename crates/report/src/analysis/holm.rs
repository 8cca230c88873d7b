//! Holm's correction: among many tests some come out by chance. With it, one false difference or
//! more among all of them is no likelier than the level (Holm, "A Simple Sequentially Rejective
//! Multiple Test Procedure", Scandinavian Journal of Statistics 6(2), 1979).

/// The probabilities so that each may be held against the level by itself, in the same order.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a number of tests")]
pub fn holm(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    let mut corrected = vec![0.0; probabilities.len()];
    let mut before = 0.0_f64;
    for (smaller, place) in order.iter().enumerate() {
        let left = (probabilities.len() - smaller) as f64;
        // Never below one that is smaller.
        before = before.max(probabilities[*place] * left).min(1.0);
        corrected[*place] = before;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
        assert!(found.iter().zip(expected).all(close), "{found:?}");
    }

    #[test]
    fn probabilities_grow_by_the_tests_that_are_left() {
        assert_close(&holm(&[0.01, 0.04, 0.03, 0.005]), &[0.03, 0.06, 0.06, 0.02]);
        assert_close(&holm(&[0.02]), &[0.02]);
        assert_close(&holm(&[0.4, 0.9, 0.6]), &[1.0, 1.0, 1.0]);
        assert_close(&holm(&[]), &[]);
    }

    /// Five against five samples can show a difference among six rows and not among seven.
    #[test]
    fn what_few_samples_can_show_is_bounded() {
        let least = 2.0 / 252.0;
        assert!(holm(&[least; 6])[0] < 0.05 && holm(&[least; 7])[0] > 0.05);
    }
}
