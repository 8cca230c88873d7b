//! The document of a saturation search, schema `podperf.saturation/v1`: how many streams fill a
//! path, what bounds them, and every sample that says so. Data only; the figures are taken in
//! `report::saturation`.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::facts::HostFacts;
use crate::plan::{Direction, Plan};
use crate::result::cluster::Estimate;
use crate::result::run::{Bound, Ends, Latency, Status, Verdict, Warning};

/// Name and version of the schema.
pub const SCHEMA: &str = "podperf.saturation/v1";

/// Everything about one search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Saturation {
    /// `podperf.saturation/v1`.
    pub schema: String,
    /// When the search began (RFC 3339, UTC).
    pub started_at: String,
    /// Time that all of it took, in seconds.
    pub seconds: f64,
    /// The command line.
    pub command: Vec<String>,
    /// The server that was named, `host:port`.
    pub target: String,
    /// How it was searched.
    pub search: SearchPlan,
    /// The plan of each run, with one stream.
    pub plan: Plan,
    /// Whether the search came to its own end.
    pub status: Status,
    /// What broke it off; empty when complete.
    pub errors: Vec<Error>,
    /// What the search shows.
    pub outcome: SaturationOutcome,
    /// The outcome in words.
    pub reason: String,
    /// The largest mean goodput of any number of streams, in bits per second, with its interval;
    /// null unless a plateau is shown.
    pub plateau_bits_per_second: Option<Estimate>,
    /// Streams that reach 90 % of the plateau; null unless one is shown.
    pub n90: Option<StreamsNeeded>,
    /// Streams that reach 95 % of the plateau, likewise: the answer.
    pub n95: Option<StreamsNeeded>,
    /// Streams that reach 99 % of the plateau, likewise.
    pub n99: Option<StreamsNeeded>,
    /// The link's rate; null: neither given nor known.
    pub link: Option<LinkRate>,
    /// What keeps more streams than n95 from carrying more, or without a plateau what bounds those
    /// with the most streams; null where nothing was measured.
    pub bound: Option<StreamsBound>,
    /// One entry a number of streams, by rising number.
    pub curve: Vec<CurvePoint>,
    /// Latency of requests of one byte beside the streams; null for what was not measured.
    pub latency: SaturationLatency,
    /// The fingerprint of both ends, by the first run that has it.
    pub host: Ends<Option<HostFacts>>,
    /// Every sample, in the order of measuring.
    pub samples: Vec<SaturationSample>,
    /// What to doubt, and what to do about it: of the search, and of the runs, each code once.
    pub warnings: Vec<Warning>,
}

/// How a search was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SearchPlan {
    /// Which way the streams go.
    pub direction: Direction,
    /// Streams that are tried at the most.
    pub max_streams: u32,
    /// Gain below which more streams count as no gain, as a share (0.05 is 5 %).
    pub tolerance_share: f64,
    /// Samples of each number of streams.
    pub samples: u32,
    /// Samples of the answer and its neighbours.
    pub repeats: u32,
    /// Time after which no sample was begun, in seconds.
    pub time_limit_seconds: f64,
    /// Seed of the order of the samples.
    pub seed: u64,
}

/// What a search shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SaturationOutcome {
    /// Two numbers of streams beyond one gain less over it than the tolerance, by their intervals.
    Saturates,
    /// There is no plateau within the streams that may be tried.
    NoPlateau,
    /// Neither is shown: the intervals are too wide, or there was no time, or it broke off.
    NotShown,
}

/// A number of streams with its 95 % interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StreamsNeeded {
    /// The smallest number of those that were measured.
    pub streams: u32,
    /// Lower end of the interval; null where a number of streams has one sample.
    pub low: Option<u32>,
    /// Upper end, likewise.
    pub high: Option<u32>,
}

/// The link's rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinkRate {
    /// In bits per second.
    pub bits_per_second: f64,
    /// Who says so.
    pub source: LinkSource,
    /// Goodput of n95 streams divided by it; null without a plateau. Headers take their part: some
    /// 0.94 is all that TCP can reach with an MTU of 1500 bytes.
    pub goodput_share: Option<f64>,
}

/// Who says what the link's rate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LinkSource {
    /// The command line.
    Given,
    /// The slower device of both ends.
    Device,
}

/// What bounds runs of many streams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StreamsBound {
    /// What most of the runs were bound by.
    pub bound_by: Bound,
    /// Runs that were bound by it.
    pub runs: u32,
    /// Runs that were looked at: all with more streams than n95, or without a plateau those with
    /// the most streams.
    pub of_runs: u32,
    /// In these, one end's CPUs were idle for less than 5 % of the time on average. Where both
    /// ends share a machine, `unclear` does not say which of them needs it.
    pub cpus_full: bool,
    /// Numbers of streams of those runs.
    pub streams: Vec<u32>,
    /// Readings of the last of the runs that were bound by it, each with its figure and unit.
    pub evidence: Vec<String>,
}

/// The samples of one number of streams together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CurvePoint {
    /// Streams.
    pub streams: u32,
    /// Goodput in bits per second, the mean of the samples with its interval.
    pub goodput_bits_per_second: Estimate,
    /// Segments sent again for each GB (10^9 bytes) of goodput; null: not known.
    pub retransmitted_segments_per_gb: Option<f64>,
    /// CPU of the machine of each end, the mean of the samples.
    pub cpu: Ends<Option<StreamsCpu>>,
}

/// CPU of one end's machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StreamsCpu {
    /// All modes, in busy cores.
    pub busy_cores: f64,
    /// Share of all CPUs' time that was idle or waited for I/O, 0 to 1; null: not known.
    pub idle_share: Option<f64>,
    /// Busy cores divided by goodput in Gbit/s; null where nothing was received.
    pub cores_per_gbit: Option<f64>,
}

/// One sample: a run of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SaturationSample {
    /// Streams.
    pub streams: u32,
    /// When the run was asked for (RFC 3339, UTC).
    pub started_at: String,
    /// Whether all of it was done. Samples that are incomplete are in none of the figures.
    pub status: Status,
    /// What went wrong; empty when complete.
    pub errors: Vec<Error>,
    /// Length of the window, in seconds; null when it never opened.
    pub window_seconds: Option<f64>,
    /// Goodput in bits per second; null when nothing was measured.
    pub goodput_bits_per_second: Option<f64>,
    /// Segments sent again in the window; null: not known.
    pub retransmits: Option<u64>,
    /// CPU of the machine of each end.
    pub cpu: Ends<Option<StreamsCpu>>,
    /// What bound the run.
    pub verdict: Verdict,
}

/// Latency without and with the load that fills the path.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SaturationLatency {
    /// Before the search, with no stream beside.
    pub idle: Option<LoadedLatency>,
    /// After it, beside n95 streams.
    pub at_n95: Option<LoadedLatency>,
}

/// Latency of one request/response run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoadedLatency {
    /// Streams that ran beside.
    pub load_streams: u32,
    /// Goodput of those streams, in bits per second; null where there were none.
    pub load_bits_per_second: Option<f64>,
    /// Transactions completed, per second.
    pub transactions_per_second: f64,
    /// Latency of each.
    pub latency: Latency,
}
