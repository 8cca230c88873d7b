//! The messages that a coordinator and its agents send each other once they have shaken hands.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::framing;
use crate::control::link::LinkMessage;
use podperf_model::error::{Error, Kind};
use podperf_model::plan::Expect;
use podperf_model::run_log::EncodedRun;

/// What a coordinator's hello has among its features, and no server's.
pub(super) const COORDINATES: &str = "coordinate";
/// For what a coordinator and an agent that joins say before a link has their heartbeats.
pub(super) const JOIN_TIMEOUT: Duration = Duration::from_secs(5);

/// From the coordinator to an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromCoordinator {
    /// Answer to `Join`: probe, and say when that is done.
    Welcome,
    /// This agent cannot take part; the last message.
    Refused(Error),
    /// A step begins: bring both ends of the test to the gate.
    Prepare {
        /// Number of the step, from 1.
        step: u32,
        /// Name of the test.
        test: String,
        /// Its sample, from 1.
        sample: u32,
    },
    /// Start at once.
    Go {
        /// As in `Prepare`.
        step: u32,
    },
    /// End the step now, and send what there is of it.
    Stop {
        /// As in `Prepare`.
        step: u32,
        /// What the run's errors are to say.
        kind: Kind,
    },
    /// Nothing more will be measured; the last message.
    Done,
    /// Still there.
    Heartbeat,
}

/// From an agent to the coordinator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromAgent {
    /// First: who it is.
    Join {
        /// Its name.
        agent: String,
    },
    /// A probe came to an end.
    Probed(Probed),
    /// All probes did.
    Ready,
    /// Both ends stand at the gate.
    Prepared {
        /// As in `Prepare`.
        step: u32,
    },
    /// An interval of the run has ended.
    Interval {
        /// As in `Prepare`.
        step: u32,
        /// Goodput, in bit/s.
        bits_per_second: Option<f64>,
        /// Transactions a second.
        transactions_per_second: Option<f64>,
    },
    /// The run is over, well or not.
    Result {
        /// As in `Prepare`.
        step: u32,
        /// The run.
        run: EncodedRun,
    },
    /// There is no run.
    Failed {
        /// As in `Prepare`.
        step: u32,
        /// Why, in words.
        cause: String,
    },
    /// Still there.
    Heartbeat,
}

/// What came of a probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Probed {
    pub(super) path: String,
    pub(super) address: String,
    pub(super) expect: Expect,
    pub(super) met: bool,
    pub(super) seconds: f64,
    pub(super) cause: Option<String>,
    /// Tests that are left out if an answer was expected and none came.
    pub(super) tests: Vec<String>,
}

impl LinkMessage for FromCoordinator {
    const MAX_BYTES: u32 = 64 << 10;
    const HEARTBEAT: Self = Self::Heartbeat;
}

impl LinkMessage for FromAgent {
    const MAX_BYTES: u32 = framing::MAX_SERVER_MESSAGE_BYTES;
    const HEARTBEAT: Self = Self::Heartbeat;
}
