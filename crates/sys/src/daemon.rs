//! Going to the background: a second process goes on, and the first may end.
//!
//! Enters: nothing. Leaves: which of the two this is.

use std::fs::File;
use std::io;

use nix::unistd::{ForkResult, chdir, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};

/// Which process goes on from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForkedProcess {
    /// The one that was started.
    Parent,
    /// The one in the background: its own session, in the root directory, without streams.
    Child,
}

/// Makes a second process of this one, with everything that is open.
///
/// # Errors What fork(2) returns; `Unsupported` where this process has threads, which would not be
/// copied. In the child, what keeps it from leaving the session or the streams of its parent.
pub fn detach() -> io::Result<ForkedProcess> {
    // Locks that other threads hold would never be freed in the child.
    if std::fs::read_dir("/proc/self/task")?.count() > 1 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // SAFETY: the process has one thread, as has just been seen, so the child may do whatever the
    // parent may.
    match unsafe { fork() }? {
        ForkResult::Parent { .. } => Ok(ForkedProcess::Parent),
        ForkResult::Child => {
            setsid()?;
            chdir("/")?;
            let null = File::options().read(true).write(true).open("/dev/null")?;
            dup2_stdin(&null)?;
            dup2_stdout(&null)?;
            dup2_stderr(&null)?;
            Ok(ForkedProcess::Child)
        }
    }
}
