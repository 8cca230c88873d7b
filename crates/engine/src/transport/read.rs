//! recv(2): the kernel copies into one buffer, used for every flow of the worker. This is what an
//! application pays, so the buffer is where the allocator puts it, as an application's is: at the
//! start of a page it gave 1 to 2 % less goodput (docs/PERFORMANCE.md).

use std::io;

use socket2::Socket;

use super::BulkReceive;
use super::buffer::bytes;
use podperf_model::error::Result;
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
    ///
    /// # Errors
    /// When there is no memory for them to be had.
    pub fn open(sockets: Vec<&'a Socket>, message_bytes: usize) -> Result<Self> {
        Ok(Self { sockets, buffer: bytes(message_bytes)? })
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
