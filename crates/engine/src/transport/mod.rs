//! How bulk bytes move between a worker and the kernel.
//!
//! Enters: the connected sockets of one worker and a message size. Leaves: steps. A step is one
//! system call for simple methods and may be a batch for others. The method is chosen once,
//! outside the loop, which is generic over it; a new one is one file, one variant in `plan`, and
//! one match arm in `workload::stream`. Nothing here counts, waits for readiness or decides when
//! to stop.

pub mod buffer;
pub mod datagram;
pub mod mmap;
pub mod read;
pub mod sendfile;
pub mod short_lived;
pub mod socket;
pub mod splice;
pub mod syn;
pub mod trunc;
pub mod write;
pub mod zerocopy;

use std::io;

use podperf_model::result::end_result::{ReceiveUse, SendUse};

/// Hands bytes of one worker's flows to the kernel.
pub trait BulkSend {
    /// Hands over at most `limit` bytes on the worker's flow number `flow`; the count the kernel
    /// took.
    ///
    /// # Errors
    /// What the system call returns; `WouldBlock` on a non-blocking socket that is full.
    fn step(&mut self, flow: usize, limit: usize) -> io::Result<usize>;

    /// Called once, after the last step: waits until the kernel has let go of the worker's memory,
    /// and reports how the bytes went; `bytes` is what all steps together handed over.
    fn finish(&mut self, bytes: u64) -> SendUse;
}

/// Takes bytes of one worker's flows from the kernel.
pub trait BulkReceive {
    /// Takes what is there on the worker's flow number `flow`; 0 is the end of the stream.
    ///
    /// # Errors
    /// What the system call returns; `WouldBlock` on a non-blocking socket that is empty.
    fn step(&mut self, flow: usize) -> io::Result<usize>;

    /// Reports how the bytes came; called once, after the last step; `bytes` is what all steps
    /// together took.
    fn finish(&mut self, bytes: u64) -> ReceiveUse;
}
