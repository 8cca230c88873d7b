//! Sending and receiving, and breaking a connection off.
//!
//! The first by functions that are small enough to stand within a measuring loop.
//!
//! socket2 has the same calls, but not for inlining: they cost a loop of short messages 15
//! instructions each.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

use socket2::Socket;

/// Of an address that is none: connect(2) to it ends an association.
#[expect(clippy::cast_possible_truncation, reason = "AF_UNSPEC is 0")]
const UNSPECIFIED_FAMILY: libc::sa_family_t = libc::AF_UNSPEC as libc::sa_family_t;

/// Sends what the kernel takes of `bytes`: how many.
///
/// # Errors
/// What send(2) returns; a closed stream raises no SIGPIPE.
#[inline]
pub fn send(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed for the call, which reads `bytes.len()` bytes from its
    // start.
    let count = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Receives at most as much as `buffer` holds: how many bytes.
///
/// # Errors
/// What recv(2) returns.
#[inline]
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor and the buffer are borrowed for the call, which writes at most
    // `buffer.len()` bytes at its start.
    let count = unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Receives at most `length` bytes of a TCP stream and has the kernel drop them (MSG_TRUNC,
/// tcp(7)): how many.
///
/// # Errors
/// What recv(2) returns.
#[inline]
pub fn discard(socket: impl AsFd, length: usize) -> io::Result<usize> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed for the call. With MSG_TRUNC, TCP writes nothing to the
    // buffer and takes none; should a socket of another kind write, it would get EFAULT from
    // address 0, which is never mapped.
    let count = unsafe { libc::recv(fd, std::ptr::null_mut(), length, libc::MSG_TRUNC) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Bytes of a TCP stream that its peer has not acknowledged, its end counted as one (SIOCOUTQ,
/// tcp(7)); none of one that is not connected any more.
///
/// # Errors
/// What ioctl(2) returns.
pub fn unacknowledged(socket: &Socket) -> io::Result<usize> {
    // The counters of a connection that was reset stay as they were.
    if socket.peer_addr().is_err() {
        return Ok(0);
    }
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is borrowed for the call, which writes one int.
    let status = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(bytes).unwrap_or(0))
}

/// Breaks a TCP connection off for all who have a descriptor of it: its peer gets a reset, and the
/// kernel lets go of all that it still held to send.
///
/// # Errors
/// What connect(2) returns: EBUSY while another thread waits in a call, on some kernels.
pub fn break_off(socket: &Socket) -> io::Result<()> {
    let nobody = libc::sockaddr { sa_family: UNSPECIFIED_FAMILY, sa_data: [0; 14] };
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr>()).unwrap_or(0);
    // SAFETY: the descriptor is borrowed for the call, which reads `length` bytes of an address.
    match unsafe { libc::connect(socket.as_raw_fd(), &raw const nobody, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn bytes_of_a_stream_are_discarded_and_counted() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (receiver, _) = listener.accept().unwrap();
        sender.write_all(&[1; 1000]).unwrap();
        drop(sender);
        assert_eq!(discard(&receiver, 600).unwrap(), 600);
        assert_eq!(discard(&receiver, 600).unwrap(), 400);
        assert_eq!(discard(&receiver, 600).unwrap(), 0);
    }

    #[test]
    fn what_nobody_reads_is_dropped_for_all_who_have_the_connection() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let sender: Socket =
            std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap().into();
        let (mut receiver, _) = listener.accept().unwrap();
        assert_eq!(unacknowledged(&sender).unwrap(), 0);
        sender.set_nonblocking(true).unwrap();
        while send(&sender, &[1; 65_536]).is_ok() {}
        assert!(unacknowledged(&sender).unwrap() > 0);
        let same = sender.try_clone().unwrap();
        break_off(&sender).unwrap();
        for end in [&sender, &same] {
            assert_eq!(unacknowledged(end).unwrap(), 0);
            assert!(send(end, b"more").is_err());
        }
        let end = std::io::copy(&mut receiver, &mut std::io::sink()).unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    }
}
