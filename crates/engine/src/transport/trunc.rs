//! recv(2) with MSG_TRUNC: the kernel takes the bytes off the stream and copies nothing. It shows
//! what the stack can carry, not what an application gets.

use std::io;

use socket2::Socket;

use super::BulkReceive;
use podperf_model::plan::ReceiveMethod;
use podperf_model::result::end_result::ReceiveUse;
use podperf_sys::socket::discard;

/// Receives by discarding.
#[derive(Debug)]
pub struct TruncReceive<'a> {
    sockets: Vec<&'a Socket>,
    message_bytes: usize,
}

impl<'a> TruncReceive<'a> {
    /// Discards at most `message_bytes` a call from `sockets`.
    #[must_use]
    pub const fn open(sockets: Vec<&'a Socket>, message_bytes: usize) -> Self {
        Self { sockets, message_bytes }
    }
}

impl BulkReceive for TruncReceive<'_> {
    #[inline]
    fn step(&mut self, flow: usize) -> io::Result<usize> {
        discard(self.sockets[flow], self.message_bytes)
    }

    fn finish(&mut self, bytes: u64) -> ReceiveUse {
        ReceiveUse::all_by(ReceiveMethod::Trunc, bytes)
    }
}
