//! The control connection: one TCP port for control and data.
//!
//! Enters: a plan and a target (client), or a port to listen on (server). Leaves: both ends'
//! results of a run, on the client. `preamble`, `message`, `session` and `token` do no I/O;
//! `framing`, `handshake`, `pending_client` and `link` carry them; `client` and `server` carry out
//! a run.

mod bounded_list;
pub mod client;
mod descriptors;
pub mod flow_preamble;
pub mod framing;
pub mod handshake;
pub mod link;
pub mod message;
pub mod pending_client;
pub mod pending_request;
pub mod preamble;
pub mod server;
mod server_identity;
pub mod session;
mod timing;
