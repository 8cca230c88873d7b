//! The result document of a run on Kubernetes, schema `podperf.cluster/v1`: what was to be done,
//! where it ran, every sample with the engine's own document inside, and the rows made of them.

mod facts;
mod summary;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::result::run::{Run, Status, Warning};

pub use facts::{ClusterFacts, NodeFacts, PodFacts, PolicyFacts, ProbeFacts};
pub use summary::{
    BaselineComparison, Difference, EndCpu, Estimate, PooledLatency, Ratio, Row, Summary,
};

/// Name and version of the schema.
pub const SCHEMA: &str = "podperf.cluster/v1";
/// The path that all others are held against: from node to node, in the nodes' own network.
pub const BASELINE: &str = "host";

/// Everything about one run of the launcher.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterRun {
    /// `podperf.cluster/v1`.
    pub schema: String,
    /// Name of the run; labels and object names carry it.
    pub run_id: String,
    /// The launcher's version.
    pub podperf_version: String,
    /// When the launcher began (RFC 3339, UTC).
    pub started_at: String,
    /// When everything was collected (RFC 3339, UTC).
    pub ended_at: String,
    /// The launcher's command line.
    pub command: Vec<String>,
    /// What was to be done.
    pub plan: ClusterPlan,
    /// Whether all of it was done.
    pub status: Status,
    /// What went wrong, in order of time; empty exactly when the status is `complete`.
    pub errors: Vec<Error>,
    /// What to doubt, and what to do about it.
    pub warnings: Vec<Warning>,
    /// The fingerprint of the cluster.
    pub cluster: ClusterFacts,
    /// The pods, as they ran.
    pub pods: Vec<PodFacts>,
    /// Paths that were probed before anything was timed.
    pub probes: Vec<ProbeFacts>,
    /// NetworkPolicies; null where none were asked for.
    pub policies: Option<PolicyFacts>,
    /// One row a path, test and number of flows, made of the samples.
    pub summary: Summary,
    /// Every sample, in the order of measuring.
    pub samples: Vec<Sample>,
}

/// What was to be done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterPlan {
    /// Namespace of all objects.
    pub namespace: String,
    /// The engine's image.
    pub image: String,
    /// Paths, the baseline first where it is among them.
    pub paths: Vec<String>,
    /// Tests by their names (`tcp_stream`, `tcp_rr` …).
    pub tests: Vec<String>,
    /// Streams or flows, each in turn.
    pub flows: Vec<u32>,
    /// What is measured: not every test has every number of flows, nor passes every path.
    pub rows: Vec<PlannedRow>,
    /// Samples of each row.
    pub samples: u32,
    /// Length of one window, in seconds.
    pub window_seconds: f64,
    /// Warm-up before each, in seconds.
    pub warm_up_seconds: f64,
    /// Seed of the order of the samples.
    pub seed: u64,
    /// Client and server pairs that measure at once.
    pub pairs: u32,
    /// NetworkPolicies that select the server of the path `policies`.
    pub policies: u32,
    /// NetworkPolicies that select no pod.
    pub idle_policies: u32,
    /// Services in the background, during all rows.
    pub background_services: u32,
    /// Difference below which two paths count as alike, as a share (0.05 is 5 %).
    pub tolerance_share: f64,
}

/// A row that is to be measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRow {
    /// The path.
    pub path: String,
    /// The test.
    pub test: String,
    /// Streams or flows of each pair.
    pub flows: u32,
}

/// One sample: what the agents of one step measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Number of the step, from 1: the order of measuring.
    pub step: u32,
    /// The path.
    pub path: String,
    /// The test.
    pub test: String,
    /// Streams or flows of each pair.
    pub flows: u32,
    /// Number of the sample of its row, from 1.
    pub sample: u32,
    /// Why there is no result, or not every pair's; null: all is there.
    pub missing: Option<String>,
    /// The engine's documents, one a pair.
    pub runs: Vec<Run>,
}
