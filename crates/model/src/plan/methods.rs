//! The ways in which streams' bytes move between podperf and the kernel.

use super::Choice;
use super::choice::choice;

choice! {
/// How bytes are handed to the kernel.
pub enum SendMethod {
    /// The cheapest for the sender's CPU on this path, by a probe during the warm-up.
    Auto = "auto",
    /// send(2): the kernel copies.
    Write = "write",
    /// send(2) with MSG_ZEROCOPY: the kernel sends from the program's pages, where the path lets
    /// it.
    Zerocopy = "zerocopy",
    /// sendfile(2) out of memory (a memfd).
    Sendfile = "sendfile",
    /// tee(2) and splice(2) of pages that a pipe holds.
    Splice = "splice",
    /// io_uring: the kernel copies; small messages are handed over several at once.
    Uring = "uring",
    /// io_uring, zero copy (SEND_ZC): the kernel takes the pages where it can, and says whether it
    /// did.
    UringZc = "uring-zc",
}
}

choice! {
/// How bytes are taken from the kernel.
pub enum ReceiveMethod {
    /// recv(2): the kernel copies, as for an application.
    Read = "read",
    /// recv(2) with MSG_TRUNC: the kernel discards the bytes. A figure of the stack alone.
    Trunc = "trunc",
    /// TCP_ZEROCOPY_RECEIVE: the kernel maps whole pages, and the rest is read. A figure of the
    /// stack alone: nothing touches what is mapped.
    Mmap = "mmap",
    /// io_uring: multishot receives into a ring of provided buffers, as for an application.
    Uring = "uring",
}
}

impl SendMethod {
    /// The methods that are one: all but [`Self::Auto`], which chooses among them.
    pub fn concrete() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|method| *method != Self::Auto)
    }
}

impl ReceiveMethod {
    /// The bytes are not brought to the program: what is measured is the stack, not what an
    /// application gets.
    #[must_use]
    pub const fn stack_only(self) -> bool {
        matches!(self, Self::Trunc | Self::Mmap)
    }
}
