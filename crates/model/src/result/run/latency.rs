//! Distributions of times, and how a schedule was kept: that part of the result.

use serde::{Deserialize, Serialize};

use crate::plan::PacingMode;

/// A latency distribution, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Latency {
    /// Values recorded.
    pub count: u64,
    /// Exact arithmetic mean.
    #[serde(rename = "mean_ns")]
    pub mean: Option<f64>,
    /// Exact population standard deviation.
    #[serde(rename = "stddev_ns")]
    pub stddev: Option<f64>,
    /// Smallest value.
    #[serde(rename = "min_ns")]
    pub min: Option<u64>,
    /// Median.
    #[serde(rename = "p50_ns")]
    pub p50: Option<u64>,
    /// 90th percentile.
    #[serde(rename = "p90_ns")]
    pub p90: Option<u64>,
    /// 99th percentile. Percentiles with fewer than ten values above them are null.
    #[serde(rename = "p99_ns")]
    pub p99: Option<u64>,
    /// 99.9th percentile.
    #[serde(rename = "p99_9_ns")]
    pub p99_9: Option<u64>,
    /// 99.99th percentile.
    #[serde(rename = "p99_99_ns")]
    pub p99_99: Option<u64>,
    /// Largest value.
    #[serde(rename = "max_ns")]
    pub max: Option<u64>,
    /// Values above 60 s: counted in mean, stddev and max, recorded as 60 s in the histogram.
    pub out_of_range: u64,
    /// The histogram: HdrHistogram V2, deflated, base64; 1 ns to 60 s, three significant digits.
    pub histogram: String,
}

/// How an open-loop schedule was kept: requests that were due, or sends of datagrams.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScheduleFacts {
    /// Sends that were due in the window.
    pub due: u64,
    /// Of these, sent more than 100 µs after they were due.
    pub late: u64,
    /// Greatest lateness of a send, in nanoseconds.
    pub max_lateness_ns: u64,
    /// Due in the window but, when it closed, not answered (requests) or not sent (datagrams):
    /// missing from the histograms.
    pub unfinished: u64,
    /// How the sends met their times; `precise` where some worker's did. Null: not reported.
    #[serde(default)]
    pub pacing: Option<PacingMode>,
    /// Datagrams of one send, where the schedule is one of datagrams; null: of requests.
    pub datagrams_per_send: Option<u32>,
    /// By how much each send of the window was late; null: not reported.
    pub lateness: Option<Latency>,
    /// Time between two sends of one flow in the window; null: not reported.
    pub inter_send: Option<Latency>,
}
