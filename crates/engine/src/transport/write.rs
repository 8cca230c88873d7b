//! send(2): the kernel copies from one buffer, used for every flow of the worker.

use std::io;

use socket2::Socket;

use super::BulkSend;
use super::buffer::Buffer;
use podperf_model::plan::SendMethod;
use podperf_model::result::end_result::SendUse;
use podperf_sys::socket;

/// Sends by copying.
#[derive(Debug)]
pub struct WriteSend<'a> {
    sockets: Vec<&'a Socket>,
    message: Buffer,
}

impl<'a> WriteSend<'a> {
    /// Sends `message` on `sockets`, again and again.
    #[must_use]
    pub const fn open(sockets: Vec<&'a Socket>, message: Buffer) -> Self {
        Self { sockets, message }
    }
}

impl BulkSend for WriteSend<'_> {
    #[inline]
    fn step(&mut self, flow: usize, limit: usize) -> io::Result<usize> {
        let length = self.message.len().min(limit);
        socket::send(self.sockets[flow], &self.message[..length])
    }

    fn finish(&mut self, bytes: u64) -> SendUse {
        SendUse::all_by(SendMethod::Write, bytes)
    }
}
