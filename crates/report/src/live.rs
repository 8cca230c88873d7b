//! What is seen while a run is under way, on stderr: a progress bar on a terminal, else one line an
//! interval.

use std::io::Write as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use podperf_model::plan::{Plan, StopCondition, Workload};
use podperf_model::result::run::Interval;
use podperf_model::units::rate_unit;

/// Shows intervals as they end.
#[derive(Debug)]
pub struct Live {
    workload: Workload,
    stop_condition: StopCondition,
    progress: RunProgress,
    bar: Option<ProgressBar>,
}

impl Live {
    /// For one run of `plan`; `terminal`: stderr is one.
    ///
    /// # Panics
    /// Never: the bar's template is a constant.
    #[must_use]
    pub fn new(plan: &Plan, terminal: bool) -> Self {
        let progress = RunProgress::default();
        let bar = terminal.then(|| {
            let target = ProgressDrawTarget::stderr();
            let bar =
                ProgressBar::with_draw_target(Some(progress.total(&plan.stop_condition)), target);
            let style = ProgressStyle::with_template("{bar:20} {wide_msg}");
            // A constant that the tests draw.
            bar.with_style(style.expect("the template is valid").progress_chars("=> "))
        });
        Self { workload: plan.workload.clone(), stop_condition: plan.stop_condition, progress, bar }
    }

    /// Shows one interval. A run goes on when standard error takes no more.
    pub fn interval(&mut self, interval: &Interval) {
        self.progress.add(interval);
        let text = line(&self.workload, interval);
        match &self.bar {
            Some(bar) => {
                bar.set_position(self.progress.done(&self.stop_condition));
                let total = total(&self.stop_condition);
                bar.set_message(format!("{:.1} {total}{text}", interval.end_seconds));
            }
            None => drop(writeln!(
                std::io::stderr(),
                "{:8.3} to {:8.3} s{text}",
                interval.start_seconds,
                interval.end_seconds
            )),
        }
    }

    /// Clears the bar.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// The end of "3.0 of 10.0 s".
fn total(stop_condition: &StopCondition) -> String {
    match stop_condition {
        StopCondition::Time { window } => format!("of {:.1} s", window.as_secs_f64()),
        StopCondition::Bytes { .. } | StopCondition::Transactions { .. } => "s".to_owned(),
    }
}

/// What has passed since the window opened.
#[derive(Debug, Default)]
struct RunProgress {
    seconds: f64,
    bytes: f64,
    transactions: f64,
}

impl RunProgress {
    fn add(&mut self, interval: &Interval) {
        let seconds = interval.end_seconds - interval.start_seconds;
        self.seconds = interval.end_seconds;
        self.bytes += interval.bits_per_second.unwrap_or(0.0) / 8.0 * seconds;
        self.transactions += interval.transactions_per_second.unwrap_or(0.0) * seconds;
    }

    /// In the bar's steps: milliseconds, bytes or transactions.
    #[expect(clippy::cast_possible_truncation, reason = "a float cast stops at the top")]
    #[expect(clippy::cast_sign_loss, reason = "a float cast stops at zero")]
    const fn done(&self, stop_condition: &StopCondition) -> u64 {
        match stop_condition {
            StopCondition::Time { .. } => (self.seconds * 1e3) as u64,
            StopCondition::Bytes { .. } => self.bytes as u64,
            StopCondition::Transactions { .. } => self.transactions as u64,
        }
    }

    fn total(&self, stop_condition: &StopCondition) -> u64 {
        let millis = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        match stop_condition {
            StopCondition::Time { window } => millis(window),
            StopCondition::Bytes { total_bytes } => total_bytes.0,
            StopCondition::Transactions { total } => *total,
        }
    }
}

/// A rate as wide as any other, so that lines stand below each other.
fn rate_column(bits_per_second: f64) -> String {
    let (unit, divisor) = rate_unit(bits_per_second);
    format!("{:8.3} {unit}", bits_per_second / divisor)
}

/// An interval's figures with their units; what is not known is left out.
fn line(workload: &Workload, interval: &Interval) -> String {
    let mut text = String::new();
    let mut add = |part: Option<String>| {
        if let Some(part) = part {
            text.push_str("  ");
            text.push_str(&part);
        }
    };
    match (workload.transacts(), workload.is_udp()) {
        (false, false) => {
            add(interval.bits_per_second.map(rate_column));
            add(interval.retransmits.map(|count| format!("{count:5} retransmits")));
            add(interval.rtt_us.map(|us| format!("rtt {us:6} µs")));
        }
        (false, true) => {
            add(interval.bits_per_second.map(rate_column));
            add(interval.datagrams_lost.map(|count| format!("{count:6} datagrams lost")));
            add(interval.jitter_us.map(|us| format!("jitter {us:7.1} µs")));
        }
        (true, _) => {
            let rate = |rate: f64| format!("{rate:9.0} transactions/s");
            add(interval.transactions_per_second.map(rate));
            add(interval.latency_mean_ns.map(|ns| format!("mean {:9.1} µs", ns / 1e3)));
            let load = |rate: f64| format!("load {}", rate_column(rate));
            add(interval.load_bits_per_second.map(load));
        }
    }
    for (end, cpu) in interval.cpu.named() {
        add(cpu.as_ref().map(|cpu| format!("{end} {:6.2} cores", cpu.busy)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use podperf_model::result::testing;

    #[test]
    fn a_line_gives_every_figure_its_unit() {
        let run = testing::stream_run();
        assert_eq!(
            line(&run.plan.workload, &run.intervals[1]),
            "     4.000 Gbit/s      5 retransmits  rtt    120 µs  client   0.60 cores  server   \
             0.90 cores"
        );
        let run = testing::rr_run();
        assert_eq!(
            line(&run.plan.workload, &run.intervals[0]),
            "       1000 transactions/s  mean    1000.0 µs  client   0.60 cores  server   0.90 \
             cores"
        );
    }

    #[test]
    fn a_slow_link_has_its_rate_in_a_unit_that_tells() {
        let run = testing::stream_run();
        let slow = |rate| Interval { bits_per_second: Some(rate), ..Interval::default() };
        let text = |rate| line(&run.plan.workload, &slow(rate));
        assert_eq!(text(511_980.0), "   511.980 kbit/s");
        assert_eq!(text(94.3e6), "    94.300 Mbit/s");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let run = testing::stream_run();
        assert_eq!(line(&run.plan.workload, &Interval::default()), "");
    }

    #[test]
    fn the_bar_follows_what_ends_the_run() {
        let run = testing::stream_run();
        let mut progress = RunProgress::default();
        progress.add(&run.intervals[0]);
        let window = Duration::from_secs(2);
        assert_eq!(progress.done(&StopCondition::Time { window }), 1_000);
        assert_eq!(progress.total(&StopCondition::Time { window }), 2_000);
        let total_bytes = podperf_model::units::Bytes(1 << 30);
        assert_eq!(progress.done(&StopCondition::Bytes { total_bytes }), 500_000_000);
        // The template is drawn, to a hidden target: stderr is no terminal under test.
        let mut live = Live::new(&run.plan, true);
        live.interval(&run.intervals[0]);
        live.finish();
    }
}
