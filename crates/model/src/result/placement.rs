//! Where workers ran and how they waited: that part of the result.

use serde::{Deserialize, Serialize};

use crate::plan::Wait;

/// Where one end's workers ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlacementFacts {
    /// Worker threads.
    pub workers: u32,
    /// CPU each worker was pinned to and found on afterwards; null: left to the scheduler.
    pub pinned_cpus: Vec<Option<u32>>,
    /// What decided it, in words.
    pub reason: String,
    /// How the workers wait for their flows: each way that is in use.
    pub multiplexing: Vec<Multiplexing>,
    /// How they wait for requests or responses.
    pub wait: Wait,
    /// Flows given to the worker that is pinned to the CPU their packets come in on
    /// (SO_INCOMING_CPU, socket(7)); null: not tried, because workers are not pinned, both ends
    /// share a machine, or the kernel does not tell.
    pub steered: Option<u32>,
    /// What was refused and has a substitute in use: which call, why, and what stands in.
    pub fallbacks: Vec<String>,
}

/// How a worker waits for its flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Multiplexing {
    /// One flow a worker, blocking calls.
    Blocking,
    /// Several flows a worker, epoll(7).
    Epoll,
    /// One or several flows a worker, io_uring(7).
    Uring,
}

impl Multiplexing {
    /// As in the result.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Epoll => "epoll",
            Self::Uring => "uring",
        }
    }
}
