//! How bytes moved between podperf and the kernel, and what became of connections: the parts of the
//! result about transports and about connections that do not last.

use serde::{Deserialize, Serialize};

use super::Lifetime;
use crate::plan::{ReceiveMethod, SendMethod};
use crate::result::end_result::{ConnectionUse, MovedBy};

/// How one end moved the bytes of its streams, over their whole life.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TransportFacts {
    /// As a sender; null where this end sent no stream.
    pub send: Option<SendFacts>,
    /// As a receiver; null where this end received no stream.
    pub receive: Option<ReceiveFacts>,
}

/// How one end's senders handed bytes to the kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SendFacts {
    /// The method asked for.
    pub asked: SendMethod,
    /// The method in use at the end.
    pub used: SendMethod,
    /// Why it was chosen, or why it is not the one asked for; null: used as asked.
    pub reason: Option<String>,
    /// Bytes by method, in order of first use.
    pub bytes_by_method: Vec<MovedBy<SendMethod>>,
    /// Mean bytes that one call handed over; null: no call moved anything.
    pub mean_bytes_per_call: Option<f64>,
    /// What the kernel said about zero-copy sends; null where there were none.
    pub zerocopy: Option<ZerocopyFacts>,
}

/// What the kernel said about zero-copy sends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ZerocopyFacts {
    /// Sends that the kernel has reported on.
    pub sends: u64,
    /// Of these, those whose bytes it copied all the same.
    pub copied: u64,
    /// Their share, 0 to 1; null: no report came.
    pub copied_share: Option<f64>,
    /// Sends refused for want of notification memory or locked pages (ENOBUFS), before they were
    /// repeated or copied.
    pub enobufs: u64,
}

/// How one end's receivers took bytes from the kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReceiveFacts {
    /// The method asked for.
    pub asked: ReceiveMethod,
    /// The method that took most bytes.
    pub used: ReceiveMethod,
    /// The method asked for does not bring the bytes to the program: throughput and CPU are those
    /// of the stack, not what an application gets.
    pub stack_only: bool,
    /// Why it is not the one asked for; null: used as asked.
    pub reason: Option<String>,
    /// Bytes by method, in order of first use.
    pub bytes_by_method: Vec<MovedBy<ReceiveMethod>>,
    /// Mean bytes that one call took; null: no call moved anything.
    pub mean_bytes_per_call: Option<f64>,
}

/// The connections of both ends, over the run's whole life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Connections {
    /// Bytes sent and received over all connections, both ways; null when an end did not report.
    pub lifetime: Option<Lifetime>,
    /// Those that the client opened; null when it did not report.
    pub client: Option<ConnectionUse>,
    /// Those that the server accepted; null when it did not report.
    pub server: Option<ConnectionUse>,
}
