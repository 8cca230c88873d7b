//! What a data socket got: that part of the result.

use serde::{Deserialize, Serialize};

/// What was asked of a data socket and what the kernel granted (read back).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SocketFacts {
    /// Own address and port.
    pub local: String,
    /// The peer's address and port, as seen from this end.
    pub peer: String,
    /// Congestion control in force.
    pub congestion_control: Option<String>,
    /// SO_SNDBUF as granted, in bytes (the kernel doubles what is asked, for its own bookkeeping).
    pub send_buffer_bytes: Option<u64>,
    /// SO_RCVBUF as granted, in bytes (doubled likewise).
    pub receive_buffer_bytes: Option<u64>,
    /// TCP_MAXSEG as granted, in bytes.
    pub mss_bytes: Option<u32>,
    /// SO_MAX_PACING_RATE as granted, in bits per second; null: none.
    pub pacing_bits_per_second: Option<u64>,
    /// DSCP in force.
    pub dscp: Option<u8>,
    /// TCP_NODELAY in force.
    pub no_delay: Option<bool>,
    /// TCP_CORK in force.
    pub cork: Option<bool>,
    /// TCP_QUICKACK in force when it was read; the kernel turns it on and off by itself (tcp(7)).
    pub quick_ack: Option<bool>,
    /// Multipath TCP is in use; false: plain TCP, whether asked for or fallen back to.
    pub mptcp: Option<bool>,
    /// SO_BUSY_POLL in force, in microseconds; 0: receive calls do not poll the device.
    pub busy_poll_us: Option<u32>,
    /// SO_PREFER_BUSY_POLL in force; null: not polled.
    pub prefer_busy_poll: Option<bool>,
    /// SO_INCOMING_NAPI_ID: the receive queue that polling would look at; 0: none, so that polling
    /// has no effect; null: not polled.
    pub napi_id: Option<u32>,
    /// MTU of the path as this end's kernel knew it when the flow was set up, in bytes (IP_MTU).
    #[serde(default)]
    pub path_mtu_bytes: Option<u32>,
}
