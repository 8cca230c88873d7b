//! Many datagrams a call (sendmmsg, recvmmsg with UDP_GRO), and the path MTU and the drops of a UDP
//! socket.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd};

use crate::option::{get, set};

/// Sets or clears the don't-fragment bit, as for IP_MTU_DISCOVER (ip(7), ipv6(7)). Datagrams above
/// the path's MTU then fail with EMSGSIZE, or are fragmented.
///
/// # Errors
/// What setsockopt(2) returns.
pub fn set_fragmentation(socket: impl AsFd, ipv6: bool, fragment: bool) -> io::Result<()> {
    let (level, option, value) = match (ipv6, fragment) {
        (false, false) => (libc::SOL_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO),
        (false, true) => (libc::SOL_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT),
        (true, false) => (libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO),
        (true, true) => (libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT),
    };
    set(socket, level, option, value)
}

/// Reads the MTU of a connected socket's path as the kernel knows it now, in bytes (IP_MTU,
/// IPV6_MTU).
///
/// # Errors
/// What getsockopt(2) returns.
pub fn path_mtu(socket: impl AsFd, ipv6: bool) -> io::Result<u32> {
    let (level, option) =
        if ipv6 { (libc::SOL_IPV6, libc::IPV6_MTU) } else { (libc::SOL_IP, libc::IP_MTU) };
    get(socket, level, option, 0_u32)
}

/// Counts what the kernel has dropped at this socket since it was opened, for want of room in its
/// receive buffer or by a filter: buffers, each of which holds several datagrams after GRO
/// (SO_MEMINFO, Linux 4.12). The kernel's counter is 32 bits wide and wraps.
///
/// # Errors
/// What getsockopt(2) returns.
pub fn drops(socket: impl AsFd) -> io::Result<u32> {
    let info = [0_u32; libc::SK_MEMINFO_DROPS as usize + 1];
    let info = get(socket, libc::SOL_SOCKET, SO_MEMINFO, info)?;
    Ok(info[libc::SK_MEMINFO_DROPS as usize])
}

/// Of include/uapi/asm-generic/socket.h; the architectures that differ have no such machine here.
const SO_MEMINFO: libc::c_int = 55;

/// Room for one control message: UDP_GRO's segment size is all that is asked for.
#[repr(C)]
#[derive(Clone, Copy)]
struct GroControl {
    header: libc::cmsghdr,
    segment: libc::c_int,
}

/// Receives many datagrams a call, into memory of its own.
pub struct RecvBatch {
    memory: Vec<u8>,
    buffer_bytes: usize,
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
    control: Vec<GroControl>,
}

impl RecvBatch {
    /// `count` places of `buffer_bytes` bytes each.
    #[must_use]
    pub fn new(count: usize, buffer_bytes: usize) -> Self {
        Self {
            // Not zero: zeroed memory may be left to the kernel to provide on first use.
            memory: vec![0xa5; count * buffer_bytes],
            buffer_bytes,
            headers: vec![empty_header(); count],
            vectors: vec![EMPTY_VECTOR; count],
            control: vec![empty_control(); count],
        }
    }

    /// Waits for a datagram unless the socket is non-blocking, and takes all that are there, up to
    /// the number of places; how many.
    ///
    /// # Errors
    /// What recvmmsg(2) returns; `WouldBlock` when there is none, at once or within SO_RCVTIMEO.
    pub fn receive(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let rooms = self.memory.chunks_exact_mut(self.buffer_bytes);
        let places = self.headers.iter_mut().zip(&mut self.vectors).zip(&mut self.control);
        for (((header, vector), control), buffer_bytes) in places.zip(rooms) {
            control.header.cmsg_type = 0;
            *vector = libc::iovec {
                iov_base: buffer_bytes.as_mut_ptr().cast(),
                iov_len: buffer_bytes.len(),
            };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = (&raw mut *control).cast();
            header.msg_hdr.msg_controllen = size_of::<GroControl>() as _;
        }
        // Far below 2^32.
        let count = libc::c_uint::try_from(self.headers.len()).unwrap_or(0);
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: `headers` has `count` entries, each pointing to a vector, a room and a control
        // message of this inbox that are mutably borrowed for the call, with their real lengths;
        // msg_name is null. The kernel keeps none of the pointers.
        let received = unsafe {
            libc::recvmmsg(
                fd,
                self.headers.as_mut_ptr(),
                count,
                libc::MSG_WAITFORONE as _,
                std::ptr::null_mut(),
            )
        };
        usize::try_from(received).map_err(|_| io::Error::last_os_error())
    }

    /// What the last call put in place `index`, below the number it returned: the bytes, and the
    /// length of the datagrams that they consist of (the last may be shorter).
    #[must_use]
    pub fn get(&self, index: usize) -> (&[u8], usize) {
        let length = (self.headers[index].msg_len as usize).min(self.buffer_bytes);
        let bytes = &self.memory[index * self.buffer_bytes..][..length];
        let GroControl { header, segment } = &self.control[index];
        let has_segment = header.cmsg_level == libc::SOL_UDP && header.cmsg_type == libc::UDP_GRO;
        let segment = usize::try_from(*segment).unwrap_or(0);
        (bytes, if has_segment && segment > 0 { segment } else { length })
    }
}

/// Sends many datagrams a call.
pub struct SendBatch {
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
}

impl SendBatch {
    /// For up to `count` datagrams a call.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self { headers: vec![empty_header(); count], vectors: vec![EMPTY_VECTOR; count] }
    }

    /// Sends `bytes` as datagrams of `size` each (the last may be shorter), as many as there are
    /// places for; how many the kernel took.
    ///
    /// # Errors
    /// What sendmmsg(2) returns of the first.
    pub fn send(&mut self, socket: impl AsFd, bytes: &[u8], size: usize) -> io::Result<usize> {
        let mut count = 0;
        let places = self.headers.iter_mut().zip(&mut self.vectors);
        for ((header, vector), datagram) in places.zip(bytes.chunks(size)) {
            let start = datagram.as_ptr().cast_mut().cast();
            *vector = libc::iovec { iov_base: start, iov_len: datagram.len() };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            count += 1;
        }
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: the first `count` headers each point to a vector of this outbox and through it
        // to a part of `bytes`, all borrowed for the call; sending only reads the payload. Names
        // and control messages are null. The kernel keeps none of the pointers.
        let sent = unsafe { libc::sendmmsg(fd, self.headers.as_mut_ptr(), count, 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

const EMPTY_VECTOR: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };

const fn empty_header() -> libc::mmsghdr {
    // SAFETY: a structure of integers and raw pointers, for all of which zero is a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

const fn empty_control() -> GroControl {
    // SAFETY: a structure of integers, for all of which zero is a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;

    fn pair() -> (UdpSocket, UdpSocket) {
        let [one, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        one.connect(other.local_addr().unwrap()).unwrap();
        other.connect(one.local_addr().unwrap()).unwrap();
        other.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        (one, other)
    }

    /// All datagrams that come until there are `count`.
    fn receive(socket: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
        let mut batch = RecvBatch::new(4, 65_536);
        let mut all = Vec::new();
        while all.len() < count {
            for index in 0..batch.receive(socket).unwrap() {
                let (bytes, segment) = batch.get(index);
                all.extend(bytes.chunks(segment).map(<[u8]>::to_vec));
            }
        }
        all
    }

    #[test]
    fn datagrams_keep_their_edges_with_and_without_receive_offload() {
        let bytes: Vec<u8> = (0..250_u8).collect();
        let expected: Vec<Vec<u8>> = bytes.chunks(100).map(<[u8]>::to_vec).collect();
        let (one, other) = pair();
        assert_eq!(SendBatch::new(8).send(&one, &bytes, 100).unwrap(), 3);
        assert_eq!(receive(&other, 3), expected);
        let offloaded =
            nix::sys::socket::setsockopt(&other, nix::sys::socket::sockopt::UdpGroSegment, &true)
                .is_ok()
                && nix::sys::socket::setsockopt(
                    &one,
                    nix::sys::socket::sockopt::UdpGsoSegment,
                    &100,
                )
                .is_ok();
        if !offloaded {
            eprintln!("skipped: this kernel has no UDP_SEGMENT or UDP_GRO");
            return;
        }
        assert_eq!(one.send(&bytes).unwrap(), 250);
        assert_eq!(receive(&other, 3), expected);
    }

    #[test]
    fn an_empty_socket_would_block_and_an_outbox_takes_what_has_a_place() {
        let (one, other) = pair();
        other.set_nonblocking(true).unwrap();
        let error = RecvBatch::new(2, 100).receive(&other).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(SendBatch::new(2).send(&one, &[7; 500], 100).unwrap(), 2);
    }

    #[test]
    fn path_mtu_and_drops_are_read() {
        let (one, other) = pair();
        // Of the 65,536 of loopback; IPv4 counts lengths in 16 bits.
        assert_eq!(path_mtu(&one, false).unwrap(), 65_535);
        set_fragmentation(&one, false, false).unwrap();
        let before = drops(&other).unwrap();
        assert_eq!(before, 0);
        // More than any receive buffer holds by default.
        (0..2_000).for_each(|_| _ = one.send(&[0; 60_000]));
        assert!(drops(&other).unwrap() > 0);
    }
}
