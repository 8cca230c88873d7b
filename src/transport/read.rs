//! recv(2): the kernel copies into one buffer, used for every flow of the worker. This is what an
//! application pays.

use std::io::{self, Read as _};
use std::net::TcpStream;

use super::BulkReceive;
use super::buffer::Buffer;

/// Receives by copying.
#[derive(Debug)]
pub struct Read<'a> {
    sockets: &'a [TcpStream],
    buffer: Buffer,
}

impl<'a> Read<'a> {
    /// Receives at most `message_bytes` a call from `sockets`.
    #[must_use]
    pub fn open(sockets: &'a [TcpStream], message_bytes: usize) -> Self {
        Self { sockets, buffer: Buffer::touched(message_bytes) }
    }
}

impl BulkReceive for Read<'_> {
    #[inline]
    fn step(&mut self, flow: usize) -> io::Result<usize> {
        (&self.sockets[flow]).read(&mut self.buffer)
    }
}
