//! Socket options that socket2 does not offer.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd};

/// Sets SO_MAX_PACING_RATE in bytes per second (u64::MAX: none). The kernel takes 64 bits since
/// 4.20 (socket(7)).
///
/// # Errors
/// What setsockopt(2) says.
pub fn set_max_pacing_rate(socket: impl AsFd, bytes_per_second: u64) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    #[expect(clippy::cast_possible_truncation, reason = "eight bytes")]
    let length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed for the call, and the pointer is to eight readable bytes
    // on this stack that outlive it; the kernel keeps no reference.
    let result = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_MAX_PACING_RATE,
            (&raw const bytes_per_second).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads SO_MAX_PACING_RATE in bytes per second (u64::MAX: none).
///
/// # Errors
/// What getsockopt(2) says.
pub fn max_pacing_rate(socket: impl AsFd) -> io::Result<u64> {
    let fd = socket.as_fd().as_raw_fd();
    let mut rate = MaybeUninit::<u64>::zeroed();
    #[expect(clippy::cast_possible_truncation, reason = "eight bytes")]
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed for the call; the kernel writes at most `length` = 8
    // bytes to `rate`, which has eight and outlives the call.
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_MAX_PACING_RATE,
            rate.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed before the call, so all eight bytes hold a value whatever the kernel wrote.
    Ok(unsafe { rate.assume_init() })
}

/// Sets SO_ZEROCOPY (Linux 4.14), which MSG_ZEROCOPY needs.
///
/// # Errors
/// What setsockopt(2) says.
pub fn set_zerocopy(socket: impl AsFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    #[expect(clippy::cast_possible_truncation, reason = "four bytes")]
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed for the call, and the pointer is to a readable int on
    // this stack that outlives it; the kernel keeps no reference.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ZEROCOPY,
            (&raw const on).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Receives at most `length` bytes of a TCP stream and has the kernel drop them (MSG_TRUNC,
/// tcp(7)): how many.
///
/// # Errors
/// What recv(2) says.
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
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn bytes_of_a_stream_are_discarded_and_counted() {
        use std::io::Write as _;
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
    fn a_pacing_rate_is_read_back_as_set() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(max_pacing_rate(&socket).unwrap(), u64::MAX);
        set_max_pacing_rate(&socket, 125_000_000).unwrap();
        assert_eq!(max_pacing_rate(&socket).unwrap(), 125_000_000);
    }
}
