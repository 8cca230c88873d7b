//! The latency histogram of one worker, and its form on the wire.
//!
//! Percentiles come from an HdrHistogram of 1 ns to 60 s at three significant digits; mean and
//! standard deviation from exact sums beside it. Histograms are merged, percentiles never. What
//! comes from a peer is checked against itself before it counts.

mod decode;
pub mod log;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// Largest value the histogram tells apart, in nanoseconds: 60 s.
pub const MAX_LATENCY_NS: u64 = 60_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;
/// Memory of one histogram: a 64-bit count for each value that it tells apart.
pub const HISTOGRAM_BYTES: u64 = 224 << 10;

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

/// A point of a distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PercentilePoint {
    /// The value, in nanoseconds.
    pub ns: u64,
    /// Share of all values that is wanted at or below it, 0 to 1.
    pub share: f64,
    /// Values that are.
    pub at_or_below: u64,
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

    /// Records `times` latencies of one value, as [`Self::record`] does. Sums stop at the top.
    pub fn record_many(&mut self, ns: u64, times: u64) {
        if times == 0 {
            return;
        }
        if ns > MAX_LATENCY_NS {
            self.out_of_range = self.out_of_range.saturating_add(times);
        }
        self.histogram.saturating_record_n(ns, times);
        let (value, times) = (u128::from(ns), u128::from(times));
        self.sum_ns = self.sum_ns.saturating_add(value * times);
        let squares = (value * value).saturating_mul(times);
        self.sum_squares_ns = self.sum_squares_ns.saturating_add(squares);
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds another worker's latencies. Sums may come from a peer: they stop at the top.
    ///
    /// # Panics
    /// Never: every histogram here has the same bounds.
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("histograms of the same bounds add up");
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.sum_squares_ns = self.sum_squares_ns.saturating_add(other.sum_squares_ns);
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.out_of_range = self.out_of_range.saturating_add(other.out_of_range);
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

    /// Points of the distribution: `steps_per_halving` of them for each halving of the share that
    /// lies above, and one at the largest value; none when empty.
    pub fn percentiles(&self, steps_per_halving: u32) -> impl Iterator<Item = PercentilePoint> {
        let mut below = 0_u64;
        self.histogram.iter_quantiles(steps_per_halving.max(1)).map(move |step| {
            below = below.saturating_add(step.count_since_last_iteration());
            PercentilePoint {
                ns: step.value_iterated_to().min(self.max_ns),
                share: step.quantile_iterated_to(),
                at_or_below: below,
            }
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
    /// In words, when the bytes are no histogram of these bounds, the sums are no numbers, or one
    /// contradicts another.
    pub fn from_wire(wire: &LatencyWire) -> Result<Self, String> {
        let number = |what: &str, text: &str| {
            text.parse::<u128>().map_err(|_| format!("latency histogram: its {what} is no number"))
        };
        let own = Self {
            histogram: Self::histogram(&wire.histogram)?,
            sum_ns: number("sum", &wire.sum_ns)?,
            sum_squares_ns: number("sum of squares", &wire.sum_squares_ns)?,
            min_ns: wire.min_ns,
            max_ns: wire.max_ns,
            out_of_range: wire.out_of_range,
        };
        let checked = own.check_range().and_then(|()| own.check_sums());
        checked.map(|()| own).map_err(|cause| format!("latency histogram: {cause}"))
    }

    /// Makes those of a result document, which has no sums: no mean and no deviation is to be
    /// asked of them.
    ///
    /// # Errors
    /// In words, when the text is no histogram of these bounds, or contradicts the rest.
    pub fn from_document(
        histogram: &str,
        (min_ns, max_ns): (Option<u64>, Option<u64>),
        out_of_range: u64,
    ) -> Result<Self, String> {
        let empty = Self::new();
        let own = Self {
            histogram: Self::histogram(histogram)?,
            min_ns: min_ns.unwrap_or(empty.min_ns),
            max_ns: max_ns.unwrap_or(empty.max_ns),
            out_of_range,
            ..empty
        };
        own.check_range().map(|()| own).map_err(|cause| format!("latency histogram: {cause}"))
    }

    fn histogram(text: &str) -> Result<Histogram<u64>, String> {
        decode::decode(text, &Self::new().histogram)
            .map_err(|cause| format!("latency histogram: {cause}"))
    }

    /// Checks that smallest and largest value can be those of what is counted.
    fn check_range(&self) -> Result<(), String> {
        let Self { min_ns, max_ns, out_of_range, .. } = self;
        let count = self.count();
        if count == 0 {
            let empty = Self::new();
            let nothing = (*min_ns, *max_ns, *out_of_range) == (empty.min_ns, empty.max_ns, 0);
            return if nothing { Ok(()) } else { Err("it tells of values and has none".into()) };
        }
        if min_ns > max_ns {
            return Err(format!(
                "its smallest value, {min_ns} ns, lies above its largest, {max_ns}"
            ));
        }
        if *out_of_range > count {
            return Err(format!("{out_of_range} of its {count} values are out of range"));
        }
        Ok(())
    }

    /// Checks that the sums can be those of as many values between the smallest and the largest.
    /// A square beyond 128 bits bounds nothing.
    fn check_sums(&self) -> Result<(), String> {
        let (count, sum) = (u128::from(self.count()), self.sum_ns);
        if count == 0 {
            let nothing = sum == 0 && self.sum_squares_ns == 0;
            return if nothing { Ok(()) } else { Err("it has sums of no values".into()) };
        }
        let (min, max) = (u128::from(self.min_ns), u128::from(self.max_ns));
        if sum < count.saturating_mul(min) || sum > count.saturating_mul(max) {
            return Err(format!("its sum, {sum} ns, is not that of {count} values in its range"));
        }
        // By the inequality of Cauchy and Schwarz, and because no value exceeds the largest.
        let squares = self.sum_squares_ns;
        let least = sum.checked_pow(2).unwrap_or(0);
        if least > count.saturating_mul(squares) || squares > max.saturating_mul(sum) {
            return Err(format!("its sum of squares, {squares}, does not fit its sum, {sum} ns"));
        }
        Ok(())
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
    fn a_histogram_takes_no_more_memory_than_it_says() {
        let counts = Latencies::new().histogram.distinct_values() as u64;
        assert!((counts * 8..counts * 9).contains(&HISTOGRAM_BYTES), "{counts} counts");
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
    fn figures_that_contradict_each_other_are_refused_by_name() {
        let mut latencies = Latencies::new();
        [1_000, 2_000, 3_000, 2 * MAX_LATENCY_NS].into_iter().for_each(|ns| latencies.record(ns));
        let honest = latencies.to_wire();
        assert!(Latencies::from_wire(&honest).is_ok());
        type Lie = fn(&mut LatencyWire);
        let rows: [(&str, Lie); 11] = [
            ("smallest value, 3 ns, lies above its largest, 2", |wire| {
                (wire.min_ns, wire.max_ns) = (3, 2);
            }),
            ("lies above its largest, 0", |wire| wire.max_ns = 0),
            ("5 of its 4 values are out of range", |wire| wire.out_of_range = 5),
            ("is not that of 4 values", |wire| wire.sum_ns = "0".into()),
            ("is not that of 4 values", |wire| wire.sum_ns = u128::MAX.to_string()),
            ("its sum is no number", |wire| wire.sum_ns = "NaN".into()),
            ("its sum is no number", |wire| wire.sum_ns = "-1".into()),
            ("its sum of squares is no number", |wire| wire.sum_squares_ns = "9".repeat(40)),
            ("its sum of squares, 7, does not fit", |wire| wire.sum_squares_ns = "7".into()),
            ("does not fit its sum", |wire| wire.sum_squares_ns = u128::MAX.to_string()),
            ("it tells of values and has none", |wire| {
                wire.histogram = Latencies::new().to_wire().histogram;
            }),
        ];
        for (expected, lie) in rows {
            let mut wire = honest.clone();
            lie(&mut wire);
            let error = Latencies::from_wire(&wire).unwrap_err();
            assert!(error.contains(expected), "{error}, expected: {expected}");
        }
        let mut none = Latencies::new().to_wire();
        assert!(Latencies::from_wire(&none).is_ok());
        none.sum_ns = "1".into();
        assert!(Latencies::from_wire(&none).unwrap_err().contains("sums of no values"));
    }

    #[test]
    fn sums_that_a_peer_claims_do_not_wrap_when_they_are_merged() {
        let mut huge = Latencies::new();
        huge.record(u64::MAX);
        huge.record(0);
        let mut all = Latencies::from_wire(&huge.to_wire()).unwrap();
        (all.sum_ns, all.sum_squares_ns, all.out_of_range) = (u128::MAX, u128::MAX, u64::MAX);
        let twice = all.clone();
        all.merge(&twice);
        assert_eq!((all.count(), all.out_of_range()), (4, u64::MAX));
        assert!(all.stddev_ns().is_some_and(f64::is_finite));
    }

    #[test]
    fn a_damaged_histogram_is_an_error() {
        let mut wire = Latencies::new().to_wire();
        wire.histogram.insert(0, '!');
        assert!(Latencies::from_wire(&wire).is_err());
    }
}
