//! The control connection: one TCP port for control and data.
//!
//! Enters: a plan and a target (client), or a port to listen on (server). Leaves: both halves of a
//! run, on the client. `preamble`, `message`, `session` and `token` do no I/O; `framing`,
//! `handshake` and `link` carry them; `client` and `server` conduct a run.

pub mod client;
mod descriptors;
pub mod flow_preamble;
pub mod framing;
pub mod handshake;
pub mod link;
pub mod message;
pub mod preamble;
pub mod server;
pub mod session;
pub mod token;

use std::time::Duration;

/// Silence after which a peer counts as lost, unless another time is asked for.
const PEER_TIMEOUT: Duration = Duration::from_secs(5);
/// On both ends: for receivers to read what is still under way once the senders have stopped.
const DRAIN: Duration = Duration::from_secs(2);
/// On both ends: an intermediate reading nearer than this to the window's end is left to the
/// closing one.
const EDGE: Duration = Duration::from_millis(1);
