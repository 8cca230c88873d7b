//! sendfile(2) out of a memfd: the kernel sends the file's pages and copies nothing.
//!
//! Nothing reports when the pages have left, so the file is sealed against every change first.

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::sendfile::sendfile64;
use socket2::Socket;

use super::BulkSend;
use super::buffer::Buffer;
use podperf_model::error::{Context, During, Result};
use podperf_model::plan::SendMethod;
use podperf_model::result::end_result::SendUse;

/// Sends from a file in memory, used for every flow of the worker.
#[derive(Debug)]
pub struct SendfileSend<'a> {
    sockets: Vec<&'a Socket>,
    message: OwnedFd,
    length: usize,
}

impl<'a> SendfileSend<'a> {
    /// Sends `message` on `sockets`, again and again.
    ///
    /// # Errors
    /// Where the kernel gives no sealed file in memory.
    pub fn open(sockets: Vec<&'a Socket>, message: &Buffer) -> Result<Self> {
        let length = message.len();
        let message = sealed(message)
            .during("make a sealed file in memory (memfd_create) to send from")
            .with_remedy("use --send write, or allow so much memory")?;
        Ok(Self { sockets, message, length })
    }
}

/// A file in memory with these bytes, which nobody can change any more.
pub(super) fn sealed(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = std::fs::File::from(memfd_create("podperf", flags)?);
    file.write_all(bytes)?;
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals | SealFlag::F_SEAL_SEAL))?;
    Ok(file.into())
}

impl BulkSend for SendfileSend<'_> {
    #[inline]
    fn step(&mut self, flow: usize, limit: usize) -> io::Result<usize> {
        let mut start = 0;
        let length = self.length.min(limit);
        Ok(sendfile64(self.sockets[flow], &self.message, Some(&mut start), length)?)
    }

    fn finish(&mut self, bytes: u64) -> SendUse {
        SendUse::all_by(SendMethod::Sendfile, bytes)
    }
}
