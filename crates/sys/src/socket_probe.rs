//! Asks the kernel, on a TCP socket made for the purpose, whether it grants a socket option.
//!
//! Enters: nothing. Leaves: the value read back, or the kernel's refusal. The socket is never
//! connected and is closed again.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// Sets SO_ZEROCOPY (Linux 4.14) and reads it back.
///
/// # Errors
/// No socket to be had, or the kernel does not know or refuses the option.
pub fn zerocopy() -> io::Result<bool> {
    Ok(set_and_read_back(libc::SO_ZEROCOPY, 1)? != 0)
}

/// Sets SO_MAX_PACING_RATE and reads it back, both in bytes per second.
///
/// # Errors
/// No socket to be had, or the kernel does not know or refuses the option.
pub fn max_pacing_rate(bytes_per_second: u32) -> io::Result<u32> {
    set_and_read_back(libc::SO_MAX_PACING_RATE, bytes_per_second)
}

fn set_and_read_back(option: libc::c_int, value: u32) -> io::Result<u32> {
    let socket: OwnedFd =
        socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let mut granted = 0_u32;
    let mut length = libc::socklen_t::try_from(size_of::<u32>()).unwrap_or(0);
    // SAFETY: `value` is readable for `length` bytes, and the kernel keeps no pointer to it.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            length,
        )
    };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `granted` is writable for `length` bytes; any bit pattern is a valid u32.
    let got = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw mut granted).cast(),
            &raw mut length,
        )
    };
    if got == 0 { Ok(granted) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pacing_rate_is_read_back() {
        assert_eq!(max_pacing_rate(1_000_000).unwrap(), 1_000_000);
    }

    #[test]
    fn an_option_the_kernel_does_not_know_is_an_error() {
        let error = set_and_read_back(9_999, 1).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOPROTOOPT));
    }
}
