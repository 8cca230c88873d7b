//! Mapped memory: anonymous pages to send from, memory that an io_uring works on, and an area of
//! addresses into which TCP_ZEROCOPY_RECEIVE maps received pages.
//!
//! Enters: lengths and sockets. Leaves: memory that is unmapped when dropped. Pages that the kernel
//! still holds for a send outlive the mapping, and no other memory ever takes their place.

use std::io;
use std::mem::{offset_of, size_of};
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;

/// Addresses from one mmap(2), given back when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

impl Mapping {
    fn new(
        length: usize,
        protection: libc::c_int,
        flags: libc::c_int,
        fd: libc::c_int,
    ) -> io::Result<Self> {
        // SAFETY: no address is asked for, so that the kernel chooses one where nothing is mapped;
        // no existing memory changes.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast())
            .map(|start| Self { start, length })
            .ok_or_else(|| io::Error::other("mmap returned address 0"))
    }

    /// Maps `length` zero bytes (at least 1) of memory that no allocation shares.
    fn anonymous(length: usize, flags: libc::c_int) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
        Self::new(length, libc::PROT_READ | libc::PROT_WRITE, flags, -1)
    }

    /// Maps `length` zero bytes (1 if 0 are asked for), all of whose pages are really there.
    ///
    /// The kernel may read or write them at any time while it works on them, so that no reference
    /// to them may be made then.
    pub(crate) fn populated(length: usize) -> io::Result<Self> {
        Self::anonymous(length.max(1), libc::MAP_POPULATE)
    }

    /// Maps memory that holds a copy of `bytes`; see [`Self::populated`].
    pub(crate) fn holding(bytes: &[u8]) -> io::Result<Self> {
        let mapping = Self::populated(bytes.len())?;
        // SAFETY: both are readable or writable for `bytes.len()` bytes, and a mapping made a line
        // ago overlaps nothing.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), mapping.start(), bytes.len()) };
        Ok(mapping)
    }

    /// Gives the memory back and keeps the addresses for good, for what the kernel may still work
    /// on by address: it finds nothing there, and no other memory ever takes its place.
    pub(crate) fn retire(self) {
        let retired = std::mem::ManuallyDrop::new(self);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        let start = retired.start().cast();
        // SAFETY: replaces the whole of a mapping that nothing refers to any more, as its owner is
        // given up; pages that the kernel has references to stay its own. Where the call is refused
        // the memory is left as it was.
        let _ = unsafe { libc::mmap(start, retired.length, libc::PROT_NONE, flags, -1, 0) };
    }

    pub(crate) const fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub(crate) const fn length(&self) -> usize {
        self.length
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: start and length are those of one mmap(2) that nothing else unmaps. References to
        // it are borrows of this value, which ends here, and whoever drops it has made sure that no
        // io_uring works on it.
        let _ = unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// Anonymous memory of its own pages.
#[derive(Debug)]
pub struct Pages(Mapping);

impl Pages {
    /// Maps `length` bytes (at least 1), zero, page-aligned and not shared with any allocation.
    ///
    /// # Errors
    /// What mmap(2) returns.
    pub fn anonymous(length: usize) -> io::Result<Self> {
        Mapping::anonymous(length, 0).map(Self)
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `length` bytes are mapped readable from `start` for as long as `self` lives, and
        // written only through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.0.start.as_ptr(), self.0.length) }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: `length` bytes are mapped writable from `start` for as long as `self` lives, and
        // `&mut self` excludes every other reference.
        unsafe { std::slice::from_raw_parts_mut(self.0.start.as_ptr(), self.0.length) }
    }
}

/// What one call of TCP_ZEROCOPY_RECEIVE brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MappedReceive {
    /// Bytes mapped into the area.
    pub mapped: usize,
    /// Bytes copied after them, since they fill no page.
    pub copied: usize,
    /// Bytes that come next and cannot be mapped: to be read by recv(2).
    pub unmappable: usize,
}

/// An area of addresses for received pages. Each call replaces what the one before mapped; nothing
/// ever reads from it.
#[derive(Debug)]
pub struct TcpArea(Mapping);

/// `struct tcp_zerocopy_receive` of linux/tcp.h as of Linux 5.12; older kernels know less of it,
/// newer ones no more.
#[derive(Debug, Default)]
#[repr(C)]
struct ZerocopyReceive {
    address: u64,
    length: u32,
    recv_skip_hint: u32,
    inq: u32,
    err: i32,
    copybuf_address: u64,
    copybuf_len: i32,
    flags: u32,
    msg_control: u64,
    msg_controllen: u64,
    msg_flags: u32,
    reserved: u32,
}

const _: () = assert!(size_of::<ZerocopyReceive>() == 64);
const _: () = assert!(offset_of!(ZerocopyReceive, copybuf_len) == 32);

impl TcpArea {
    /// `length` bytes of addresses that `socket`'s kind of socket may map pages into. The socket
    /// stays open for as long as the area lives.
    ///
    /// # Errors
    /// What mmap(2) returns: ENODEV where the socket is not plain TCP or the kernel is older than
    /// 4.18.
    pub fn new(socket: impl AsFd, length: usize) -> io::Result<Self> {
        let fd = socket.as_fd().as_raw_fd();
        Mapping::new(length, libc::PROT_READ, libc::MAP_SHARED, fd).map(Self)
    }

    /// Maps what can be mapped of what `socket` has received, and copies the rest of less than
    /// `rest.len()` bytes behind it. Never waits; nothing received is no error.
    ///
    /// # Errors
    /// What getsockopt(2) returns.
    pub fn receive(&mut self, socket: impl AsFd, rest: &mut [u8]) -> io::Result<MappedReceive> {
        let mut call = ZerocopyReceive {
            address: self.0.start.as_ptr().addr() as u64,
            length: u32::try_from(self.0.length).unwrap_or(u32::MAX),
            copybuf_address: rest.as_mut_ptr().addr() as u64,
            copybuf_len: i32::try_from(rest.len()).unwrap_or(i32::MAX),
            ..ZerocopyReceive::default()
        };
        let mut length = libc::socklen_t::try_from(size_of::<ZerocopyReceive>()).unwrap_or(0);
        // SAFETY: `call` is readable and writable for `length` bytes of integers. The kernel
        // replaces pages of the area alone, which nothing refers to, and writes at most
        // `copybuf_len` bytes to `rest`, which is borrowed mutably for the call.
        let status = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_ZEROCOPY_RECEIVE,
                (&raw mut call).cast(),
                &raw mut length,
            )
        };
        if status != 0 {
            let error = io::Error::last_os_error();
            // The peer has ended the stream and all of it was received; recv(2) then says 0.
            return match error.raw_os_error() {
                Some(libc::EIO) => Ok(MappedReceive::default()),
                _ => Err(error),
            };
        }
        // A kernel before 5.11 leaves the field for the copied bytes as it was given.
        let copies = length as usize >= offset_of!(ZerocopyReceive, flags);
        Ok(MappedReceive {
            mapped: call.length as usize,
            copied: if copies { usize::try_from(call.copybuf_len).unwrap_or(0) } else { 0 },
            unmappable: call.recv_skip_hint as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn anonymous_pages_are_aligned_and_hold_what_is_written() {
        let mut pages = Pages::anonymous(10_000).unwrap();
        assert_eq!((pages.len(), pages.as_ptr().align_offset(4096)), (10_000, 0));
        pages.fill(7);
        assert!(pages.iter().all(|&byte| byte == 7));
    }

    #[test]
    fn a_retired_mapping_holds_no_memory_and_no_other_takes_its_place() {
        let length = 96 << 20;
        let resident = || {
            let status = std::fs::read_to_string("/proc/self/statm").unwrap();
            status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
        };
        let mapping = Mapping::holding(&vec![7; length]).unwrap();
        let (start, before) = (mapping.start().addr(), resident());
        mapping.retire();
        assert!(resident() + length / 2 < before, "{} of {before}", resident());
        let other = Mapping::populated(length).unwrap();
        assert!(other.start().addr().abs_diff(start) >= length);
    }

    #[test]
    fn an_area_needs_a_tcp_socket() {
        let file = std::fs::File::open("/proc/self/status").unwrap();
        assert!(TcpArea::new(&file, 4096).is_err());
    }

    #[test]
    fn what_fills_no_page_is_copied_and_nothing_is_no_error() {
        use std::io::Write as _;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (receiver, _) = listener.accept().unwrap();
        let mut area = TcpArea::new(&receiver, 4096).unwrap();
        let mut rest = [0; 4096];
        assert_eq!(area.receive(&receiver, &mut rest).unwrap(), MappedReceive::default());
        sender.write_all(b"abc").unwrap();
        receiver.peek(&mut [0]).unwrap();
        let received = area.receive(&receiver, &mut rest).unwrap();
        assert_eq!(received, MappedReceive { mapped: 0, copied: 3, unmappable: 0 });
        assert_eq!(&rest[..3], b"abc");
    }
}
