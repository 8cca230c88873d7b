//! The buffers that a ring offers to receives: one set for all sockets, taken by the kernel as data
//! comes and given back when its completion has been read.
//!
//! Nobody looks at what was received, so a buffer has no owner: giving back means to move the tail
//! over as many slots as were taken. Each slot always names the same piece of memory.

use std::io;
use std::mem::size_of;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

use crate::mapping::Mapping;

/// The one group of buffers of a ring.
pub(super) const BUFFER_GROUP: u16 = 0;
/// Most slots of a group (io_register_pbuf_ring in io_uring/kbuf.c).
const MAX_BUFFERS: usize = 1 << 15;

/// How many buffers, and how large each is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferShape {
    /// Made a power of two, at most 32,768.
    pub count: usize,
    /// Bytes of each.
    pub bytes: usize,
    /// One completion may fill several, where the kernel can (Linux 6.10). That costs more where
    /// one would do.
    pub bundles: bool,
}

/// A ring of buffers, registered as long as its io_uring lives.
#[derive(Debug)]
pub(super) struct ProvidedBuffers {
    slots: Mapping,
    memory: Mapping,
    count: u16,
    bytes: u32,
    tail: u16,
}

impl ProvidedBuffers {
    pub(super) fn map(shape: BufferShape) -> io::Result<Self> {
        let bytes = u32::try_from(shape.bytes.max(1)).map_err(io::Error::other)?;
        let count = shape.count.clamp(1, MAX_BUFFERS).next_power_of_two();
        let mut provided = Self {
            slots: Mapping::populated(count * size_of::<BufRingEntry>())?,
            memory: Mapping::populated(count * bytes as usize)?,
            count: u16::try_from(count).map_err(io::Error::other)?,
            bytes,
            tail: 0,
        };
        provided.offer(provided.count);
        provided.publish();
        Ok(provided)
    }

    /// Gives the memory back where receives may still be under way.
    pub(super) fn retire(self) {
        self.slots.retire();
        self.memory.retire();
    }

    /// Needs Linux 5.19.
    pub(super) fn register(&self, submitter: &Submitter<'_>) -> io::Result<()> {
        let slots = self.slots.start() as u64;
        // SAFETY: `slots` is page-aligned and holds `count` entries; whoever owns this frees it
        // only after the ring has been closed, which ends the registration.
        unsafe { submitter.register_buf_ring_with_flags(slots, self.count, BUFFER_GROUP, 0) }
    }

    /// Takes back what one completion of `bytes` used: one buffer, or with a bundle several.
    pub(super) fn give_back(&mut self, bytes: u32) {
        let used = bytes.div_ceil(self.bytes).clamp(1, u32::from(self.count));
        self.offer(u16::try_from(used).unwrap_or(self.count));
    }

    /// Writes the next `count` slots anew: the kernel may have shortened one (io_uring/kbuf.c).
    fn offer(&mut self, count: u16) {
        for _ in 0..count {
            let number = self.tail & (self.count - 1);
            let address = self.memory.start() as u64 + u64::from(number) * u64::from(self.bytes);
            let slots: *mut BufRingEntry = self.slots.start().cast();
            // SAFETY: `number` is below `count`, for which `slots` has room.
            let slot = unsafe { slots.add(usize::from(number)) };
            // SAFETY: aligned to a page plus a multiple of its size, zeroed when mapped. The kernel
            // does not write to slots past the tail it has been told, and the reference is gone
            // before it is told of this one.
            let slot = unsafe { &mut *slot };
            slot.set_addr(address);
            slot.set_len(self.bytes);
            slot.set_bid(number);
            self.tail = self.tail.wrapping_add(1);
        }
    }

    /// Publishes to the kernel what was offered.
    pub(super) fn publish(&self) {
        // SAFETY: the first slot of the ring, zeroed when mapped; only its address is computed.
        let tail = unsafe { BufRingEntry::tail(self.slots.start().cast()) };
        // SAFETY: inside the mapping and aligned to two bytes; the kernel reads it with acquire,
        // and this process accesses it in no other way.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}
