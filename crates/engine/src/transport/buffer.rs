//! Payload memory: aligned to pages and touched.
//!
//! Zero-copy sends pin whole pages and splice(2) moves them, so a message that begins with a page
//! takes no page more than it fills.

use std::io;
use std::ops::{Deref, DerefMut};

use podperf_model::error::{Error, Kind, Result};

/// Page size assumed for alignment; larger pages are only aligned more coarsely.
const PAGE_BYTES: usize = 4096;

/// Bytes that start at a page boundary.
#[derive(Debug)]
pub struct Buffer {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Buffer {
    /// `length` bytes that are really there: each page is written once.
    ///
    /// # Errors
    /// When there is no such memory to be had.
    pub fn touched(length: usize) -> Result<Self> {
        let memory = bytes(length.saturating_add(PAGE_BYTES))?;
        let start = memory.as_ptr().align_offset(PAGE_BYTES).min(PAGE_BYTES);
        Ok(Self { memory, start, length })
    }

    /// `length` bytes that neither compress nor repeat within a page.
    ///
    /// # Errors
    /// When there is no such memory to be had.
    pub fn patterned(length: usize) -> Result<Self> {
        let mut buffer = Self::touched(length)?;
        fill(&mut buffer);
        Ok(buffer)
    }

    /// `length` bytes that repeat `payload`; podperf's own pattern where that is empty.
    ///
    /// # Errors
    /// When there is no such memory to be had.
    pub fn filled(length: usize, payload: &[u8]) -> Result<Self> {
        if payload.is_empty() {
            return Self::patterned(length);
        }
        let mut buffer = Self::touched(length)?;
        for chunk in buffer.chunks_mut(payload.len()) {
            chunk.copy_from_slice(&payload[..chunk.len()]);
        }
        Ok(buffer)
    }
}

/// `length` bytes where the allocator puts them, each of them written; an error where that would
/// otherwise end the process.
pub(super) fn bytes(length: usize) -> Result<Vec<u8>> {
    let mut memory = Vec::new();
    memory.try_reserve_exact(length).map_err(|_| {
        let error = io::Error::from_raw_os_error(libc::ENOMEM);
        Error::system(Kind::Unmeasured, format!("allocate a buffer of {length} B"), &error)
            .with_remedy("use shorter messages, fewer streams or workers, or allow more memory")
    })?;
    // Not zero: zeroed memory may be left to the kernel to provide on first use.
    memory.resize(length, 0xa5);
    Ok(memory)
}

/// Fills `bytes` with what neither compresses nor repeats within a page.
pub(super) fn fill(bytes: &mut [u8]) {
    // xorshift64 (Marsaglia 2003): cheap, and no two machine words of a buffer alike.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for chunk in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.length]
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_start_at_a_page_and_have_their_length() {
        for length in [1, 8, 13, PAGE_BYTES, 131_072] {
            let buffer = Buffer::patterned(length).unwrap();
            assert_eq!(buffer.len(), length);
            assert_eq!(buffer.as_ptr().align_offset(PAGE_BYTES), 0);
        }
    }

    #[test]
    fn a_payload_is_repeated_and_cut_off_at_the_end() {
        let filled = |length, payload: &[u8]| Buffer::filled(length, payload).unwrap();
        assert_eq!(&filled(7, b"abc")[..], b"abcabca");
        assert_eq!(&filled(2, b"abc")[..], b"ab");
        assert_eq!(&filled(0, b"abc")[..], b"");
        assert_eq!(&filled(9, b"")[..], &Buffer::patterned(9).unwrap()[..]);
    }

    #[test]
    fn memory_that_is_not_there_is_an_error() {
        for length in [usize::MAX, usize::MAX / 2, 1 << 60] {
            let error = Buffer::touched(length).unwrap_err();
            assert_eq!(error.errno, Some(libc::ENOMEM), "{error}");
        }
    }
}
