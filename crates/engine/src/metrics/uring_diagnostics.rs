//! Why the kernel refuses an io_uring, and what can be done about it.
//!
//! Enters: the error of the refused call. Leaves: cause and remedy in words. Only /proc is read
//! here.

use std::io;

use crate::metrics::roots::Roots;
use crate::metrics::source::number;

/// Why an io_uring was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UringRefusal {
    /// The cause.
    pub cause: &'static str,
    /// What can be done.
    pub remedy: &'static str,
}

/// Explains `error`, which one of the calls that set up a ring gave. The sysctl
/// kernel.io_uring_disabled stands in Documentation/admin-guide/sysctl/kernel.rst (Linux 6.6).
#[must_use]
pub fn diagnose(error: &io::Error, roots: &Roots) -> UringRefusal {
    let disabled = number::<u8>(&roots.sysctl("kernel/io_uring_disabled")).unwrap_or(0);
    let (cause, remedy) = match (error.raw_os_error(), disabled) {
        (Some(libc::EPERM), 1 | 2) => {
            ("kernel.io_uring_disabled", "sysctl -w kernel.io_uring_disabled=0")
        }
        (Some(libc::ENOSYS), _) => {
            ("no io_uring in this kernel or sandbox", "use a kernel with CONFIG_IO_URING")
        }
        (Some(libc::EPERM | libc::EACCES), _) => {
            ("forbidden, usually by a seccomp profile", "use a profile that permits io_uring_setup")
        }
        // Rings and registered buffers count against it.
        (Some(libc::ENOMEM), _) => (
            "the limit of locked memory",
            "raise RLIMIT_MEMLOCK (ulimit -l), or use shorter messages or fewer flows a worker",
        ),
        (Some(libc::EINVAL), _) => {
            ("unknown to this kernel", "use Linux 6.2 or later, or the other transports")
        }
        (Some(libc::EOPNOTSUPP), _) => {
            ("not supported by the sockets' protocol", "use the other transports")
        }
        _ => ("unexpected", "use the other transports"),
    };
    UringRefusal { cause, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_own_remedy() {
        let tree = tempfile::tempdir().unwrap();
        let roots = Roots::below(tree.path());
        let remedy = |errno| diagnose(&io::Error::from_raw_os_error(errno), &roots).remedy;
        assert!(remedy(libc::EPERM).contains("profile"));
        assert!(remedy(libc::ENOSYS).contains("CONFIG_IO_URING"));
        assert!(remedy(libc::ENOMEM).contains("RLIMIT_MEMLOCK"));
        let sysctl = tree.path().join("proc/sys/kernel");
        std::fs::create_dir_all(&sysctl).unwrap();
        std::fs::write(sysctl.join("io_uring_disabled"), "2\n").unwrap();
        assert!(remedy(libc::EPERM).contains("io_uring_disabled=0"));
        assert!(remedy(libc::ENOMEM).contains("RLIMIT_MEMLOCK"));
    }
}
