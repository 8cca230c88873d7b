//! Socket options that neither std nor socket2 offers, and whether the kernel grants them at all.
//!
//! Enters: a socket. Leaves: values as the kernel has them.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// Of linux/mptcp.h; libc has neither.
const SOL_MPTCP: libc::c_int = 284;
const MPTCP_INFO: libc::c_int = 1;

/// Sets SO_BUSY_POLL in microseconds (Linux 3.11). Before Linux 6.7, more than net.core.busy_read
/// needs CAP_NET_ADMIN.
///
/// # Errors
/// What setsockopt(2) returns.
pub fn set_busy_poll_us(socket: impl AsFd, us: u32) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_BUSY_POLL, us)
}

/// Reads SO_BUSY_POLL in microseconds.
///
/// # Errors
/// What getsockopt(2) returns.
pub fn busy_poll_us(socket: impl AsFd) -> io::Result<u32> {
    get(socket, libc::SOL_SOCKET, libc::SO_BUSY_POLL, 0)
}

/// Sets SO_PREFER_BUSY_POLL (Linux 5.11): interrupts of the device are put off while it is polled.
/// Needs CAP_NET_ADMIN, and has an effect with gro_flush_timeout and napi_defer_hard_irqs set.
///
/// # Errors
/// What setsockopt(2) returns.
pub fn set_prefer_busy_poll(socket: impl AsFd) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_PREFER_BUSY_POLL, 1_u32)
}

/// Reads SO_PREFER_BUSY_POLL.
///
/// # Errors
/// What getsockopt(2) returns.
pub fn prefer_busy_poll(socket: impl AsFd) -> io::Result<bool> {
    get(socket, libc::SOL_SOCKET, libc::SO_PREFER_BUSY_POLL, 0_u32).map(|on| on != 0)
}

/// Reads SO_INCOMING_NAPI_ID (Linux 4.12): the receive queue by which the last packet came; 0: none
/// that can be polled, as over loopback.
///
/// # Errors
/// What getsockopt(2) returns.
pub fn incoming_napi_id(socket: impl AsFd) -> io::Result<u32> {
    get(socket, libc::SOL_SOCKET, libc::SO_INCOMING_NAPI_ID, 0)
}

/// Sets IP_BIND_ADDRESS_NO_PORT (Linux 4.2): bind(2) to an address leaves the port to connect(2),
/// which can share one between different peers. Works for IPv6 sockets too.
///
/// # Errors
/// What setsockopt(2) returns.
pub fn set_bind_address_no_port(socket: impl AsFd) -> io::Result<()> {
    set(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1_u32)
}

/// Whether a connected socket really speaks Multipath TCP: one that fell back to TCP does not
/// answer (Documentation/networking/mptcp.rst).
#[must_use]
pub fn speaks_mptcp(socket: impl AsFd) -> bool {
    get(socket, SOL_MPTCP, MPTCP_INFO, 0_u32).is_ok()
}

/// Sets SO_MAX_PACING_RATE in bytes per second (u64::MAX: none). The kernel takes 64 bits since
/// 4.20 (socket(7)).
///
/// # Errors
/// What setsockopt(2) returns.
pub fn set_max_pacing_rate(socket: impl AsFd, bytes_per_second: u64) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE, bytes_per_second)
}

/// Reads SO_MAX_PACING_RATE in bytes per second (u64::MAX: none).
///
/// # Errors
/// What getsockopt(2) returns.
pub fn max_pacing_rate(socket: impl AsFd) -> io::Result<u64> {
    get(socket, libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE, 0)
}

/// Sets SO_MAX_PACING_RATE on a TCP socket made for the purpose, and reads it back.
///
/// # Errors
/// No socket to be had, or the kernel does not know or refuses the option.
pub fn probe_max_pacing_rate(bytes_per_second: u32) -> io::Result<u32> {
    probe(libc::SO_MAX_PACING_RATE, bytes_per_second)
}

/// Sets SO_ZEROCOPY (Linux 4.14), which MSG_ZEROCOPY needs.
///
/// # Errors
/// What setsockopt(2) returns.
pub fn set_zerocopy(socket: impl AsFd) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_ZEROCOPY, 1_u32)
}

/// Sets SO_ZEROCOPY on a TCP socket made for the purpose, and reads it back.
///
/// # Errors
/// No socket to be had, or the kernel does not know or refuses the option.
pub fn probe_zerocopy() -> io::Result<bool> {
    Ok(probe(libc::SO_ZEROCOPY, 1)? != 0)
}

/// Bytes of the headers of a SYN: IPv6 with 20 bytes of extensions, and TCP with all its options.
const SYN_BYTES: usize = 120;

/// Sets TCP_SAVE_SYN (Linux 4.2) on a listener: the headers of the SYN of each connection that it
/// accepts are kept until they are read.
///
/// # Errors
/// What setsockopt(2) returns.
pub fn set_save_syn(listener: impl AsFd) -> io::Result<()> {
    set(listener, libc::IPPROTO_TCP, libc::TCP_SAVE_SYN, 1_u32)
}

/// Reads TCP_SAVED_SYN: the IP and TCP headers of the SYN that opened an accepted connection, and
/// zeroes after them. They are told once; then, or where none were kept, all is zero.
///
/// # Errors
/// What getsockopt(2) returns.
pub fn saved_syn(socket: impl AsFd) -> io::Result<[u8; SYN_BYTES]> {
    get(socket, libc::IPPROTO_TCP, libc::TCP_SAVED_SYN, [0; SYN_BYTES])
}

/// Reads TCP_TIMESTAMP: the time stamp that a packet of this connection would have now.
///
/// # Errors
/// What getsockopt(2) returns.
pub fn tcp_timestamp(socket: impl AsFd) -> io::Result<u32> {
    get(socket, libc::IPPROTO_TCP, libc::TCP_TIMESTAMP, 0)
}

fn probe(option: libc::c_int, value: u32) -> io::Result<u32> {
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    set(&socket, libc::SOL_SOCKET, option, value)?;
    get(&socket, libc::SOL_SOCKET, option, 0)
}

/// A value of a socket option.
///
/// # Safety
/// The type consists of integers without padding, so that any bytes are a value of it.
pub(crate) unsafe trait OptionValue: Copy {}

// SAFETY: integers.
unsafe impl OptionValue for libc::c_int {}
// SAFETY: integers.
unsafe impl OptionValue for u32 {}
// SAFETY: integers.
unsafe impl OptionValue for u64 {}
// SAFETY: integers in a row.
unsafe impl<const N: usize> OptionValue for [u32; N] {}
// SAFETY: integers in a row.
unsafe impl<const N: usize> OptionValue for [u8; N] {}

pub(crate) fn set<T: OptionValue>(
    socket: impl AsFd,
    level: libc::c_int,
    option: libc::c_int,
    value: T,
) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed for the call, `value` is readable for the length that is
    // given, and the kernel keeps no pointer to it.
    let status =
        unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), length::<T>()) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads an option. What the kernel does not write stays as it is in `value`.
pub(crate) fn get<T: OptionValue>(
    socket: impl AsFd,
    level: libc::c_int,
    option: libc::c_int,
    mut value: T,
) -> io::Result<T> {
    let fd = socket.as_fd().as_raw_fd();
    let mut length = length::<T>();
    // SAFETY: the descriptor is borrowed for the call; the kernel writes at most `length` bytes to
    // `value`, which has as many and for which any bytes are valid, and keeps no pointer to it.
    let status =
        unsafe { libc::getsockopt(fd, level, option, (&raw mut value).cast(), &raw mut length) };
    if status == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

#[expect(clippy::cast_possible_truncation, reason = "some hundred bytes at most")]
const fn length<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn what_is_set_is_read_back() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        match set_busy_poll_us(&stream, 50) {
            Ok(()) => assert_eq!(busy_poll_us(&stream).unwrap(), 50),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EPERM)),
        }
        assert_eq!(incoming_napi_id(&stream).unwrap(), 0, "loopback has no queue to poll");
        assert!(!speaks_mptcp(&stream));
        set_bind_address_no_port(&stream).unwrap();
    }

    #[test]
    fn a_pacing_rate_is_read_back_as_set() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(max_pacing_rate(&socket).unwrap(), u64::MAX);
        set_max_pacing_rate(&socket, 125_000_000).unwrap();
        assert_eq!(max_pacing_rate(&socket).unwrap(), 125_000_000);
        assert_eq!(probe_max_pacing_rate(1_000_000).unwrap(), 1_000_000);
    }

    #[test]
    fn an_option_the_kernel_does_not_know_is_an_error() {
        let error = probe(9_999, 1).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOPROTOOPT));
    }
}
