//! Caps a server holds every plan to, whoever asks. A refusal names the limit.

use std::time::Duration;

use crate::units::Bytes;

/// What one server allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Sessions at once.
    pub sessions: u32,
    /// Data connections of one session.
    pub connections: u32,
    /// Message, request or response size.
    pub message: Bytes,
    /// Warm-up and window together.
    pub duration: Duration,
    /// Requests in flight on a flow.
    pub burst: u32,
    /// Worker threads of one session.
    pub workers: u32,
    /// Readings of one run.
    pub intervals: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 64,
            connections: 16_384,
            message: Bytes(64 << 20),
            duration: Duration::from_secs(7 * 24 * 3600),
            burst: 4096,
            workers: 1024,
            intervals: 100_000,
        }
    }
}
