//! Memory that the kernel works on while a ring is open: mapped, page-aligned, really there.
//!
//! Enters: a length, or bytes to hold. Leaves: an address. No reference to the bytes is ever made
//! after they are filled, because the kernel may read or write them at any time.

use std::io;
use std::ptr::NonNull;

/// An anonymous mapping, unmapped when dropped.
#[derive(Debug)]
pub(super) struct Pages {
    start: NonNull<u8>,
    length: usize,
}

impl Pages {
    /// Maps `length` bytes (at least one), touched.
    pub(super) fn map(length: usize) -> io::Result<Self> {
        let length = length.max(1);
        // SAFETY: without MAP_FIXED a new mapping is made where nothing else is, and -1 is no file.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length })
    }

    /// Maps room for `bytes` and copies them there.
    pub(super) fn holding(bytes: &[u8]) -> io::Result<Self> {
        let pages = Self::map(bytes.len())?;
        // SAFETY: both are readable or writable for `bytes.len()` bytes, and a mapping made a line
        // ago overlaps nothing.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), pages.start.as_ptr(), bytes.len()) };
        Ok(pages)
    }

    pub(super) const fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub(super) const fn length(&self) -> usize {
        self.length
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `map`; whoever drops it has made sure that the
        // kernel no longer works on it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}
