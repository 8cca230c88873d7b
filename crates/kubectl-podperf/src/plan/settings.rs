//! The settings of one run: every option settled.

use std::time::Duration;

use crate::plan::options::{ClusterArgs, DeadlineArgs, MeasurementArgs, NodeArgs, PodArgs};
use crate::plan::path::NetworkPath;
use crate::plan::test_kind::TestKind;

/// The settings of one run.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) cluster: ClusterArgs,
    pub(crate) measure: MeasurementArgs,
    pub(crate) placement: NodeArgs,
    pub(crate) pods: PodArgs,
    pub(crate) deadlines: DeadlineArgs,
    pub(crate) tolerance: f64,
    pub(crate) ttl: Duration,
    pub(crate) quiet: bool,
    pub(crate) run_id: String,
    pub(crate) seed: u64,
    pub(crate) paths: Vec<NetworkPath>,
    pub(crate) tests: Vec<TestKind>,
    pub(crate) streams: Vec<u32>,
    pub(crate) rr_flows: Vec<u32>,
    pub(crate) duration: Duration,
    pub(crate) warmup: Duration,
    pub(crate) samples: u32,
    pub(crate) policies: u32,
}
