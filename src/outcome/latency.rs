//! A latency histogram as it travelled becomes the document's figures.

use crate::metrics::latency::{Latencies, LatencyWire};
use crate::outcome::run::Latency;

/// The distribution in nanoseconds.
///
/// # Errors
/// In words, when the histogram or its sums are damaged.
pub(super) fn summary(wire: &LatencyWire) -> Result<Latency, String> {
    let latencies = Latencies::from_wire(wire)?;
    Ok(Latency {
        unit: "ns".to_owned(),
        count: latencies.count(),
        mean: latencies.mean_ns(),
        stddev: latencies.stddev_ns(),
        min: latencies.min_ns(),
        p50: latencies.quantile_ns(0.50),
        p90: latencies.quantile_ns(0.90),
        p99: latencies.quantile_ns(0.99),
        p99_9: latencies.quantile_ns(0.999),
        p99_99: latencies.quantile_ns(0.9999),
        max: latencies.max_ns(),
        out_of_range: latencies.out_of_range(),
        histogram: wire.histogram.clone(),
    })
}
