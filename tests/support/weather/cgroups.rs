//! A CPU quota on one end of a run, by its cgroup.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::process::program;
use super::super::{TIMEOUT, eventually};

/// Length of a quota's period: short, so that even a short run has many.
const PERIOD_US: u32 = 20_000;

/// A cgroup with a CPU quota; removed when dropped.
#[derive(Debug)]
pub(crate) struct CpuQuota(PathBuf);

impl CpuQuota {
    /// So many hundredths of a CPU. Absent, and said so, where none can be made.
    pub(crate) fn make(test: &str, percent: u32) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("podperf-test-{}-quota-{number}", std::process::id());
        let quota_us = PERIOD_US / 100 * percent;
        for (top, files) in [
            (
                "/sys/fs/cgroup/cpu",
                [
                    ("cpu.cfs_period_us", PERIOD_US.to_string()),
                    ("cpu.cfs_quota_us", quota_us.to_string()),
                ],
            ),
            (
                "/sys/fs/cgroup",
                [("cpu.max", format!("{quota_us} {PERIOD_US}")), ("cpu.weight", "100".to_owned())],
            ),
        ] {
            let group = Path::new(top).join(&name);
            if std::fs::create_dir(&group).is_err() {
                continue;
            }
            let group = Self(group);
            let set = |(file, value): &(&str, String)| {
                let file = group.0.join(file);
                file.exists() && std::fs::write(file, value).is_ok()
            };
            if files.iter().all(set) {
                return Some(group);
            }
        }
        eprintln!("{test}: skipped: needs root and a cgroup hierarchy with CPU quotas");
        None
    }

    /// podperf inside of it, in the network namespace `place`. Not by `ip netns exec`, which mounts
    /// another /sys without cgroups.
    pub(crate) fn podperf(&self, place: &str) -> Command {
        let mut command = Command::new("sh");
        let enter = "echo $$ >\"$0/cgroup.procs\" && exec nsenter \"$@\"";
        command.args(["-c", enter]).arg(&self.0);
        command.arg(format!("--net=/run/netns/{place}")).arg(program());
        command.env("PODPERF_CALIBRATION", "/nonexistent/calibration.json");
        command.env_remove("PODPERF_TOKEN").stdin(Stdio::null());
        command
    }
}

impl Drop for CpuQuota {
    fn drop(&mut self) {
        // Not before its last process is gone.
        eventually(TIMEOUT, || std::fs::remove_dir(&self.0).is_ok());
    }
}
