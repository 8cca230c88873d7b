//! How workers go about a plan where the other end may be another program: nothing of this goes to
//! a peer.

use std::sync::Arc;
use std::time::Duration;

/// Departures from how podperf does things between two of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompatOptions {
    /// Senders and receivers of streams time each call, but not those by io_uring; the times of
    /// calls in the window are the report's latencies.
    pub times_calls: bool,
    /// Sends or transactions come in bursts. Each flow then has a worker of its own, so that it can
    /// wait for its ticks. Streams by io_uring do not heed it.
    pub pace: Option<Pace>,
    /// What is sent, repeated as needed; absent: podperf's pattern, which splice and zero copy send
    /// in any case.
    pub payload: Option<Arc<[u8]>>,
    /// An end that has ended a stream waits until the peer has ended it too.
    pub awaits_peer: bool,
    /// Flows of datagrams carry payload alone: no sequence numbers, no stamps, of any size, ended
    /// by three empty datagrams that nobody has to answer.
    pub unframed: bool,
    /// Unframed responses to the first three requests of a flow are cut to three bytes for each
    /// byte that came: whose address stands on a datagram has not asked for it yet.
    pub limits_responses: bool,
    /// Unframed requests in flight on a flow; 0 stands for 1.
    pub in_flight: u32,
}

/// So many sends or transactions of a flow, every so often. A burst that takes longer than that is
/// followed by the next at once, and ticks beyond are not made up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Operations of a burst; 0 stands for 1.
    pub operations: u32,
    /// From the start of one burst to the start of the next.
    pub every: Duration,
}
