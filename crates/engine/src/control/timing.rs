//! Times that both ends of a run keep.

use std::time::Duration;

/// Silence after which a peer counts as lost, unless another time is asked for.
pub(super) const PEER_TIMEOUT: Duration = Duration::from_secs(5);
/// From a run that is ready to its client's start, unless another time is asked for: three times
/// what an agent waits for the others of its step.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(60);
/// For receivers to read what is still under way once the senders have stopped.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// An intermediate reading nearer than this to the window's end is left to the closing one.
pub(super) const MIN_LAST_INTERVAL: Duration = Duration::from_millis(1);
