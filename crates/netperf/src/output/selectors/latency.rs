//! Statistics of how long transactions, or send or receive calls, took.

use super::Selector;
use crate::output::units;
use crate::output::view::{View, real};
use podperf_model::latency::Latencies;

// netperf's, in its order.
rows! { NETPERFS;
    test "MIN_LATENCY" ["Minimum", "Latency", "Microseconds", ""]
        |view| Some(microseconds(view, Latencies::min_ns));
    test "MAX_LATENCY" ["Maximum", "Latency", "Microseconds", ""]
        |view| Some(microseconds(view, Latencies::max_ns));
    test "P50_LATENCY" ["50th", "Percentile", "Latency", "Microseconds"]
        |view| Some(microseconds(view, |latencies| latencies.nearest_ns(0.5)));
    test "P90_LATENCY" ["90th", "Percentile", "Latency", "Microseconds"]
        |view| Some(microseconds(view, |latencies| latencies.nearest_ns(0.9)));
    test "P99_LATENCY" ["99th", "Percentile", "Latency", "Microseconds"]
        |view| Some(microseconds(view, |latencies| latencies.nearest_ns(0.99)));
    test "MEAN_LATENCY" ["Mean", "Latency", "Microseconds", ""]
        |view| Some(statistic(view, Latencies::mean_ns));
    test "STDDEV_LATENCY" ["Stddev", "Latency", "Microseconds", ""]
        |view| Some(statistic(view, Latencies::stddev_ns));
}

// Those that netperf lacks. They are not part of `all`, whose columns readers count.
rows! { OURS;
    test "P95_LATENCY" ["95th", "Percentile", "Latency", "Microseconds"]
        |view| Some(microseconds(view, |latencies| latencies.nearest_ns(0.95)));
    test "P999_LATENCY" ["99.9th", "Percentile", "Latency", "Microseconds"]
        |view| Some(microseconds(view, |latencies| latencies.nearest_ns(0.999)));
    test "P9999_LATENCY" ["99.99th", "Percentile", "Latency", "Microseconds"]
        |view| Some(microseconds(view, |latencies| latencies.nearest_ns(0.9999)));
}

fn microseconds(view: &View<'_>, of: fn(&Latencies) -> Option<u64>) -> String {
    let ns = view.figures.latency.as_ref().and_then(of);
    ns.map_or_else(|| "-1".to_owned(), |ns| (ns / 1000).to_string())
}

fn statistic(view: &View<'_>, of: fn(&Latencies) -> Option<f64>) -> String {
    let ns = view.figures.latency.as_ref().and_then(of);
    format!("{:.2}", real(ns.map(|ns| units::tame(ns) / 1e3)))
}
