//! What podperf itself could do at most: that part of the result.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How close a run came to what podperf reaches over loopback on the client's machine, as
/// `podperf calibrate` measured it there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ceiling {
    /// Which of the calibration's figures: methods, number of streams, placement.
    pub figure: String,
    /// When it was measured (RFC 3339, UTC).
    pub taken_at: String,
    /// Streams: the goodput over loopback; null for request/response.
    pub bits_per_second: Option<f64>,
    /// Request/response: the median latency over loopback, in nanoseconds; null for streams.
    pub latency_p50_ns: Option<u64>,
    /// How close: this run's goodput divided by the ceiling, or the floor divided by this run's
    /// median latency. 1 is as fast as loopback; between two machines it may pass 1, because
    /// loopback has both ends on one machine's CPUs.
    pub share: f64,
}
