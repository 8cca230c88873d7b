//! io_uring over the sockets of one worker, safe to use: a ring owns every byte that the kernel may
//! touch, and frees it only when no operation works on it any more. Reports of zero-copy sends that
//! have completed are about pages to which the kernel has references of its own.
//!
//! Enters: connected sockets, a message to send from, a shape of buffers to receive into, and
//! operations by the socket's number. Leaves: completions. What is received is never looked at.
//!
//! A ring belongs to the thread that made it (IORING_SETUP_SINGLE_ISSUER): completions are made
//! ready there, in one go, when it asks for them (IORING_SETUP_DEFER_TASKRUN, Linux 6.1).

mod completion;
mod provided;

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, RawFd};
use std::time::{Duration, Instant};

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{CancelBuilder, Fixed, SubmitArgs, Timespec};
use io_uring::{Builder, EnterFlags, IoUring, opcode};

use crate::mapping::Mapping;
pub use completion::{Completion, CompletionKind};
use completion::{MAX_SOCKETS, tag};
pub use provided::BufferShape;
use provided::{BUFFER_GROUP, ProvidedBuffers};

/// Most operations handed over by one system call.
const MAX_SUBMISSIONS: u32 = 1024;
/// Most completions that wait to be read before the kernel keeps them apart.
const MAX_COMPLETIONS: u32 = 32_768;
/// IORING_SEND_ZC_REPORT_USAGE (include/uapi/linux/io_uring.h), Linux 6.2.
const REPORT_USAGE_FLAG: u16 = 1 << 3;
/// How long to wait for operations to end once they have been cancelled.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

/// What a ring is to serve.
#[derive(Debug, Clone, Copy)]
pub struct RingSetup<'a> {
    /// Sends take their bytes from its start; it is copied. Empty: nothing is sent.
    pub message: &'a [u8],
    /// The message's pages are pinned once and for all (registered as a fixed buffer).
    pub fixed: bool,
    /// Buffers for receives; absent: nothing is received.
    pub receive: Option<BufferShape>,
}

/// What the kernel refused when a ring was set up.
#[derive(Debug)]
pub struct RingError {
    /// The call.
    pub call: &'static str,
    /// Its error.
    pub error: io::Error,
}

/// For `map_err`: the failure of `call`.
fn refused(call: &'static str) -> impl Fn(io::Error) -> RingError {
    move |error| RingError { call, error }
}

/// How long to wait for a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompletionWait {
    /// Not at all.
    Poll,
    /// At most so long.
    AtMost(Duration),
}

/// How bytes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendMode {
    /// The kernel copies.
    Copy,
    /// As [`Self::Copy`], and the socket's next send waits for the end of this one; not for the
    /// last of a chain, which has to be pushed in one go (see [`Ring::make_room`]).
    Linked,
    /// The kernel takes the pages themselves where it can, and reports afterwards whether it did.
    ZeroCopy,
}

/// What the kernel works on.
#[derive(Debug)]
struct Memory {
    message: Mapping,
    provided: Option<ProvidedBuffers>,
}

/// A ring and what it owns.
pub struct Ring {
    ring: IoUring,
    /// Always there until the ring is dropped.
    memory: Option<Memory>,
    message_bytes: usize,
    fixed: bool,
    bundles: bool,
    /// Operations whose last completion has not come.
    under_way: usize,
    /// Of these, those that may still use `memory` by its addresses: all but zero-copy sends that
    /// have completed, whose pages the kernel holds by itself until it reports.
    working: usize,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Ring").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

/// Sets up a ring with the newest modes that the kernel has.
///
/// # Errors
/// What io_uring_setup(2) returns for the plainest ring where older kernels know no others.
pub fn set_up(submissions: u32, completions: u32) -> io::Result<IoUring> {
    let modes: [fn(&mut Builder); 3] = [
        |builder| _ = builder.setup_single_issuer().setup_defer_taskrun(),
        |builder| _ = builder.setup_coop_taskrun(),
        |_| {},
    ];
    let mut made = Err(io::ErrorKind::InvalidInput.into());
    for mode in modes {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(completions).setup_clamp();
        mode(&mut builder);
        made = builder.build(submissions);
        // EINVAL: a flag that this kernel does not know.
        if !matches!(&made, Err(error) if error.raw_os_error() == Some(libc::EINVAL)) {
            break;
        }
    }
    made
}

impl Ring {
    /// Sets up a ring for `sockets`, which operations then name by their place.
    ///
    /// # Errors
    /// The call that the kernel refused.
    pub fn open<S: AsFd>(sockets: &[S], setup: RingSetup<'_>) -> Result<Self, RingError> {
        if sockets.len() > MAX_SOCKETS {
            return Err(refused("io_uring_register files")(io::ErrorKind::InvalidInput.into()));
        }
        let provided =
            setup.receive.map(ProvidedBuffers::map).transpose().map_err(refused("mmap"))?;
        let message = Mapping::holding(setup.message).map_err(refused("mmap"))?;
        let all = u32::try_from(sockets.len()).unwrap_or(u32::MAX);
        let submissions = all.saturating_mul(2).clamp(64, MAX_SUBMISSIONS).next_power_of_two();
        let ring =
            set_up(submissions, all.saturating_mul(4).clamp(4 * submissions, MAX_COMPLETIONS))
                .map_err(refused("io_uring_setup"))?;
        let files: Vec<RawFd> = sockets.iter().map(|socket| socket.as_fd().as_raw_fd()).collect();
        let submitter = ring.submitter();
        submitter.register_files(&files).map_err(refused("io_uring_register files"))?;
        if setup.fixed {
            let pages =
                [libc::iovec { iov_base: message.start().cast(), iov_len: message.length() }];
            // SAFETY: the whole of a mapping that is unmapped only after this ring is closed.
            unsafe { submitter.register_buffers(&pages) }
                .map_err(refused("io_uring_register buffers"))?;
        }
        if let Some(provided) = &provided {
            provided.register(&submitter).map_err(refused("io_uring_register a buffer ring"))?;
        }
        let memory = Some(Memory { message, provided });
        let message_bytes = setup.message.len();
        let bundles = setup.receive.is_some_and(|shape| shape.bundles)
            && ring.params().is_feature_recvsend_bundle();
        let fixed = setup.fixed;
        Ok(Self { ring, memory, message_bytes, fixed, bundles, under_way: 0, working: 0 })
    }

    /// Operations whose last completion has not come.
    #[must_use]
    pub const fn under_way(&self) -> usize {
        self.under_way
    }

    /// Sends `length` bytes of the message on `socket`, all of them unless it fails; that many at
    /// most as the message has. The completion is a [`CompletionKind::Send`], and with
    /// [`SendMode::ZeroCopy`] a [`CompletionKind::Released`] may follow.
    ///
    /// # Errors
    /// What io_uring_enter(2) returns where room had to be made.
    pub fn send(&mut self, socket: usize, length: usize, how: SendMode) -> io::Result<()> {
        let Some(memory) = &self.memory else { return Ok(()) };
        let length = u32::try_from(length.min(self.message_bytes)).unwrap_or(u32::MAX);
        let (file, start) = (Fixed(number(socket)), memory.message.start());
        let flags = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
        let entry = match how {
            SendMode::Copy | SendMode::Linked => {
                opcode::Send::new(file, start, length).flags(flags).build()
            }
            SendMode::ZeroCopy => opcode::SendZc::new(file, start, length)
                .buf_index(self.fixed.then_some(0))
                .flags(flags)
                .zc_flags(REPORT_USAGE_FLAG)
                .build(),
        };
        let entry = if how == SendMode::Linked { entry.flags(Flags::IO_LINK) } else { entry };
        self.push(&entry.user_data(tag(CompletionKind::Send, socket, length)))
    }

    /// Receives on `socket` into the ring's buffers until the end of the stream, an error, or a
    /// completion that says it is the last ([`Completion::more`]).
    ///
    /// # Errors
    /// What io_uring_enter(2) returns where room had to be made.
    pub fn receive(&mut self, socket: usize) -> io::Result<()> {
        let file = Fixed(number(socket));
        let entry = if self.bundles {
            opcode::RecvMultiBundle::new(file, BUFFER_GROUP).build()
        } else {
            opcode::RecvMulti::new(file, BUFFER_GROUP).build()
        };
        self.push(&entry.user_data(tag(CompletionKind::Receive, socket, 0)))
    }

    /// Cancels whatever is under way; each operation still completes.
    ///
    /// # Errors
    /// What io_uring_enter(2) returns where room had to be made.
    pub fn cancel_all(&mut self) -> io::Result<()> {
        let entry = opcode::AsyncCancel2::new(CancelBuilder::any()).build();
        self.push(&entry.user_data(tag(CompletionKind::Cancel, 0, 0)))
    }

    /// Makes room for `count` operations, so that they are handed over together.
    ///
    /// # Errors
    /// What io_uring_enter(2) returns.
    pub fn make_room(&mut self, count: usize) -> io::Result<()> {
        let queue = self.ring.submission();
        let room = queue.capacity() - queue.len();
        drop(queue);
        if room < count { self.ring.submit().map(drop) } else { Ok(()) }
    }

    fn push(&mut self, entry: &Entry) -> io::Result<()> {
        self.make_room(1)?;
        // SAFETY: the entries made here point into `self.memory` alone, which is freed only when
        // `working` is 0, and sockets are named by their place in the ring's own table.
        let pushed = unsafe { self.ring.submission().push(entry) };
        pushed.map_err(io::Error::other)?;
        self.under_way += 1;
        self.working += 1;
        Ok(())
    }

    /// Hands over what was pushed, and waits for a completion.
    ///
    /// # Errors What io_uring_enter(2) returns; neither a time that runs out nor an interruption is
    /// an error.
    pub fn enter(&mut self, wait: CompletionWait) -> io::Result<()> {
        let result = match wait {
            CompletionWait::Poll => {
                let pushed = u32::try_from(self.ring.submission().len()).unwrap_or(0);
                let flags = EnterFlags::GETEVENTS.bits();
                let none = None::<&libc::sigset_t>;
                // SAFETY: what was pushed is all that is handed over (see `push`), and no memory
                // goes with it.
                unsafe { self.ring.submitter().enter(pushed, 0, flags, none) }
            }
            CompletionWait::AtMost(longest) => {
                let longest = Timespec::from(longest);
                let args = SubmitArgs::new().timespec(&longest);
                self.ring.submitter().submit_with_args(1, &args)
            }
        };
        match result {
            Err(error) if !matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR)) => {
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Appends the completions that are there to `batch`, and gives their buffers back.
    pub fn reap(&mut self, batch: &mut Vec<Completion>) {
        let Some(memory) = &mut self.memory else { return };
        let mut received = false;
        for entry in self.ring.completion() {
            let completion = Completion::read(&entry);
            self.under_way -= usize::from(!completion.more);
            self.working -= usize::from(match completion.kind {
                CompletionKind::Send => true,
                CompletionKind::Released { .. } => false,
                CompletionKind::Receive | CompletionKind::Cancel => !completion.more,
            });
            if let Some(provided) = memory.provided.as_mut().filter(|_| completion.buffer) {
                provided.give_back(completion.moved());
                received = true;
            }
            if completion.kind != CompletionKind::Cancel {
                batch.push(completion);
            }
        }
        if let Some(provided) = memory.provided.as_ref().filter(|_| received) {
            provided.publish();
        }
    }

    /// Cancels what is under way and waits until nothing works on the memory, for a second at most.
    fn cancel_and_wait(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + CANCEL_TIMEOUT;
        let mut batch = Vec::new();
        if self.working > 0 {
            self.cancel_all()?;
        }
        while self.working > 0 && Instant::now() < deadline {
            self.enter(CompletionWait::AtMost(deadline.saturating_duration_since(Instant::now())))?;
            batch.clear();
            self.reap(&mut batch);
        }
        Ok(())
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if (self.cancel_and_wait().is_err() || self.working > 0)
            && let Some(Memory { message, provided }) = self.memory.take()
        {
            // A ring that broke: the kernel may work on it until it has taken the ring down.
            message.retire();
            if let Some(provided) = provided {
                provided.retire();
            }
        }
    }
}

fn number(socket: usize) -> u32 {
    u32::try_from(socket).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpListener, TcpStream};

    use super::*;

    const SOON: CompletionWait = CompletionWait::AtMost(Duration::from_secs(10));

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    /// A ring over `near`; absent, with a message, where there is no io_uring.
    fn ring(near: &TcpStream, message: &[u8], receive: Option<BufferShape>) -> Option<Ring> {
        match Ring::open(&[near], RingSetup { message, fixed: true, receive }) {
            Ok(ring) => Some(ring),
            Err(refused) => {
                eprintln!("skipped: {}: {}", refused.call, refused.error);
                None
            }
        }
    }

    #[test]
    fn a_chain_of_sends_arrives_in_order() {
        let (near, mut far) = pair();
        let Some(mut ring) = ring(&near, b"abcdef", None) else { return };
        ring.make_room(3).unwrap();
        ring.send(0, 1, SendMode::Linked).unwrap();
        ring.send(0, 2, SendMode::Linked).unwrap();
        // No more than the message has.
        ring.send(0, 100, SendMode::Copy).unwrap();
        let mut batch = Vec::new();
        while ring.under_way() > 0 {
            ring.enter(SOON).unwrap();
            ring.reap(&mut batch);
        }
        let moved: Vec<_> = batch.iter().map(|done| (done.asked, done.bytes().unwrap())).collect();
        assert_eq!(moved, [(1, 1), (2, 2), (6, 6)]);
        let mut got = [0; 9];
        far.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"aababcdef");
    }

    #[test]
    fn more_than_all_buffers_hold_is_received_to_the_end() {
        let (near, mut far) = pair();
        let shape = BufferShape { count: 3, bytes: 16, bundles: true };
        let Some(mut ring) = ring(&near, b"", Some(shape)) else { return };
        ring.receive(0).unwrap();
        far.write_all(&[7; 10_000]).unwrap();
        far.shutdown(Shutdown::Write).unwrap();
        let (mut total, mut ended) = (0, false);
        let mut batch = Vec::new();
        while !ended {
            ring.enter(SOON).unwrap();
            batch.clear();
            ring.reap(&mut batch);
            for done in &batch {
                match done.bytes() {
                    Ok(bytes) => (total, ended) = (total + bytes, bytes == 0),
                    Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENOBUFS)),
                }
                if !done.more && !ended {
                    ring.receive(0).unwrap();
                }
            }
        }
        assert_eq!((total, ring.under_way()), (10_000, 0));
    }

    #[test]
    fn zero_copy_reports_when_the_pages_are_free() {
        let (near, mut far) = pair();
        let Some(mut ring) = ring(&near, &[1; 8192], None) else { return };
        ring.send(0, 8192, SendMode::ZeroCopy).unwrap();
        ring.enter(SOON).unwrap();
        far.read_exact(&mut [0; 8192]).unwrap();
        let mut batch = Vec::new();
        while ring.under_way() > 0 {
            ring.enter(SOON).unwrap();
            ring.reap(&mut batch);
        }
        let kinds: Vec<_> = batch.iter().map(|done| done.kind).collect();
        // To this machine the kernel copies when it delivers.
        assert_eq!(kinds, [CompletionKind::Send, CompletionKind::Released { copied: true }]);
        assert_eq!(batch[0].bytes().unwrap(), 8192);
    }

    #[test]
    fn what_is_under_way_is_cancelled_before_memory_goes() {
        let (near, _far) = pair();
        let large = vec![0; 64 << 20];
        let shape = BufferShape { count: 4, bytes: 4096, bundles: false };
        let setup = RingSetup { message: &large, fixed: false, receive: Some(shape) };
        let Ok(mut ring) = Ring::open(&[&near], setup) else { return };
        ring.receive(0).unwrap();
        ring.send(0, large.len(), SendMode::Copy).unwrap();
        ring.enter(CompletionWait::Poll).unwrap();
        assert_eq!(ring.under_way(), 2, "the peer reads nothing");
        ring.cancel_and_wait().unwrap();
        assert_eq!(ring.under_way(), 0);
    }
}
