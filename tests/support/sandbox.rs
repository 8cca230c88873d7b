//! podperf where the kernel refuses what it would use: io_uring, as under a container's default
//! seccomp profile, or locked memory, as to an ordinary user.
//!
//! Installing a filter takes system calls that have no safe wrapper here, so a Python interpreter
//! installs it and then becomes podperf, with the same process id.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use super::process::podperf;

/// seccomp(2) in filter mode: io_uring_setup gives EPERM, all else passes. The call has the number
/// 425 on every architecture but Alpha (Documentation/process/adding-syscalls.rst).
const FILTER: &str = "
import ctypes, os, struct, sys
code = b''.join(struct.pack('HBBI', *step) for step in [
    (0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)])
steps = ctypes.create_string_buffer(code)
program = struct.pack('HxxxxxxP', 4, ctypes.addressof(steps))
prctl = ctypes.CDLL(None).prctl
if prctl(38, 1, 0, 0, 0) or prctl(22, 2, program, 0, 0):
    sys.exit('no seccomp filter to be had')
os.execv(sys.argv[1], sys.argv[1:])
";

fn filtered(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", FILTER]).arg(program).env_remove("PODPERF_TOKEN").stdin(Stdio::null());
    command
}

/// podperf without io_uring. Absent, and said so, where no filter can be installed.
pub(crate) fn without_io_uring(test: &str) -> Option<Command> {
    let tried = filtered("/bin/true").stderr(Stdio::null()).status();
    if tried.is_ok_and(|status| status.success()) {
        return Some(filtered(podperf(None).get_program()));
    }
    eprintln!("{test}: skipped: needs python3 and seccomp filters");
    None
}

/// The user nobody. Locked memory is counted by user, so that tests which run at once and measure
/// it take a user each; any id serves.
pub(crate) const NOBODY: u32 = 65_534;

/// podperf as `user` with 64 KiB of locked memory, and the folder of its program.
pub(crate) fn ordinary(user: u32) -> (tempfile::TempDir, Command) {
    // The build folder may be closed to others.
    let folder = tempfile::tempdir().expect("a folder");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("it is ours");
    let program = folder.path().join("podperf");
    std::fs::copy(podperf(None).get_program(), &program).expect("there is room");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -l 64 && exec \"$0\" \"$@\""]).arg(program);
    command.env_remove("PODPERF_TOKEN").current_dir("/").uid(user).gid(user);
    (folder, command)
}
