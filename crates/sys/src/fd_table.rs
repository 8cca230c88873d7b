//! A table of descriptors of a thread's own.
//!
//! While threads share a table, each system call on a descriptor takes a reference to its file and
//! gives it back, by atomic instructions; in a table of one user it needs none (`fdget` in Linux's
//! fs/file.c). That is some 40 ns a call, of a send of 16 KiB about one in a hundred.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// The standard streams stay.
const FIRST_FD: u32 = 3;

/// Gives the calling thread a table of its own, which has `kept` and the standard streams in it:
/// whatever else is open stays so for the other threads, and ends when they close it. What this
/// thread opens from now on is its own alone.
///
/// # Errors What close_range(2) returns: ENOSYS before Linux 5.9, EPERM where a filter refuses it.
/// The table is shared as before then.
pub fn separate<'fd>(kept: impl IntoIterator<Item = BorrowedFd<'fd>>) -> io::Result<()> {
    let number = |fd: BorrowedFd<'_>| u32::try_from(fd.as_raw_fd()).ok();
    let mut kept: Vec<u32> = kept.into_iter().filter_map(number).collect();
    kept.sort_unstable();
    let mut from = FIRST_FD;
    let mut gaps = Vec::with_capacity(kept.len());
    for fd in kept.into_iter().filter(|&fd| fd >= FIRST_FD) {
        if fd > from {
            gaps.push((from, fd - 1));
        }
        from = from.max(fd + 1);
    }
    // Those above first: by this call the table becomes this thread's own.
    close(from, u32::MAX, libc::CLOSE_RANGE_UNSHARE)?;
    for (first, last) in gaps {
        close(first, last, 0)?;
    }
    Ok(())
}

/// close_range(2); a range in which nothing is open is fine.
fn close(first: u32, last: u32, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: the call takes numbers and no memory. The descriptors that it closes are this
    // thread's copies alone, in a table that the first call has made its own.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd as _;

    use nix::errno::Errno;
    use nix::fcntl::{FcntlArg, fcntl};

    use super::*;

    fn is_open(file: &File) -> bool {
        fcntl(file, FcntlArg::F_GETFD) != Err(Errno::EBADF)
    }

    #[test]
    fn a_thread_has_what_it_keeps_and_nobody_else_loses_anything() {
        let open = || File::open("/dev/null").unwrap();
        let files: Vec<File> = (0..6).map(|_| open()).collect();
        let in_thread = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                separate([&files[3], &files[1]].map(|file| file.as_fd())).unwrap();
                let seen: Vec<bool> = files.iter().map(is_open).collect();
                // Two of its own, in gaps that are gaps here alone.
                let own = [open(), open()];
                assert!(own.iter().all(is_open));
                seen
            });
            thread.join().unwrap()
        });
        assert_eq!(in_thread, [false, true, false, true, false, false]);
        assert!(files.iter().all(is_open), "another thread's were closed");
    }

    #[test]
    fn nothing_kept_is_fine() {
        let file = File::open("/dev/null").unwrap();
        let in_thread = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                separate([]).unwrap();
                is_open(&file)
            });
            thread.join().unwrap()
        });
        assert!(!in_thread && is_open(&file));
    }
}
