//! A latency histogram as it travelled becomes the document's figures.

use crate::latency::{Latencies, LatencyWire};
use crate::result::run::Latency;

/// The distribution in nanoseconds.
///
/// # Errors
/// In words, when the histogram or its sums are damaged.
pub(super) fn summary(wire: &LatencyWire) -> Result<Latency, String> {
    Ok(of(&Latencies::from_wire(wire)?, wire.histogram.clone()))
}

/// The distribution of several histograms together.
///
/// # Errors
/// Likewise.
pub(super) fn merged(wires: &[&LatencyWire]) -> Result<Latency, String> {
    if let [one] = wires {
        return summary(one);
    }
    let mut all = Latencies::new();
    for wire in wires {
        all.merge(&Latencies::from_wire(wire)?);
    }
    let histogram = all.to_wire().histogram;
    Ok(of(&all, histogram))
}

impl From<&Latencies> for Latency {
    fn from(latencies: &Latencies) -> Self {
        of(latencies, latencies.to_wire().histogram)
    }
}

fn of(latencies: &Latencies, histogram: String) -> Latency {
    Latency {
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
        histogram,
    }
}
