//! recv(2): the kernel copies into one buffer, used for every flow of the worker. This is what an
//! application pays, so the buffer is where the allocator puts it, as an application's is: at the
//! start of a page it gave 1 to 2 % less goodput (docs/PERFORMANCE.md).

use std::io;

use socket2::Socket;

use super::BulkReceive;
use podperf_model::plan::ReceiveMethod;
use podperf_model::result::end_result::ReceiveUse;
use podperf_sys::socket;

/// Receives by copying.
#[derive(Debug)]
pub struct ReadReceive<'a> {
    sockets: Vec<&'a Socket>,
    buffer: Vec<u8>,
}

impl<'a> ReadReceive<'a> {
    /// Receives at most `message_bytes` a call from `sockets`.
    #[must_use]
    pub fn open(sockets: Vec<&'a Socket>, message_bytes: usize) -> Self {
        // Not zero: zeroed memory may be left to the kernel to provide on first use.
        Self { sockets, buffer: vec![0xa5; message_bytes] }
    }
}

impl BulkReceive for ReadReceive<'_> {
    #[inline]
    fn step(&mut self, flow: usize) -> io::Result<usize> {
        socket::receive(self.sockets[flow], &mut self.buffer)
    }

    fn finish(&mut self, bytes: u64) -> ReceiveUse {
        ReceiveUse::all_by(ReceiveMethod::Read, bytes)
    }
}
