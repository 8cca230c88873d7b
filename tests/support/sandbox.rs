//! podperf where the kernel refuses what it would use: io_uring, as under a container's default
//! seccomp profile, locked memory, as to an ordinary user, or memory at all.
//!
//! Installing a filter takes system calls that have no safe wrapper here, so a Python interpreter
//! installs it and then becomes podperf, with the same process id.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::process::podperf;
use super::{TIMEOUT, eventually};

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

/// `program` with so many KiB of address space at the most (RLIMIT_AS).
pub(crate) fn with_address_space(kib: u64, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("sh");
    // `exec` keeps the process id.
    command.args(["-c", &format!("ulimit -v {kib} && exec \"$0\" \"$@\"")]).arg(program);
    command.env_remove("PODPERF_TOKEN").stdin(Stdio::null());
    command
}

/// A cgroup with a limit on its memory; removed when dropped.
#[derive(Debug)]
pub(crate) struct MemoryCgroup(PathBuf);

impl MemoryCgroup {
    /// Absent, and said so, where none can be made.
    pub(crate) fn make(test: &str, bytes: u64) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("podperf-test-{}-{number}", std::process::id());
        let hierarchies =
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        for (top, file) in hierarchies {
            let group = Path::new(top).join(&name);
            if std::fs::create_dir(&group).is_err() {
                continue;
            }
            let (group, limit) = (Self(group.clone()), group.join(file));
            if limit.exists() && std::fs::write(limit, bytes.to_string()).is_ok() {
                return Some(group);
            }
        }
        eprintln!("{test}: skipped: needs root and a cgroup hierarchy that limits memory");
        None
    }

    /// `program` inside of it.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        Self::enter(&self.0, program)
    }

    /// `program` inside of a cgroup.
    fn enter(group: &Path, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""]).arg(group);
        command.arg(program).env_remove("PODPERF_TOKEN").stdin(Stdio::null());
        command
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        // Not before its last process is gone.
        eventually(TIMEOUT, || std::fs::remove_dir(&self.0).is_ok());
    }
}

/// A cgroup with a limit on threads and processes; removed when dropped.
#[derive(Debug)]
pub(crate) struct TaskCgroup(PathBuf);

impl TaskCgroup {
    /// Absent, and said so, where none can be made.
    pub(crate) fn make(test: &str) -> Option<Self> {
        let name = format!("podperf-test-{}-{test}", std::process::id());
        for top in ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"] {
            let group = Path::new(top).join(&name);
            if std::fs::create_dir(&group).is_err() {
                continue;
            }
            let group = Self(group);
            if group.0.join("pids.max").exists() {
                return Some(group);
            }
        }
        eprintln!("{test}: skipped: needs root and a cgroup hierarchy that limits processes");
        None
    }

    /// `program` inside of it.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        MemoryCgroup::enter(&self.0, program)
    }

    /// So many more than there are.
    pub(crate) fn allow_more(&self, more: usize) {
        let now = std::fs::read_to_string(self.0.join("pids.current")).expect("it is there");
        let most = now.trim().parse::<usize>().expect("a number") + more;
        std::fs::write(self.0.join("pids.max"), most.to_string()).expect("it may be set");
    }

    /// As many as the system allows.
    pub(crate) fn allow_all(&self) {
        std::fs::write(self.0.join("pids.max"), "max").expect("it may be set");
    }
}

impl Drop for TaskCgroup {
    fn drop(&mut self) {
        // Not before its last process is gone.
        eventually(TIMEOUT, || std::fs::remove_dir(&self.0).is_ok());
    }
}

/// A cgroup with a limit on the CPUs that may be used; removed when dropped.
#[derive(Debug)]
pub(crate) struct CpusetCgroup(PathBuf);

impl CpusetCgroup {
    /// With these CPUs, written as the kernel does (`0-3`). Absent, and said so, where none can be
    /// made.
    pub(crate) fn make(test: &str, cpus: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("podperf-test-{}-cpus-{number}", std::process::id());
        for top in ["/sys/fs/cgroup/cpuset", "/sys/fs/cgroup"] {
            let group = Path::new(top).join(&name);
            if std::fs::create_dir(&group).is_err() {
                continue;
            }
            let group = Self(group);
            let memory = std::fs::read_to_string(Path::new(top).join("cpuset.mems"));
            let memory = memory
                .or_else(|_| std::fs::read_to_string(Path::new(top).join("cpuset.mems.effective")));
            let memory = memory.unwrap_or_default();
            if group.write("cpuset.cpus", cpus) && group.write("cpuset.mems", memory.trim()) {
                return Some(group);
            }
        }
        eprintln!("{test}: skipped: needs root and a cgroup hierarchy that limits CPUs");
        None
    }

    /// A file that is there is written; a directory that is none of a hierarchy has none.
    fn write(&self, file: &str, value: &str) -> bool {
        let file = self.0.join(file);
        file.exists() && std::fs::write(file, value).is_ok()
    }

    /// `program` inside of it.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        MemoryCgroup::enter(&self.0, program)
    }

    /// Takes all other CPUs away from what is inside.
    pub(crate) fn shrink(&self, cpus: &str) {
        assert!(self.write("cpuset.cpus", cpus), "{cpus} cannot be set");
    }
}

impl Drop for CpusetCgroup {
    fn drop(&mut self) {
        // Not before its last process is gone.
        eventually(TIMEOUT, || std::fs::remove_dir(&self.0).is_ok());
    }
}
