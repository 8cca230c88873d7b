//! Statistics of how long transactions, or send or receive calls, took.

use super::{Selector, Source};
use crate::output::units;
use crate::output::view::{View, real};
use podperf_model::latency::Latencies;

// netperf's, in its order.
rows! { NETPERFS;
    Test "MIN_LATENCY" ["Minimum", "Latency", "Microseconds"]
        |view| microseconds(view, Latencies::min_ns);
    Test "MAX_LATENCY" ["Maximum", "Latency", "Microseconds"]
        |view| microseconds(view, Latencies::max_ns);
    Test "P50_LATENCY" ["50th", "Percentile", "Latency", "Microseconds"] |view| quantile(view, 0.5);
    Test "P90_LATENCY" ["90th", "Percentile", "Latency", "Microseconds"] |view| quantile(view, 0.9);
    Test "P99_LATENCY" ["99th", "Percentile", "Latency", "Microseconds"]
        |view| quantile(view, 0.99);
    Test "MEAN_LATENCY" ["Mean", "Latency", "Microseconds"]
        |view| statistic(view, Latencies::mean_ns);
    Test "STDDEV_LATENCY" ["Stddev", "Latency", "Microseconds"]
        |view| statistic(view, Latencies::stddev_ns);
}

// Those that netperf lacks. They are not part of `all`, whose columns readers count.
rows! { OURS;
    Test "P95_LATENCY" ["95th", "Percentile", "Latency", "Microseconds"]
        |view| quantile(view, 0.95);
    Test "P999_LATENCY" ["99.9th", "Percentile", "Latency", "Microseconds"]
        |view| quantile(view, 0.999);
    Test "P9999_LATENCY" ["99.99th", "Percentile", "Latency", "Microseconds"]
        |view| quantile(view, 0.9999);
}

fn quantile(view: &View<'_>, share: f64) -> String {
    microseconds(view, |latencies| latencies.nearest_ns(share))
}

fn microseconds(view: &View<'_>, of: impl Fn(&Latencies) -> Option<u64>) -> String {
    let ns = view.figures.latency.as_ref().and_then(of);
    ns.map_or_else(|| "-1".to_owned(), |ns| (ns / 1000).to_string())
}

fn statistic(view: &View<'_>, of: fn(&Latencies) -> Option<f64>) -> String {
    let ns = view.figures.latency.as_ref().and_then(of);
    format!("{:.2}", real(ns.map(|ns| units::tame(ns) / 1e3)))
}
