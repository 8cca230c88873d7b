//! accept4(2) with all its flags: one call a connection, the peer's address included.
//!
//! Enters: a listening socket. Leaves: a connection and who opened it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use socket2::{SockAddr, Socket};

/// Accepts one connection, which is not passed on to other programs. It is non-blocking if asked,
/// else blocking; the listener decides whether this call waits.
///
/// # Errors
/// What accept4(2) returns; `Unsupported` for a peer that is neither IPv4 nor IPv6.
pub fn accept(listener: impl AsFd, nonblocking: bool) -> io::Result<(Socket, SocketAddr)> {
    let fd = listener.as_fd().as_raw_fd();
    let flags = libc::SOCK_CLOEXEC | if nonblocking { libc::SOCK_NONBLOCK } else { 0 };
    let accept = |storage: *mut socket2::SockAddrStorage, length: *mut libc::socklen_t| {
        // SAFETY: try_init hands over pointers to its own storage and that storage's length, both
        // valid for the call; the kernel writes no more than the length says.
        let status = unsafe { libc::accept4(fd, storage.cast(), length, flags) };
        if status >= 0 { Ok(status) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: on success the kernel has filled the storage with an address of the length it wrote.
    let (accepted, peer) = unsafe { SockAddr::try_init(accept) }?;
    // SAFETY: accept4 has just made this descriptor, and nobody else knows it.
    let owned = unsafe { OwnedFd::from_raw_fd(accepted) };
    let peer = peer.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    Ok((Socket::from(owned), peer))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_comes_with_its_peer_and_blocks_only_if_it_shall() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, peer) = accept(&listener, true).unwrap();
        assert_eq!(peer, stream.local_addr().unwrap());
        let read = (&socket).read(&mut [0]).unwrap_err();
        assert_eq!(read.kind(), io::ErrorKind::WouldBlock);
        listener.set_nonblocking(true).unwrap();
        let none = accept(&listener, false).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
    }
}
