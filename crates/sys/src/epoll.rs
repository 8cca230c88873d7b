//! Lets an epoll instance poll devices (EPIOCSPARAMS, Linux 6.9).

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Packets that one round of polling may take: the kernel's own default (BUSY_POLL_BUDGET).
const BUSY_POLL_BUDGET_PACKETS: u16 = 8;

/// Lets epoll_wait(2) poll the devices behind its sockets for `us` microseconds before it sleeps.
///
/// # Errors
/// What ioctl(2) returns: ENOTTY before Linux 6.9.
pub fn set_busy_poll_us(epoll: impl AsFd, us: u32) -> io::Result<()> {
    let parameters = libc::epoll_params {
        busy_poll_usecs: us,
        busy_poll_budget: BUSY_POLL_BUDGET_PACKETS,
        prefer_busy_poll: 0,
        __pad: 0,
    };
    // SAFETY: the descriptor is borrowed for the call, which reads one `epoll_params` and keeps no
    // pointer to it.
    let status = unsafe {
        libc::ioctl(epoll.as_fd().as_raw_fd(), libc::EPIOCSPARAMS, &raw const parameters)
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::epoll::{Epoll, EpollCreateFlags};

    #[test]
    fn an_epoll_instance_takes_it_and_another_file_does_not() {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        if let Err(error) = set_busy_poll_us(&epoll.0, 50) {
            // Before Linux 6.9.
            assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
        }
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(set_busy_poll_us(file, 50).is_err());
    }
}
