//! Several iterations as one result, and how far they vary.
//!
//! The width is that of Student's interval for the mean, in percent of it, as netperf computes it:
//! `2 t √(v/(n−1)) / mean`, v the population variance of n iterations, which is `2 t s/√n / mean`.

use super::figures::{Confidence, CpuPercent, EndFigures, Figures};
use super::options::ConfidenceGoal;
use podperf_model::latency::Latencies;

/// Two-sided critical values of Student's t for 1 to 29 degrees of freedom: 95 percent. Any table
/// of the distribution has them.
const T95: [f64; 29] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045,
];
/// The same, 99 percent.
const T99: [f64; 29] = [
    63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169, 3.106, 3.055, 3.012,
    2.977, 2.947, 2.921, 2.898, 2.878, 2.861, 2.845, 2.831, 2.819, 2.807, 2.797, 2.787, 2.779,
    2.771, 2.763, 2.756,
];

/// How far the iterations vary, next to what is wanted.
#[must_use]
pub fn of(goal: &ConfidenceGoal, iterations: &[Figures]) -> Confidence {
    let width = |of: &dyn Fn(&Figures) -> Option<f64>| {
        let values: Vec<f64> = iterations.iter().filter_map(of).collect();
        width_percent(goal.level, &values)
    };
    let rate =
        |figures: &Figures| figures.transactions_per_second.or(Some(figures.bytes_per_second));
    let throughput_percent = width(&rate);
    let local_cpu_percent = width(&|figures| Some(figures.local.cpu?.util_percent));
    let remote_cpu_percent = width(&|figures| Some(figures.remote.cpu?.util_percent));
    let narrow = |percent: f64| percent <= goal.width_percent;
    Confidence {
        iterations: u32::try_from(iterations.len()).unwrap_or(u32::MAX),
        throughput_percent,
        local_cpu_percent,
        remote_cpu_percent,
        reached: iterations.len() > 1
            && narrow(throughput_percent)
            && (goal.result_only || (narrow(local_cpu_percent) && narrow(remote_cpu_percent))),
    }
}

/// Full width of the interval, in percent of the mean; 0 with fewer than two values or a mean of 0.
fn width_percent(level: u32, values: &[f64]) -> f64 {
    let table = if level == 99 { &T99 } else { &T95 };
    let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
    let Some(t) = values.len().checked_sub(2).map(|place| table[place.min(table.len() - 1)]) else {
        return 0.0;
    };
    let mean = mean(values);
    if mean <= 0.0 {
        return 0.0;
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let variance = squares / f64::from(count);
    100.0 * 2.0 * t * (variance / f64::from(count - 1)).sqrt() / mean
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX).max(1))
}

/// The iterations as one result: rates, CPU and time are means, latencies are pooled, counts are
/// the last iteration's.
#[must_use]
pub fn merge(goal: &ConfidenceGoal, iterations: Vec<Figures>) -> Option<Figures> {
    let confidence = of(goal, &iterations);
    let over =
        |of: &dyn Fn(&Figures) -> f64| mean(&iterations.iter().map(of).collect::<Vec<f64>>());
    let elapsed_seconds = over(&|figures| figures.elapsed_seconds);
    let bytes_per_second = over(&|figures| figures.bytes_per_second);
    let transactions = over(&|figures| figures.transactions_per_second.unwrap_or(0.0));
    let local = mean_cpu(iterations.iter().map(|figures| &figures.local));
    let remote = mean_cpu(iterations.iter().map(|figures| &figures.remote));
    let latency = pool(iterations.iter().filter_map(|figures| figures.latency.as_ref()));
    let of_remote = iterations.iter().filter_map(|figures| figures.remote_latency.as_ref());
    let remote_latency = pool(of_remote);
    // Of whichever iteration it was.
    let changed = |end: fn(&Figures) -> &EndFigures| {
        iterations.iter().find_map(|figures| end(figures).allowed_cpus.clone())
    };
    let changes = [changed(|figures| &figures.local), changed(|figures| &figures.remote)];
    let [local_change, remote_change] = changes;
    let last = iterations.into_iter().next_back()?;
    Some(Figures {
        elapsed_seconds,
        bytes_per_second,
        transactions_per_second: last.transactions_per_second.map(|_| transactions),
        local: EndFigures { cpu: local, allowed_cpus: local_change, ..last.local },
        remote: EndFigures { cpu: remote, allowed_cpus: remote_change, ..last.remote },
        latency,
        remote_latency,
        confidence: Some(confidence),
        ..last
    })
}

/// The values of all iterations together.
fn pool<'a>(mut latencies: impl Iterator<Item = &'a Latencies>) -> Option<Latencies> {
    let mut pool = latencies.next()?.clone();
    latencies.for_each(|more| pool.merge(more));
    Some(pool)
}

/// The mean of all that have one; the busiest CPU is the last's.
fn mean_cpu<'a>(ends: impl Iterator<Item = &'a EndFigures>) -> Option<CpuPercent> {
    let cpus: Vec<CpuPercent> = ends.filter_map(|end| end.cpu).collect();
    let last = *cpus.last()?;
    let over = |of: fn(&CpuPercent) -> f64| mean(&cpus.iter().map(of).collect::<Vec<f64>>());
    Some(CpuPercent {
        util_percent: over(|cpu| cpu.util_percent),
        user_percent: over(|cpu| cpu.user_percent),
        system_percent: over(|cpu| cpu.system_percent),
        iowait_percent: over(|cpu| cpu.iowait_percent),
        irq_percent: over(|cpu| cpu.irq_percent),
        softirq_percent: over(|cpu| cpu.softirq_percent),
        ..last
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_is_students() {
        // Mean 10, s = 1, n = 3: 2 · 4.303 · 1/√3 / 10.
        let width = width_percent(95, &[9.0, 10.0, 11.0]);
        assert!((width - 2.0 * 4.303 / 3.0_f64.sqrt() * 10.0).abs() < 1e-9, "{width}");
        assert_eq!(width_percent(95, &[9.0]), 0.0);
        assert_eq!(width_percent(99, &[0.0, 0.0]), 0.0);
        assert!(width_percent(99, &[9.0, 10.0, 11.0]) > width);
        assert!(width_percent(95, &[1.0; 40]).abs() < 1e-9);
    }
}
