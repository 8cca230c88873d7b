//! Percentiles as other HdrHistogram tools plot them (.hgrm): value, percentile, how many values
//! lie at or below it, and 1/(1-percentile).

use std::io::{self, Write};

use super::{Overview, row_name};
use crate::text::layout::clean;
use podperf_model::latency::Latencies;
use podperf_model::result::cluster::PooledLatency;
use podperf_model::units::float;

/// Lines for each halving of what is left up to 100 %, as the format's own tools write them.
const STEPS_PER_HALVING: u32 = 5;

/// Writes a block for each row that has latencies; says whether there was one.
///
/// # Errors
/// Those of `out`.
pub fn render(overview: &Overview, out: &mut dyn Write) -> io::Result<bool> {
    let mut found = false;
    for subject in &overview.subjects {
        for row in &subject.rows {
            let Some((latencies, pooled)) = subject.latencies(row) else { continue };
            if found {
                writeln!(out)?;
            }
            found = true;
            block(&row_name(row), &latencies, &pooled, out)?;
        }
    }
    Ok(found)
}

/// One distribution, in microseconds.
///
/// # Errors
/// Those of `out`.
pub fn block(
    name: &str,
    latencies: &Latencies,
    pooled: &PooledLatency,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "#[{}; values in microseconds]", clean(name))?;
    writeln!(
        out,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    )?;
    for point in latencies.percentiles(STEPS_PER_HALVING) {
        let value = float(point.ns) / 1e3;
        write!(out, "{value:>12.3} {:>14.12} {:>10}", point.share, point.at_or_below)?;
        if point.share < 1.0 {
            writeln!(out, " {:>14.2}", 1.0 / (1.0 - point.share))?;
        } else {
            writeln!(out)?;
        }
    }
    let PooledLatency { count, mean_ns, stddev_ns, max_ns, .. } = pooled;
    let (mean, deviation) = (mean_ns / 1e3, stddev_ns / 1e3);
    let max = float(max_ns.unwrap_or_default()) / 1e3;
    writeln!(out, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]")?;
    writeln!(out, "#[Max     = {max:>12.3}, Total count    = {count:>12}]")
}
