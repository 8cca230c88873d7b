//! TCP_ZEROCOPY_RECEIVE: the kernel maps received pages into the program instead of copying them;
//! what fills no page is read. Nothing touches what is mapped, so that it shows what the stack can
//! carry, not what an application gets.

use std::io;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{MsgFlags, recv};
use socket2::Socket;

use super::BulkReceive;
use super::buffer::Buffer;
use podperf_model::error::{Context, During, Result};
use podperf_model::plan::ReceiveMethod;
use podperf_model::result::end_result::{MovedBy, ReceiveUse};
use podperf_sys::mapping::{MappedReceive, TcpArea};
use podperf_sys::socket;

/// Most that is copied behind mapped pages in the same call. Up to so much waiting is copied
/// altogether, so that it must not be more than a page.
const MAX_COPIED_BYTES: usize = 4096;

/// Receives by mapping.
#[derive(Debug)]
pub struct MmapReceive<'a> {
    sockets: Vec<&'a Socket>,
    /// Bytes of each flow that come next and cannot be mapped.
    unmappable: Vec<usize>,
    /// One for all flows: each call replaces what the one before mapped.
    area: TcpArea,
    buffer: Buffer,
    rest: Buffer,
    mapped: u64,
}

impl<'a> MmapReceive<'a> {
    /// Maps or reads at most `message_bytes` (at least a page) a call from `sockets`.
    ///
    /// # Errors
    /// Where the sockets cannot be mapped or the kernel refuses the option.
    pub fn open(sockets: Vec<&'a Socket>, message_bytes: usize) -> Result<Self> {
        const REMEDY: &str = "use --recv read or trunc; mapping needs plain TCP and Linux 4.18 \
                              without a sandbox";
        let first = sockets.first().copied().ok_or(io::ErrorKind::NotConnected);
        let mut area = first
            .map_err(io::Error::from)
            .and_then(|first| TcpArea::new(first, message_bytes))
            .during("map pages of a stream (mmap)")
            .with_remedy(REMEDY)?;
        let mut rest = Buffer::touched(MAX_COPIED_BYTES)?;
        for socket in &sockets {
            // Nothing has come yet: it only tells whether the kernel would.
            area.receive(socket, &mut rest)
                .during("receive by TCP_ZEROCOPY_RECEIVE (getsockopt)")
                .with_remedy(REMEDY)?;
        }
        Ok(Self {
            unmappable: vec![0; sockets.len()],
            sockets,
            area,
            buffer: Buffer::touched(message_bytes)?,
            rest,
            mapped: 0,
        })
    }

    /// Reads the bytes that cannot be mapped.
    fn read(&mut self, flow: usize) -> io::Result<usize> {
        let length = self.unmappable[flow].min(self.buffer.len());
        let read = socket::receive(self.sockets[flow], &mut self.buffer[..length])?;
        self.unmappable[flow] -= read;
        Ok(read)
    }
}

impl BulkReceive for MmapReceive<'_> {
    fn step(&mut self, flow: usize) -> io::Result<usize> {
        let socket = self.sockets[flow];
        loop {
            if self.unmappable[flow] > 0 {
                return self.read(flow);
            }
            let MappedReceive { mapped, copied, unmappable } =
                self.area.receive(socket, &mut self.rest)?;
            self.unmappable[flow] = unmappable;
            self.mapped += mapped as u64;
            if mapped + copied > 0 {
                return Ok(mapped + copied);
            }
            // The option never waits and does not tell the end of a stream.
            if unmappable == 0 && recv(socket.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK)? == 0 {
                return Ok(0);
            }
        }
    }

    fn finish(&mut self, bytes: u64) -> ReceiveUse {
        let by = |method, bytes| MovedBy { method, bytes };
        let read = bytes.saturating_sub(self.mapped);
        ReceiveUse {
            bytes: vec![by(ReceiveMethod::Mmap, self.mapped), by(ReceiveMethod::Read, read)],
            reason: None,
        }
    }
}
