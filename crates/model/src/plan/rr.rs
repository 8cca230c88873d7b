//! What a request/response run asks for, the load beside it, and what waits for its flows.

use serde::{Deserialize, Serialize};

use super::StreamPlan;
use super::choice::choice;
use crate::units::Bytes;

/// Request/response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RrPlan {
    /// Size of a request.
    pub request_bytes: Bytes,
    /// Size of a response.
    pub response_bytes: Bytes,
    /// Requests in flight on one flow.
    pub burst: u32,
    /// Open loop: requests started per second over all flows, on a fixed schedule. Absent: closed
    /// loop, the next request starts when a response has come.
    pub rate_per_second: Option<f64>,
    /// Bulk streams beside the flows, for latency under load. Absent: none.
    #[serde(default)]
    pub load: Option<LoadPlan>,
    /// What moves and waits for the flows of a worker, on both ends.
    #[serde(default)]
    pub backend: Backend,
}

impl Default for RrPlan {
    /// One byte each way, one request in flight, closed loop, nothing beside it.
    fn default() -> Self {
        Self {
            request_bytes: Bytes(1),
            response_bytes: Bytes(1),
            burst: 1,
            rate_per_second: None,
            load: None,
            backend: Backend::default(),
        }
    }
}

/// Bulk streams that load the path while request/response flows are measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoadPlan {
    /// Streams per direction.
    pub streams: u32,
    /// What each of them does.
    pub stream: StreamPlan,
}

impl LoadPlan {
    /// Number of data connections.
    #[must_use]
    pub const fn connections(&self) -> u32 {
        self.stream.direction.ways() * self.streams
    }
}

choice! {
/// What moves and waits for the flows of a worker.
#[derive(Default)]
pub enum Backend {
    /// Blocking calls for one flow a worker with one request in flight; for several flows what is
    /// faster for their number, and epoll where the kernel refuses io_uring.
    Auto = "auto" [default],
    /// epoll(7) and a system call a step.
    Epoll = "epoll",
    /// io_uring: received by multishot requests, all sends of a round handed over at once.
    Uring = "uring",
}
}
