//! The latency histogram of one worker, and its form on the wire.
//!
//! Percentiles come from an HdrHistogram of 1 ns to 60 s at three significant digits; mean and
//! standard deviation from exact sums beside it. Histograms are merged, percentiles never.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// Largest value the histogram tells apart, in nanoseconds: 60 s.
pub const MAX_LATENCY_NS: u64 = 60_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// Latencies recorded by one worker, or by several after merging.
#[derive(Debug, Clone)]
pub struct Latencies {
    histogram: Histogram<u64>,
    sum_ns: u128,
    sum_squares_ns: u128,
    min_ns: u64,
    max_ns: u64,
    out_of_range: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl Latencies {
    /// An empty one, with all its memory allocated.
    ///
    /// # Panics
    /// Never: the bounds are constants that the library accepts.
    #[must_use]
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, MAX_LATENCY_NS, SIGNIFICANT_DIGITS)
            .expect("1..60e9 at 3 digits is a valid range");
        Self {
            histogram,
            sum_ns: 0,
            sum_squares_ns: 0,
            min_ns: u64::MAX,
            max_ns: 0,
            out_of_range: 0,
        }
    }

    /// Records one latency. Beyond 60 s it counts as 60 s in the histogram, exactly in the sums.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        if ns > MAX_LATENCY_NS {
            self.out_of_range += 1;
        }
        self.histogram.saturating_record(ns);
        self.sum_ns += u128::from(ns);
        self.sum_squares_ns += u128::from(ns) * u128::from(ns);
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds another worker's latencies.
    ///
    /// # Panics
    /// Never: every histogram here has the same bounds.
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("histograms of the same bounds add up");
        self.sum_ns += other.sum_ns;
        self.sum_squares_ns += other.sum_squares_ns;
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.out_of_range += other.out_of_range;
    }

    /// Values recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Values above 60 s.
    #[must_use]
    pub const fn out_of_range(&self) -> u64 {
        self.out_of_range
    }

    /// Exact mean in nanoseconds; absent when empty.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a statistic; 53 bits are enough")]
    pub fn mean_ns(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum_ns as f64 / self.count() as f64)
    }

    /// Exact population standard deviation in nanoseconds; absent when empty.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the difference is taken in integers")]
    pub fn stddev_ns(&self) -> Option<f64> {
        let count = u128::from(self.count());
        if count == 0 {
            return None;
        }
        // n·Σx² − (Σx)² in integers, so that nothing cancels before the division. Both products
        // stay below 2^128 up to 2^28 seconds of summed latency; past that, floats do.
        let scaled = match (count.checked_mul(self.sum_squares_ns), self.sum_ns.checked_pow(2)) {
            (Some(a), Some(b)) => a.saturating_sub(b) as f64,
            _ => count as f64 * self.sum_squares_ns as f64 - (self.sum_ns as f64).powi(2),
        };
        Some(scaled.max(0.0).sqrt() / count as f64)
    }

    /// Smallest value in nanoseconds.
    #[must_use]
    pub fn min_ns(&self) -> Option<u64> {
        (self.count() > 0).then_some(self.min_ns)
    }

    /// Largest value in nanoseconds.
    #[must_use]
    pub fn max_ns(&self) -> Option<u64> {
        (self.count() > 0).then_some(self.max_ns)
    }

    /// The `quantile` (0 to 1), in nanoseconds; absent with fewer than ten values above it, where
    /// it would say more about single events than about the distribution.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "compared with ten")]
    pub fn quantile_ns(&self, quantile: f64) -> Option<u64> {
        let above = self.count() as f64 * (1.0 - quantile);
        (above >= 10.0 - 1e-6).then(|| self.histogram.value_at_quantile(quantile).min(self.max_ns))
    }

    /// The `quantile` (0 to 1) in nanoseconds, however few values there are; absent when empty.
    /// Readers that know how many values lie behind it may ask for this.
    #[must_use]
    pub fn nearest_ns(&self, quantile: f64) -> Option<u64> {
        // A share that was divided by 100 may lie a hair above what was meant.
        let quantile = if quantile.is_nan() { 1.0 } else { (quantile - 1e-12).clamp(0.0, 1.0) };
        let found = || self.histogram.value_at_quantile(quantile);
        (self.count() > 0).then(|| found().clamp(self.min_ns, self.max_ns))
    }

    /// Values in nanoseconds and how often each was recorded, in ascending order; to the
    /// histogram's three digits.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.histogram.iter_recorded().map(|step| {
            let ns = self.histogram.median_equivalent(step.value_iterated_to());
            (ns, step.count_since_last_iteration())
        })
    }

    /// The form that travels: exact sums, and the histogram as bytes.
    ///
    /// # Panics
    /// Never: writing to memory does not fail.
    #[must_use]
    pub fn to_wire(&self) -> LatencyWire {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.histogram, &mut bytes)
            .expect("a histogram serialises into memory");
        LatencyWire {
            histogram: BASE64.encode(&bytes),
            sum_ns: self.sum_ns.to_string(),
            sum_squares_ns: self.sum_squares_ns.to_string(),
            min_ns: self.min_ns,
            max_ns: self.max_ns,
            out_of_range: self.out_of_range,
        }
    }

    /// Back from the wire.
    ///
    /// # Errors
    /// In words, when the bytes are no histogram of these bounds or the sums no numbers.
    pub fn from_wire(wire: &LatencyWire) -> Result<Self, String> {
        let bytes = BASE64
            .decode(&wire.histogram)
            .map_err(|error| format!("latency histogram: {error}"))?;
        let histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| format!("latency histogram: {error}"))?;
        let mut own = Self::new();
        own.histogram.add(&histogram).map_err(|error| format!("latency histogram: {error}"))?;
        let number = |text: &str| text.parse().map_err(|_| format!("latency sum '{text}'"));
        own.sum_ns = number(&wire.sum_ns)?;
        own.sum_squares_ns = number(&wire.sum_squares_ns)?;
        own.min_ns = wire.min_ns;
        own.max_ns = wire.max_ns;
        own.out_of_range = wire.out_of_range;
        Ok(own)
    }
}

/// [`Latencies`] as they travel. Sums are decimal text: JSON numbers stop at 2^53 for many readers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyWire {
    /// HdrHistogram V2, deflated, base64.
    pub histogram: String,
    /// Exact sum in nanoseconds.
    pub sum_ns: String,
    /// Exact sum of squares in ns².
    pub sum_squares_ns: String,
    /// Smallest value in nanoseconds.
    pub min_ns: u64,
    /// Largest value in nanoseconds.
    pub max_ns: u64,
    /// Values above 60 s.
    pub out_of_range: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_and_survive_the_wire() {
        let mut latencies = Latencies::new();
        for ns in [1_000, 2_000, 3_000, 4_000] {
            latencies.record(ns);
        }
        let back = Latencies::from_wire(&latencies.to_wire()).unwrap();
        assert_eq!(back.count(), 4);
        assert_eq!(back.mean_ns(), Some(2_500.0));
        // Population: sqrt(((1.5² + 0.5²) · 2 / 4) · 1000²)
        assert!((back.stddev_ns().unwrap() - 1_118.033_988_749_895).abs() < 1e-9);
        assert_eq!((back.min_ns(), back.max_ns()), (Some(1_000), Some(4_000)));
    }

    #[test]
    fn values_beyond_the_range_are_counted_not_lost() {
        let mut latencies = Latencies::new();
        latencies.record(2 * MAX_LATENCY_NS);
        assert_eq!((latencies.count(), latencies.out_of_range()), (1, 1));
        assert_eq!(latencies.max_ns(), Some(2 * MAX_LATENCY_NS));
    }

    #[test]
    fn a_quantile_needs_ten_values_above_it() {
        let mut latencies = Latencies::new();
        (1..=1_000).for_each(|ns| latencies.record(ns * 1_000));
        assert!(latencies.quantile_ns(0.99).is_some());
        assert_eq!(latencies.quantile_ns(0.999), None);
    }

    #[test]
    fn the_nearest_quantile_needs_one_value() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.nearest_ns(0.5), None);
        latencies.record(4_999);
        assert_eq!(latencies.nearest_ns(0.99), Some(4_999));
        assert_eq!(latencies.nearest_ns(f64::NAN), Some(4_999));
        latencies.record(1_000_000);
        latencies.record(1_000_000);
        let counts: Vec<_> = latencies.counts().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 2]);
    }

    #[test]
    fn a_damaged_histogram_is_an_error() {
        let mut wire = Latencies::new().to_wire();
        wire.histogram.insert(0, '!');
        assert!(Latencies::from_wire(&wire).is_err());
    }
}
