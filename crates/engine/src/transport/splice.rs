//! tee(2) and splice(2): a pipe holds the message, and each step puts references to its pages into
//! a second pipe and from there into a socket. Nothing is copied.
//!
//! The pages are the kernel's own: they were filled once and are mapped nowhere, so that nobody
//! can change them while they are in flight, and no completion would report it. vmsplice(2) would
//! lend pages that the program can still write.

use std::io::{self, ErrorKind, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice, tee};
use nix::unistd::pipe2;
use socket2::Socket;

use super::BulkSend;
use super::buffer::Buffer;
use podperf_model::error::{Context, During, Result};
use podperf_model::plan::SendMethod;
use podperf_model::result::end_result::SendUse;

/// A pipe's capacity unless it is asked for more (pipe(7)).
const DEFAULT_PIPE_BYTES: usize = 64 << 10;
/// The most that an unprivileged process may ask for (/proc/sys/fs/pipe-max-size, proc(5)), by
/// default.
const MAX_PIPE_BYTES: usize = 1 << 20;
/// Bytes of one send on a Unix socket, which the kernel lays into runs of neighbouring pages:
/// UNIX_SKB_FRAGS_SZ (net/unix/af_unix.c).
const RUN_BYTES: usize = 32 << 10;

/// How a message lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipeLayout {
    /// In runs of several pages: fewer pieces for the stack to handle.
    Runs,
    /// In single pages: the only ones that a receiver on the same machine can map
    /// (can_map_frag, net/ipv4/tcp.c).
    Pages,
}

/// Sends the pages of a pipe, used for every flow of the worker.
#[derive(Debug)]
pub struct SpliceSend<'a> {
    sockets: Vec<&'a Socket>,
    /// Holds the message for good; nothing is ever taken out of it.
    message: OwnedFd,
    length: usize,
    pipe_in: OwnedFd,
    pipe_out: OwnedFd,
    /// Bytes on the way, left by a step that the socket did not take whole. They are like any
    /// others, so that the next step sends them, whichever its flow.
    held: usize,
}

impl<'a> SpliceSend<'a> {
    /// Sends messages of `message_bytes`, or as much of them as fits a pipe, on `sockets`.
    ///
    /// # Errors
    /// Where the kernel gives no pipes, or does not fill them.
    pub fn open(
        sockets: Vec<&'a Socket>,
        message_bytes: usize,
        layout: PipeLayout,
    ) -> Result<Self> {
        let bytes = Buffer::patterned(message_bytes)?;
        let open = || -> io::Result<Self> {
            let (message, filler) = pipe(message_bytes)?;
            let (pipe_out, pipe_in) = pipe(message_bytes)?;
            let length = match layout {
                PipeLayout::Runs => fill_runs(&filler, &bytes)?,
                PipeLayout::Pages => fill_pages(filler, &bytes)?,
            };
            Ok(Self { sockets, message, length, pipe_in, pipe_out, held: 0 })
        };
        open()
            .during("fill a pipe (pipe2, splice) to send from")
            .with_remedy("use --send write, or allow more open files and pipe memory")
    }

    /// Fills the second pipe up to `length` bytes.
    fn load(&mut self, length: usize) -> io::Result<()> {
        let more = length - self.held;
        match tee(&self.message, &self.pipe_in, more, SpliceFFlags::SPLICE_F_NONBLOCK) {
            Ok(bytes) => self.held += bytes,
            // Full of small pieces: they go first.
            Err(Errno::EAGAIN) if self.held > 0 => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }
}

/// A pipe (end to read from, end to write to) with room for about `bytes`.
fn pipe(bytes: usize) -> io::Result<(OwnedFd, OwnedFd)> {
    let pipe = pipe2(OFlag::O_CLOEXEC)?;
    // The kernel counts pieces, of which each may be as small as a page or smaller at its ends.
    let room = bytes.saturating_add(DEFAULT_PIPE_BYTES).min(MAX_PIPE_BYTES);
    if bytes >= DEFAULT_PIPE_BYTES
        && let Ok(room) = i32::try_from(room)
    {
        // Refused to an ordinary user who has many pipes: the steps are smaller then.
        let _ = fcntl(&pipe.0, FcntlArg::F_SETPIPE_SZ(room));
    }
    Ok(pipe)
}

/// Fills a pipe by way of a Unix socket; how many bytes fitted.
fn fill_runs(filler: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    let (mut near, far) = UnixStream::pair()?;
    let mut filled = 0;
    for run in bytes.chunks(RUN_BYTES) {
        near.write_all(run)?;
        let mut left = run.len();
        while left > 0 {
            let flags = SpliceFFlags::SPLICE_F_NONBLOCK;
            match splice(&far, None, filler, None, left, flags) {
                Ok(moved @ 1..) => (filled, left) = (filled + moved, left - moved),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if filled > 0 => return Ok(filled),
                Ok(_) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    Ok(filled)
}

/// Fills a pipe by write(2), which takes a page at a time; how many bytes fitted.
fn fill_pages(filler: OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    fcntl(&filler, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    // A non-blocking pipe takes what fits (pipe(7)).
    std::fs::File::from(filler).write(bytes)
}

impl BulkSend for SpliceSend<'_> {
    #[inline]
    fn step(&mut self, flow: usize, limit: usize) -> io::Result<usize> {
        let length = self.length.min(limit);
        if self.held < length {
            self.load(length)?;
        }
        let length = length.min(self.held);
        let none = SpliceFFlags::empty();
        let sent = splice(&self.pipe_out, None, self.sockets[flow], None, length, none)?;
        self.held -= sent;
        Ok(sent)
    }

    fn finish(&mut self, bytes: u64) -> SendUse {
        SendUse::all_by(SendMethod::Splice, bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (sender.into(), listener.accept().unwrap().0)
    }

    #[test]
    fn limits_are_kept_to_the_byte_and_the_message_starts_anew() {
        for layout in [PipeLayout::Runs, PipeLayout::Pages] {
            let (sender, mut receiver) = pair();
            let message = Buffer::patterned(100_000).unwrap();
            let mut splice = SpliceSend::open(vec![&sender], message.len(), layout).unwrap();
            let (mut sent, mut got) = (0, vec![0; 150_001]);
            std::thread::scope(|scope| {
                scope.spawn(|| receiver.read_exact(&mut got).unwrap());
                while sent < 100_000 {
                    sent += splice.step(0, 100_000 - sent).unwrap();
                }
                while sent < 150_001 {
                    sent += splice.step(0, 150_001 - sent).unwrap();
                }
            });
            assert_eq!(got[..100_000], *message, "{layout:?}");
            assert_eq!(got[100_000..], message[..50_001], "{layout:?}");
        }
    }

    #[test]
    fn a_message_larger_than_a_pipe_goes_in_parts() {
        for layout in [PipeLayout::Runs, PipeLayout::Pages] {
            let (sender, _receiver) = pair();
            let splice = SpliceSend::open(vec![&sender], 64 << 20, layout).unwrap();
            assert!(splice.length >= DEFAULT_PIPE_BYTES / 4, "{layout:?}: {}", splice.length);
            assert!(splice.length < 64 << 20, "{layout:?}: {}", splice.length);
        }
    }
}
