//! What a client asks for: the request of an omni test.

use podperf_model::AddressFamily;
use std::net::IpAddr;

use super::{WireMessage, kind};
use crate::test_kind::Protocol;

/// The server's data socket has TCP_NODELAY.
pub const NO_DELAY: u32 = 0x1;
/// A connection a transaction.
pub const CONNECTIONS: u32 = 0x4;
/// CPU is to be measured, or will be.
pub const MEASURE_CPU: u32 = 0x8;
/// Routing is allowed, and congestion control to be told.
pub const ROUTING: u32 = 0x20;
/// SO_KEEPALIVE on the data socket.
pub const KEEPALIVE: u32 = 0x8000_0000;

/// The server receives, in `direction`.
pub const SERVER_RECEIVES: u32 = 4;
/// The server sends.
pub const SERVER_SENDS: u32 = 2;

/// DO_OMNI. Sizes that are absent are the server's own choice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OmniRequest {
    /// CPU that the server is to run on; absent: any.
    pub cpu: Option<u32>,
    /// SO_SNDBUF in bytes.
    pub send_buffer: Option<u32>,
    /// Bytes of each send.
    pub send_size: Option<u32>,
    /// Alignment, offset and width of the send ring.
    pub send_ring: [u32; 3],
    /// Bytes of a request; absent: there are none.
    pub request_size: Option<u32>,
    /// SO_RCVBUF in bytes.
    pub receive_buffer: Option<u32>,
    /// Bytes of each receive.
    pub receive_size: Option<u32>,
    /// Alignment, offset and width of the receive ring.
    pub receive_ring: [u32; 3],
    /// Bytes of a response; absent: there are none.
    pub response_size: Option<u32>,
    /// [`NO_DELAY`] and the like.
    pub flags: u32,
    /// Seconds; below 0: minus bytes or transactions; 0: until the client ends it.
    pub test_length: i32,
    /// The port that is wanted; 0: any.
    pub data_port: u16,
    /// Address family of the data; absent: not said.
    pub family: Option<AddressFamily>,
    /// Transport protocol, if known; absent: another one.
    pub protocol: Option<Protocol>,
    /// [`SERVER_RECEIVES`] and [`SERVER_SENDS`], both or none.
    pub direction: u32,
    /// The client's data port.
    pub client_port: u16,
    /// Pacing of the server: operations, and microseconds from burst to burst.
    pub pace: [u32; 2],
    /// The client's data address.
    pub client_address: Option<IpAddr>,
    /// The server's data address, where the user named one.
    pub server_address: Option<IpAddr>,
    /// SO_PRIORITY; absent: left alone.
    pub priority: Option<u32>,
    /// IP_TOS; absent: left alone.
    pub tos: Option<u32>,
    /// Congestion control; empty: the default.
    pub congestion_control: String,
    /// Name of a file for the server to fill buffers from.
    pub fill_file: String,
}

impl OmniRequest {
    /// For the wire.
    #[must_use]
    pub fn write(&self) -> WireMessage {
        let mut message = WireMessage::of(kind::OMNI);
        self.put_fields(&mut message);
        message.put(76, [-1; 3]);
        message.put(96, if self.protocol == Some(Protocol::Udp) { 2 } else { 1 });
        put_address(&mut message, 120, self.client_address);
        put_address(&mut message, 136, self.server_address);
        message.put_text(160, 16, &self.congestion_control);
        message.put_text(176, 32, &self.fill_file);
        message
    }

    /// From the wire. What is out of range stands as it came: whoever acts on it has bounds.
    #[must_use]
    pub fn read(message: &WireMessage) -> Self {
        let request = Self::default().with_fields(message);
        Self {
            client_address: address(message, 120, request.family),
            server_address: address(message, 136, request.family),
            congestion_control: message.text(160, 16),
            fill_file: message.text(176, 32),
            ..request
        }
    }
}

fields!(OmniRequest {
    cpu: 4,
    send_buffer: 8,
    send_size: 12,
    send_ring: 16,
    request_size: 28,
    receive_buffer: 32,
    receive_size: 36,
    receive_ring: 40,
    response_size: 52,
    flags: 56,
    test_length: 64,
    data_port: 88,
    family: 92,
    protocol: 100,
    direction: 104,
    client_port: 108,
    pace: 112,
    priority: 152,
    tos: 156,
});

/// IPv4 takes the first four bytes as they are. IPv6 is copied into words that are then swapped
/// with the rest of the message, so that on the wire each group of four bytes is reversed.
fn put_address(message: &mut WireMessage, at: usize, address: Option<IpAddr>) {
    match address {
        None => {}
        Some(IpAddr::V4(v4)) => message.put(at, v4.octets()),
        Some(IpAddr::V6(v6)) => message.put(at, reversed(v6.octets())),
    }
}

fn reversed(mut octets: [u8; 16]) -> [u8; 16] {
    octets.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    octets
}

/// Absent where it is unspecified.
fn address(message: &WireMessage, at: usize, family: Option<AddressFamily>) -> Option<IpAddr> {
    let address = match family? {
        AddressFamily::V4 => IpAddr::from(message.get::<[u8; 4]>(at)),
        AddressFamily::V6 => IpAddr::from(reversed(message.get(at))),
    };
    (!address.is_unspecified()).then_some(address)
}
