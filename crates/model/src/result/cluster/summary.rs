//! Rows made of samples. Data only; the figures are taken in `analysis`.

use serde::{Deserialize, Serialize};

use crate::result::run::{Bound, Ends};

/// One row a path, test and number of flows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The path that all others are held against; null: it was not measured.
    pub baseline: Option<String>,
    /// Path by path as the plan has them, of each path test by test, of each test by rising number
    /// of flows.
    pub rows: Vec<Row>,
}

/// What the samples of one path, test and number of flows say together. Samples that are not whole
/// are in none of the figures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The path.
    pub path: String,
    /// The test.
    pub test: String,
    /// Streams or flows of each pair.
    pub flows: u32,
    /// Whole samples: the figures are made of them.
    pub samples: u32,
    /// Samples that were planned or begun and are not whole.
    pub failed: u32,
    /// Why they are not; null: none failed.
    pub missing: Option<String>,
    /// Goodput, the sum of a sample's pairs; null for tests made of transactions.
    pub goodput_bits_per_second: Option<Estimate>,
    /// Transactions completed, the sum of a sample's pairs; null for other tests.
    pub transactions_per_second: Option<Estimate>,
    /// Mean latency, one value a sample; null for other tests.
    pub latency_mean_ns: Option<Estimate>,
    /// Goodput or transactions against the baseline's row of the same test and flows; null for the
    /// baseline itself, and where there is none.
    pub rate_vs_baseline: Option<BaselineComparison>,
    /// Mean latency likewise: a ratio above 1 is slower.
    pub latency_vs_baseline: Option<BaselineComparison>,
    /// Segments sent again for each GB (10^9 bytes) of goodput; null for tests made of
    /// transactions, and where no sender's sockets could be read.
    pub retransmitted_segments_per_gb: Option<f64>,
    /// Datagrams, or transactions over datagrams, that were lost, 0 to 1; null for other tests.
    pub loss_share: Option<f64>,
    /// Mean of the runs' fairness (Jain's index over the streams of a run).
    pub fairness: Option<f64>,
    /// CPU of the machines of both ends, the mean of the samples. Several machines of one end are
    /// added up; pairs that share a machine count once.
    pub cpu: Ends<Option<EndCpu>>,
    /// Both ends of a run were on one machine: each end's CPU covers both.
    pub same_machine: bool,
    /// Latency of all transactions of all whole samples; null for other tests.
    pub latency: Option<PooledLatency>,
    /// What bound most of the runs; null without any.
    pub bound_by: Option<Bound>,
}

impl Row {
    /// What the row is held against the baseline by: transactions where there are any, goodput
    /// otherwise.
    #[must_use]
    pub const fn rate(&self) -> Option<&Estimate> {
        match &self.transactions_per_second {
            Some(transactions) => Some(transactions),
            None => self.goodput_bits_per_second.as_ref(),
        }
    }

    /// It is worse than the baseline by more than the tolerance, by rate or by latency.
    #[must_use]
    pub fn over_tolerance(&self) -> bool {
        let versus = [&self.rate_vs_baseline, &self.latency_vs_baseline];
        versus.into_iter().flatten().any(|versus| versus.over_tolerance)
    }
}

/// The mean of samples with its 95 % interval. The unit stands in the key above it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Estimate {
    /// Arithmetic mean.
    pub mean: f64,
    /// Lower end of the interval; null with one sample.
    pub low: Option<f64>,
    /// Upper end, likewise.
    pub high: Option<f64>,
    /// Samples.
    pub samples: u32,
}

/// The ratio of two means with its 95 % interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// This mean divided by the baseline's.
    pub ratio: f64,
    /// Lower end of the interval; null where either has one sample.
    pub low: Option<f64>,
    /// Upper end, likewise.
    pub high: Option<f64>,
}

/// A row held against the baseline's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BaselineComparison {
    /// The ratio and its interval.
    #[serde(flatten)]
    pub ratio: Ratio,
    /// What the interval says.
    pub difference: Difference,
    /// The whole interval is worse than the baseline by more than the plan's tolerance.
    pub over_tolerance: bool,
}

/// What a ratio's interval says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// The whole interval is worse than the baseline.
    Slower,
    /// The whole interval is better.
    Faster,
    /// The whole interval is within the tolerance around 1.
    NoDifferenceShown,
    /// None of these, or no interval.
    Inconclusive,
}

/// CPU of one end, the mean of the samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct EndCpu {
    /// User mode, niced included, in busy cores.
    pub user_cores: f64,
    /// Kernel mode, in busy cores.
    pub system_cores: f64,
    /// Software interrupts, in busy cores.
    pub softirq_cores: f64,
    /// All modes, hardware interrupts included, in busy cores.
    pub busy_cores: f64,
    /// Share of the time that the CPU with most of it spent in softirqs, in percent; null: not
    /// known by CPU.
    pub hottest_cpu_softirq_percent: Option<f64>,
    /// Busy cores divided by goodput in Gbit/s; null for tests made of transactions.
    pub cores_per_gbit: Option<f64>,
    /// Busy CPU time of each transaction, in microseconds; null for other tests, and where bulk
    /// streams ran beside.
    pub us_per_transaction: Option<f64>,
}

/// Latency over all transactions of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PooledLatency {
    /// Transactions.
    pub count: u64,
    /// Exact mean, in nanoseconds.
    pub mean_ns: f64,
    /// Exact population standard deviation, in nanoseconds.
    pub stddev_ns: f64,
    /// Median of the merged histograms, in nanoseconds. Percentiles with fewer than ten values
    /// above them are null, and all of them where a histogram could not be read.
    pub p50_ns: Option<u64>,
    /// 99th percentile, likewise.
    pub p99_ns: Option<u64>,
    /// 99.9th percentile, likewise.
    pub p99_9_ns: Option<u64>,
    /// Largest value, in nanoseconds.
    pub max_ns: Option<u64>,
}
