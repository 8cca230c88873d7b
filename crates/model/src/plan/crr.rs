//! Connect, request, response, close: what each flow does again and again.

use serde::{Deserialize, Serialize};

use super::choice::choice;

use crate::units::Bytes;

/// A connection a transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CrrPlan {
    /// Size of a request.
    pub request_bytes: Bytes,
    /// Size of a response.
    pub response_bytes: Bytes,
    /// Open loop: transactions started per second over all flows, on a fixed schedule. Absent:
    /// closed loop, the next connection is opened when the last one is closed.
    pub rate_per_second: Option<f64>,
    /// How a connection ends.
    pub close: Close,
}

choice! {
/// How a connection ends. Whoever closes first keeps its port for a minute (TIME-WAIT, RFC 9293,
/// section 3.6).
#[derive(Default)]
pub enum Close {
    /// The server closes behind its response, as for netperf's TCP_CRR: TIME-WAIT stays there, and
    /// the client's ports are free again at once.
    Server = "server" [default],
    /// The client closes behind the response: TIME-WAIT stays with the client, which runs out of
    /// ports.
    Client = "client",
    /// The client resets the connection behind the response (SO_LINGER of 0): no TIME-WAIT at all.
    Rst = "rst",
}
}
