//! What comes back of an operation, and the tag by which it is known again.
//!
//! A tag is the operation's user data: its kind, its socket and the bytes it was asked to send.

use std::io;

use io_uring::cqueue::{self, Entry};

/// Bits of a tag that hold the socket's number.
const SOCKET_BITS: u32 = 28;
/// Most sockets of a ring.
pub(super) const MAX_SOCKETS: usize = 1 << SOCKET_BITS;
/// IORING_NOTIF_USAGE_ZC_COPIED (include/uapi/linux/io_uring.h).
const ZEROCOPY_COPIED_FLAG: u32 = 1 << 31;

/// What a completion is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompletionKind {
    /// A send.
    Send,
    /// The kernel no longer needs the pages of a zero-copy send.
    Released {
        /// It had copied them all the same.
        copied: bool,
    },
    /// A receive.
    Receive,
    /// A cancellation; the ring keeps those to itself.
    Cancel,
}

/// The tag of an operation: what its completion will be about.
pub(super) const fn tag(kind: CompletionKind, socket: usize, asked: u32) -> u64 {
    let kind = match kind {
        CompletionKind::Send | CompletionKind::Released { .. } => 0,
        CompletionKind::Receive => 1,
        CompletionKind::Cancel => 2,
    };
    ((asked as u64) << 32) | (kind << SOCKET_BITS) | socket as u64
}

/// An operation's completion, or one of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// What it is about.
    pub kind: CompletionKind,
    /// The socket's number.
    pub socket: usize,
    /// Bytes that a send was asked to move.
    pub asked: usize,
    /// The operation goes on: more completions follow.
    pub more: bool,
    /// A provided buffer was used.
    pub(super) buffer: bool,
    result: i32,
}

impl Completion {
    pub(super) fn read(entry: &Entry) -> Self {
        let (tag, flags) = (entry.user_data(), entry.flags());
        let kind = match (tag >> SOCKET_BITS) & 0b1111 {
            0 if cqueue::notif(flags) => CompletionKind::Released {
                copied: entry.result().cast_unsigned() & ZEROCOPY_COPIED_FLAG != 0,
            },
            0 => CompletionKind::Send,
            1 => CompletionKind::Receive,
            _ => CompletionKind::Cancel,
        };
        Self {
            kind,
            socket: usize::try_from(tag).unwrap_or(usize::MAX) & (MAX_SOCKETS - 1),
            asked: usize::try_from(tag >> 32).unwrap_or(usize::MAX),
            more: cqueue::more(flags),
            buffer: cqueue::buffer_select(flags).is_some(),
            result: entry.result(),
        }
    }

    /// Bytes moved; 0 of a receive is the end of the stream.
    ///
    /// # Errors
    /// What the operation returned.
    pub fn bytes(&self) -> io::Result<usize> {
        usize::try_from(self.result).map_err(|_| io::Error::from_raw_os_error(-self.result))
    }

    /// Bytes moved, none where it failed.
    pub(super) fn moved(&self) -> u32 {
        u32::try_from(self.result).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_keep_apart_what_they_hold() {
        let tag = tag(CompletionKind::Receive, 16_383, 64 << 20);
        assert_eq!(tag & ((1 << SOCKET_BITS) - 1), 16_383);
        assert_eq!((tag >> SOCKET_BITS) & 0b1111, 1);
        assert_eq!(tag >> 32, 64 << 20);
    }
}
