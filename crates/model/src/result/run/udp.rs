//! Datagrams: that part of the result.

use serde::{Deserialize, Serialize};

use super::Ends;
use crate::plan::udp::Offload;

/// What became of the datagrams that the senders sent inside their windows, over all flows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Udp {
    /// What became of them; null for request/response, and where an end did not report.
    pub datagrams: Option<DatagramFacts>,
    /// Requests without a response in time, in the window (request/response only). They are not in
    /// the latency.
    pub lost_transactions: Option<u64>,
    /// How each end sent and received; null where it did not report or has no streams.
    pub calls: Ends<Option<DatagramCalls>>,
}

/// What became of datagrams that were sent inside the sender's window, of one flow or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DatagramFacts {
    /// Datagrams that the sender's kernel took while the sender's window was open.
    pub sent: u64,
    /// Of these, received, each counted once, up to the end of the run.
    pub received: u64,
    /// Of these, never received: sent less received.
    pub lost: u64,
    /// The lost ones' share, 0 to 1; null: none was sent.
    pub loss_share: Option<f64>,
    /// Received after one with a higher sequence number (Type-P-Reordered, RFC 4737).
    pub reordered: u64,
    /// Most by which the sequence number of a reordered datagram lay below the highest received.
    pub reorder_distance_max: u64,
    /// Further copies of datagrams that had been received.
    pub duplicates: u64,
    /// Interarrival jitter as of the last of these datagrams, in microseconds (RFC 3550, section
    /// 6.4.1); over all flows their mean. Null: nothing was received.
    pub jitter_us: Option<f64>,
    /// Buffers that the receiver's kernel dropped in the window because the socket's receive buffer
    /// was full (SO_MEMINFO); each holds one datagram, with UDP_GRO several. Null: not readable.
    pub socket_drops: Option<u64>,
}

/// How one end moved datagrams between itself and its kernel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DatagramCalls {
    /// Segmentation offload (UDP_SEGMENT) as asked for; null: this end did not send.
    pub gso_asked: Option<Offload>,
    /// Whether the kernel cut sends into datagrams.
    pub gso_used: Option<bool>,
    /// Datagrams of one full send call.
    pub datagrams_per_send: Option<u32>,
    /// Mean datagrams that one send call handed over, over the flows' whole life.
    pub mean_datagrams_per_send: Option<f64>,
    /// Receive offload (UDP_GRO) as asked for; null: this end did not receive.
    pub gro_asked: Option<Offload>,
    /// Whether the kernel was told that it may hand over several datagrams in one buffer.
    pub gro_used: Option<bool>,
    /// Mean datagrams that one receive call took, over the flows' whole life.
    pub mean_datagrams_per_receive: Option<f64>,
}
