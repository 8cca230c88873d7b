//! Sending and receiving, by functions that are small enough to stand within a measuring loop.
//!
//! socket2 has the same calls, but not for inlining: they cost a loop of short messages 15
//! instructions each.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

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
}
