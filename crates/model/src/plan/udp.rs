//! What a UDP run does: a stream of datagrams, or requests and responses of one datagram each.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::choice::choice;

use super::Direction;
use crate::units::{BitRate, Bytes, seconds};

/// Bytes of each datagram of a stream that carry its sequence number and stamp.
pub const HEADER_BYTES: usize = 16;
/// Largest payload of a UDP datagram over IPv4: 65,535 less 20 and 8 bytes of headers (RFC 768,
/// RFC 791).
pub const MAX_DATAGRAM_BYTES: u64 = 65_507;
/// Most datagrams of one segmentation offload: UDP_MAX_SEGMENTS (include/linux/udp.h), which was 64
/// before it was raised to 128.
pub const MAX_SEGMENTS_PER_SEND: u64 = 64;

/// Segment size of TCP over Ethernet, with timestamps.
pub const DEFAULT_DATAGRAM_BYTES: usize = 1448;

/// A stream of datagrams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UdpPlan {
    /// Which way the datagrams go.
    pub direction: Direction,
    /// Payload of a datagram. Absent until the path is known: then the segment size of the control
    /// connection, which its path carries unfragmented.
    pub datagram_bytes: Option<Bytes>,
    /// Payload bits per second that each flow sends. Absent: as fast as it can.
    pub bits_per_second: Option<BitRate>,
    /// Whether the kernel cuts one send into many datagrams (UDP_SEGMENT, Linux 4.18).
    pub gso: Offload,
    /// Whether the kernel hands over many datagrams at once (UDP_GRO, Linux 5.0).
    pub gro: Offload,
    /// Datagrams larger than the path's MTU are fragmented. Otherwise they carry the
    /// don't-fragment bit, and those that are too large are an error.
    pub fragment: bool,
}

/// Requests and responses of one datagram each, one in flight on a flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UdpRrPlan {
    /// Payload of a request.
    pub request_bytes: Bytes,
    /// Payload of a response.
    pub response_bytes: Bytes,
    /// A response that has not come after this time counts as lost, and the next request goes on.
    #[serde(rename = "timeout_seconds", with = "seconds")]
    #[cfg_attr(feature = "schema", schemars(with = "f64"))]
    pub timeout: Duration,
    /// As for streams of datagrams.
    pub fragment: bool,
}

choice! {
/// Whether an offload is used.
#[derive(Default)]
pub enum Offload {
    /// Where the kernel has it and it serves the rate.
    Auto = "auto" [default],
    /// Always; an error where the kernel refuses it.
    On = "on",
    /// Never.
    Off = "off",
}
}

impl UdpPlan {
    /// Payload of a datagram; while the path is not known, what Ethernet carries.
    #[must_use]
    pub fn size(&self) -> usize {
        self.datagram_bytes.map_or(DEFAULT_DATAGRAM_BYTES, Bytes::as_usize)
    }

    /// The same with datagrams that fit a segment of `mss_bytes`, unless a size was asked for.
    #[must_use]
    pub fn settled(mut self, mss_bytes: u64) -> Self {
        let fitting = Bytes(mss_bytes.clamp(HEADER_BYTES as u64, MAX_DATAGRAM_BYTES));
        self.datagram_bytes = self.datagram_bytes.or(Some(fitting));
        self
    }
}
