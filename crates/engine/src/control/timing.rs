//! Times that both ends of a run keep.

use std::time::Duration;

/// Silence after which a peer counts as lost, unless another time is asked for.
pub(super) const PEER_TIMEOUT: Duration = Duration::from_secs(5);
/// From a run that is ready to its client's start, unless another time is asked for: three times
/// what an agent waits for the others of its step.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The most that a server grants a client that asks for another, unless it is told otherwise.
pub(super) const MAX_PEER_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest that a server has a run stand still.
pub(super) const MAX_STALL: Duration = Duration::from_secs(300);
/// By how much a server is more patient than its client, whose part it is to end a run that stands
/// still.
pub(super) const STALL_MARGIN: Duration = Duration::from_secs(5);
/// For receivers to read what is still under way once the senders have stopped, when a run broke
/// off; and for a server to report when its drain is over.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// An intermediate reading nearer than this to the window's end is left to the closing one.
pub(super) const MIN_LAST_INTERVAL: Duration = Duration::from_millis(1);
