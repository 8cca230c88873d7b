//! Where the kernel's files are read: the machine's own places, or fixtures in tests.

use std::path::{Path, PathBuf};

/// Directories below which everything in `metrics` is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// Where procfs is mounted.
    pub proc: PathBuf,
    /// Where sysfs is mounted.
    pub sys: PathBuf,
    /// The directory that all other absolute paths are taken below: cgroup mount points, /boot,
    /// and the marks that container engines leave.
    pub root: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self::below("/")
    }
}

impl Roots {
    /// A tree that holds `proc` and `sys`.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { proc: root.join("proc"), sys: root.join("sys"), root }
    }

    /// An absolute path of the machine as a path below `root`.
    pub(super) fn absolute(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The directory of CPU `id` in sysfs.
    pub(super) fn cpu(&self, id: u32) -> PathBuf {
        self.sys.join(format!("devices/system/cpu/cpu{id}"))
    }

    /// A sysctl by its path: `net/ipv4/tcp_rmem`.
    pub(super) fn sysctl(&self, path: impl AsRef<Path>) -> PathBuf {
        self.proc.join("sys").join(path)
    }

    /// Fixtures of this name under tests/fixtures.
    #[cfg(test)]
    pub(super) fn fixture(name: &str) -> Self {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let roots = Self::below(fixtures.join(name));
        assert!(roots.root.is_dir(), "no fixture {}", roots.root.display());
        roots
    }
}
