//! The control connection: one TCP port for control and data.
//!
//! Enters: a plan and a target (client), or a port to listen on (server). Leaves: both halves of a
//! run, on the client. `preamble`, `message`, `session` and `token` do no I/O; `framing`,
//! `handshake` and `link` carry them; `client` and `server` conduct a run.

pub mod client;
mod descriptors;
pub mod framing;
pub mod handshake;
pub mod link;
pub mod message;
pub mod preamble;
pub mod server;
pub mod session;
pub mod token;
