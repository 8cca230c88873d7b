//! podperf where the kernel refuses io_uring, as under a container's default seccomp profile.
//!
//! Installing a filter takes system calls that have no safe wrapper here, so a Python interpreter
//! installs it and then becomes podperf, with the same process id.

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
