//! Latency over several runs: mean and standard deviation from theirs, percentiles from their
//! histograms put together.

use podperf_model::latency::Latencies;
use podperf_model::result::cluster::PooledLatency;
use podperf_model::result::run::Latency;
use podperf_model::units::float;

/// All of them as one; nothing without a value.
#[must_use]
pub fn pooled(parts: &[&Latency]) -> Option<PooledLatency> {
    let count = parts.iter().fold(0, |all: u64, part| all.saturating_add(part.count));
    let mean_ns = mean(parts)?;
    // The variance within the parts, and that of their means.
    let squares = parts.iter().filter_map(|part| {
        let spread = part.stddev?.powi(2) + (part.mean? - mean_ns).powi(2);
        Some(float(part.count) * spread)
    });
    let variance = squares.sum::<f64>() / float(count);
    let merged = merged(parts);
    let quantile = |quantile| merged.as_ref().and_then(|all| all.quantile_ns(quantile));
    Some(PooledLatency {
        count,
        mean_ns,
        stddev_ns: variance.sqrt(),
        p50_ns: quantile(0.50),
        p99_ns: quantile(0.99),
        p99_9_ns: quantile(0.999),
        max_ns: parts.iter().filter_map(|part| part.max).max(),
    })
}

/// The mean of all values.
pub(super) fn mean(parts: &[&Latency]) -> Option<f64> {
    let count = parts.iter().fold(0.0, |all, part| all + float(part.count));
    let sum: f64 = parts.iter().filter_map(|part| Some(part.mean? * float(part.count))).sum();
    (count > 0.0).then(|| sum / count).filter(|mean| mean.is_finite())
}

/// The histograms put together, without their sums; nothing where one is damaged.
#[must_use]
pub fn merged(parts: &[&Latency]) -> Option<Latencies> {
    let mut all = Latencies::new();
    for part in parts {
        let (range, out_of_range) = ((part.min, part.max), part.out_of_range);
        all.merge(&Latencies::from_document(&part.histogram, range, out_of_range).ok()?);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document's form of `values`, as the engine writes it.
    fn latency(values: &[u64]) -> Latency {
        let mut all = Latencies::new();
        values.iter().for_each(|ns| all.record(*ns));
        Latency {
            count: all.count(),
            mean: all.mean_ns(),
            stddev: all.stddev_ns(),
            min: all.min_ns(),
            max: all.max_ns(),
            histogram: all.to_wire().histogram,
            ..Latency::default()
        }
    }

    #[test]
    fn parts_together_are_as_if_recorded_as_one() {
        let one: Vec<u64> = (1..=3_000).map(|ns| ns * 1_000).collect();
        let two: Vec<u64> = (1..=500).map(|ns| 9_000_000 + ns * 7).collect();
        let parts = [latency(&one), latency(&two), latency(&[])];
        let both = pooled(&parts.each_ref()).unwrap();
        let mut all = Latencies::new();
        one.iter().chain(&two).for_each(|ns| all.record(*ns));
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-12;
        assert_eq!(both.count, 3_500);
        assert!(near(both.mean_ns, all.mean_ns().unwrap()));
        assert!(near(both.stddev_ns, all.stddev_ns().unwrap()));
        assert_eq!(both.p50_ns, all.quantile_ns(0.5));
        assert_eq!(both.p99_ns, all.quantile_ns(0.99));
        // Four values lie above it: too few.
        assert_eq!(both.p99_9_ns, None);
        assert_eq!(both.max_ns, Some(9_003_500));
    }

    #[test]
    fn a_damaged_histogram_costs_the_percentiles_alone() {
        let mut parts = [latency(&[1_000; 100]), latency(&[3_000; 100])];
        parts[1].histogram.insert(0, '!');
        let both = pooled(&parts.each_ref()).unwrap();
        assert_eq!((both.mean_ns, both.stddev_ns), (2_000.0, 1_000.0));
        assert_eq!((both.p50_ns, both.max_ns), (None, Some(3_000)));
        assert_eq!(pooled(&[]), None);
    }
}
