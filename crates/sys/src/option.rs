//! Integer socket options that socket2 does not offer, and what Multipath TCP says of itself.
//!
//! Enters: a socket. Leaves: values as the kernel has them.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

/// Of linux/mptcp.h; libc has neither.
const SOL_MPTCP: libc::c_int = 284;
const MPTCP_INFO: libc::c_int = 1;

/// SO_BUSY_POLL in microseconds (Linux 3.11). Before Linux 6.7, more than net.core.busy_read needs
/// CAP_NET_ADMIN.
///
/// # Errors
/// What setsockopt(2) says.
pub fn set_busy_poll_us(socket: impl AsFd, us: u32) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_BUSY_POLL, us)
}

/// Reads SO_BUSY_POLL in microseconds.
///
/// # Errors
/// What getsockopt(2) says.
pub fn busy_poll_us(socket: impl AsFd) -> io::Result<u32> {
    get(socket, libc::SOL_SOCKET, libc::SO_BUSY_POLL)
}

/// SO_PREFER_BUSY_POLL (Linux 5.11): interrupts of the device are put off while it is polled. Needs
/// CAP_NET_ADMIN, and has an effect with gro_flush_timeout and napi_defer_hard_irqs set.
///
/// # Errors
/// What setsockopt(2) says.
pub fn set_prefer_busy_poll(socket: impl AsFd) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_PREFER_BUSY_POLL, 1)
}

/// Reads SO_PREFER_BUSY_POLL.
///
/// # Errors
/// What getsockopt(2) says.
pub fn prefer_busy_poll(socket: impl AsFd) -> io::Result<bool> {
    get(socket, libc::SOL_SOCKET, libc::SO_PREFER_BUSY_POLL).map(|on| on != 0)
}

/// SO_INCOMING_NAPI_ID (Linux 4.12): which receive queue the last packet came by; 0: none that can
/// be polled, as over loopback.
///
/// # Errors
/// What getsockopt(2) says.
pub fn incoming_napi_id(socket: impl AsFd) -> io::Result<u32> {
    get(socket, libc::SOL_SOCKET, libc::SO_INCOMING_NAPI_ID)
}

/// IP_BIND_ADDRESS_NO_PORT (Linux 4.2): bind(2) to an address leaves the port to connect(2), which
/// can share one between different peers. Works for IPv6 sockets too.
///
/// # Errors
/// What setsockopt(2) says.
pub fn set_bind_address_no_port(socket: impl AsFd) -> io::Result<()> {
    set(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)
}

/// Whether a connected socket really speaks Multipath TCP: one that fell back to TCP does not
/// answer (Documentation/networking/mptcp.rst).
#[must_use]
pub fn speaks_mptcp(socket: impl AsFd) -> bool {
    get(socket, SOL_MPTCP, MPTCP_INFO).is_ok()
}

fn set(socket: impl AsFd, level: libc::c_int, option: libc::c_int, value: u32) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed for the call, `value` is readable for the four bytes that
    // are told, and the kernel keeps no pointer to it.
    let status = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            INT_BYTES,
        )
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn get(socket: impl AsFd, level: libc::c_int, option: libc::c_int) -> io::Result<u32> {
    let (mut value, mut length) = (0_u32, INT_BYTES);
    // SAFETY: the descriptor is borrowed for the call; the kernel writes at most `length` = 4
    // bytes to `value`, which has four, and any bit pattern is a valid u32.
    let status = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    if status == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// Length of an integer option.
#[expect(clippy::cast_possible_truncation, reason = "four")]
const INT_BYTES: libc::socklen_t = size_of::<u32>() as libc::socklen_t;

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

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
}
