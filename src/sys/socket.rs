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

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_pacing_rate_is_read_back_as_set() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(max_pacing_rate(&socket).unwrap(), u64::MAX);
        set_max_pacing_rate(&socket, 125_000_000).unwrap();
        assert_eq!(max_pacing_rate(&socket).unwrap(), 125_000_000);
    }
}
