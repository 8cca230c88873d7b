//! The cgroups this process is in: CPU accounting and limits, v1, v2 and hybrid (cgroups(7)).
//!
//! Enters: /proc/self/cgroup, /proc/self/mountinfo and the groups' own files. Leaves: counters and
//! limits. Which directory is the process's own follows from the mount's root; where that does not
//! tell, a directory counts only if it lists this process.

use std::path::{Path, PathBuf};

use crate::metrics::mounts::{self, Mount};
use crate::metrics::roots::Roots;
use crate::metrics::source::{FactResult, KernelFile, number, text};
use podperf_model::facts::CgroupLimits;
use podperf_model::reading::CgroupCpu;

/// v1 writes the largest multiple of a page below 2^63 where there is no limit, v2 "max".
const NO_LIMIT_BYTES: u64 = 1 << 60;

/// The process's directory in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CgroupDirectory {
    directory: PathBuf,
    /// Where the hierarchy is mounted: the uppermost group that can be seen.
    top: PathBuf,
}

impl CgroupDirectory {
    /// The group and those above it.
    fn upwards(&self) -> impl Iterator<Item = &Path> {
        self.directory.ancestors().take_while(|directory| directory.starts_with(&self.top))
    }
}

/// The cgroups that /proc/self names.
struct Membership {
    /// Lines of /proc/self/cgroup: controllers (v2: none) and path.
    lines: Vec<(Vec<String>, String)>,
    mounts: Vec<Mount>,
    pid: Option<String>,
}

impl Membership {
    fn read(roots: &Roots) -> FactResult<Self> {
        let lines = text(&roots.proc.join("self/cgroup"))?.lines().filter_map(membership).collect();
        let stat = text(&roots.proc.join("self/stat")).unwrap_or_default();
        let pid = stat.split(' ').next().map(str::to_owned);
        Ok(Self { lines, mounts: mounts::read(roots)?, pid })
    }

    /// The process's group of a v1 `controller`, or of v2 where none is named.
    fn find(&self, roots: &Roots, controller: Option<&str>) -> FactResult<CgroupDirectory> {
        let name = controller.unwrap_or("v2");
        let listed = |names: &[String]| match controller {
            Some(controller) => names.iter().any(|name| name == controller),
            None => names.is_empty(),
        };
        let (_, path) = self
            .lines
            .iter()
            .find(|(controllers, _)| listed(controllers))
            .ok_or_else(|| format!("cgroup {name}: not listed in /proc/self/cgroup"))?;
        let mounted = self.mounts.iter().filter(|mount| match controller {
            Some(controller) => {
                mount.kind == "cgroup" && mount.options.iter().any(|o| o == controller)
            }
            None => mount.kind == "cgroup2",
        });
        for mount in mounted {
            let top = roots.absolute(&mount.point);
            if let Some(below) = below(path, &mount.root) {
                let directory = if below.is_empty() { top.clone() } else { top.join(below) };
                if directory.is_dir() {
                    return Ok(CgroupDirectory { directory, top });
                }
            }
            if self.is_listed_in(&top) {
                return Ok(CgroupDirectory { directory: top.clone(), top });
            }
        }
        Err(format!("cgroup {name}: {path} stands below no mounted hierarchy"))
    }

    fn is_listed_in(&self, group: &Path) -> bool {
        let processes = text(&group.join("cgroup.procs")).unwrap_or_default();
        processes.lines().any(|pid| Some(pid) == self.pid.as_deref())
    }
}

/// One line of /proc/self/cgroup: `id:controllers:path`.
fn membership(line: &str) -> Option<(Vec<String>, String)> {
    let mut parts = line.splitn(3, ':').skip(1);
    let controllers = parts.next()?.split(',').filter(|name| !name.is_empty());
    Some((controllers.map(str::to_owned).collect(), parts.next()?.to_owned()))
}

/// The path of a group relative to a mount whose root is `root`; nothing when it is not below it.
fn below<'p>(path: &'p str, root: &str) -> Option<&'p str> {
    if path.split('/').any(|part| part == "..") {
        return None; // outside of this cgroup namespace
    }
    let rest = path.strip_prefix(root.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'))
}

/// Reads the CPU accounting of the process's group, again and again.
#[derive(Debug)]
pub(super) struct CgroupReader {
    v1_usage: Option<KernelFile>,
    v1_stat: Option<KernelFile>,
    v2_stat: Option<KernelFile>,
}

impl CgroupReader {
    /// Finds the group. On a hybrid machine the v1 controllers account, where they are mounted.
    pub(super) fn open(roots: &Roots) -> FactResult<Self> {
        let membership = Membership::read(roots)?;
        let open = |controller, file| {
            let group = membership.find(roots, controller)?;
            KernelFile::open(group.directory.join(file))
        };
        let v1_usage = open(Some("cpuacct"), "cpuacct.usage");
        let v1_stat = open(Some("cpu"), "cpu.stat");
        let v2_stat = open(None, "cpu.stat");
        match (&v1_usage, &v1_stat, &v2_stat) {
            (Err(usage), Err(_), Err(v2)) => Err(format!("{v2}; {usage}")),
            _ => Ok(Self { v1_usage: v1_usage.ok(), v1_stat: v1_stat.ok(), v2_stat: v2_stat.ok() }),
        }
    }

    /// The counters as of now.
    pub(super) fn read(&self, buffer: &mut Vec<u8>) -> FactResult<CgroupCpu> {
        let mut counters = match &self.v2_stat {
            Some(file) => parse_stat(&file.read(buffer)?),
            None => CgroupCpu::default(),
        };
        if let Some(file) = &self.v1_stat {
            counters = CgroupCpu { usage_us: counters.usage_us, ..parse_stat(&file.read(buffer)?) };
        }
        if let Some(file) = &self.v1_usage {
            let usage_ns: Option<u64> = file.read(buffer)?.trim().parse().ok();
            counters.usage_us = usage_ns.map(|usage| usage / 1_000);
        }
        if counters == CgroupCpu::default() {
            return Err("cgroup: cpu.stat and cpuacct.usage hold no figure".to_owned());
        }
        Ok(counters)
    }
}

/// cpu.stat of either version: v1 gives throttled_time in nanoseconds, v2 throttled_usec.
fn parse_stat(text: &str) -> CgroupCpu {
    let mut counters = CgroupCpu::default();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(' ') else { continue };
        let Ok(value) = value.trim().parse::<u64>() else { continue };
        match key {
            "usage_usec" => counters.usage_us = Some(value),
            "nr_periods" => counters.periods = Some(value),
            "nr_throttled" => counters.throttled_periods = Some(value),
            "throttled_usec" => counters.throttled_us = Some(value),
            "throttled_time" => counters.throttled_us = Some(value / 1_000),
            _ => {}
        }
    }
    counters
}

/// The limits in force: the tightest of the process's group and of those above it that can be seen.
pub(super) fn limits(roots: &Roots) -> FactResult<CgroupLimits> {
    let membership = Membership::read(roots)?;
    let v1_cpu = membership.find(roots, Some("cpu"));
    let v2 = membership.find(roots, None);
    let v1_memory = membership.find(roots, Some("memory"));
    let (version, quota) = match (&v1_cpu, &v2) {
        (Ok(group), _) => (1, tightest_quota(group, v1_quota)),
        (_, Ok(group)) => (2, tightest_quota(group, v2_quota)),
        (Err(v1), Err(v2)) => return Err(format!("{v2}; {v1}")),
    };
    let memory = match (&v1_memory, &v2) {
        (Ok(group), _) => tightest_memory(group, "memory.limit_in_bytes"),
        (_, Ok(group)) => tightest_memory(group, "memory.max"),
        _ => None,
    };
    Ok(CgroupLimits {
        version,
        cpu_quota_cores: quota.map(|(cores, _)| cores),
        cpu_period_us: quota.map(|(_, period_us)| period_us),
        memory_limit_bytes: memory,
    })
}

/// The tightest memory limit of the process's groups of both versions and of those above; absent:
/// none that can be seen.
pub(super) fn memory_limit(roots: &Roots) -> Option<u64> {
    let membership = Membership::read(roots).ok()?;
    let v1 = membership.find(roots, Some("memory")).ok();
    let v2 = membership.find(roots, None).ok();
    let limits = [
        v1.as_ref().and_then(|group| tightest_memory(group, "memory.limit_in_bytes")),
        // In a container, the groups above its own are told here alone.
        v1.as_ref().and_then(|group| hierarchical_limit(&group.directory)),
        v2.as_ref().and_then(|group| tightest_memory(group, "memory.max")),
    ];
    limits.into_iter().flatten().min()
}

/// What memory.stat of v1 says of the group and all above it.
fn hierarchical_limit(group: &Path) -> Option<u64> {
    let stat = text(&group.join("memory.stat")).ok()?;
    let limit = stat.lines().find_map(|line| line.strip_prefix("hierarchical_memory_limit "))?;
    limit.trim().parse().ok().filter(|limit| *limit < NO_LIMIT_BYTES)
}

/// Cores and period in microseconds of the tightest quota.
fn tightest_quota(
    group: &CgroupDirectory,
    read: fn(&Path) -> Option<(f64, u64)>,
) -> Option<(f64, u64)> {
    group.upwards().filter_map(read).min_by(|a, b| a.0.total_cmp(&b.0))
}

fn v1_quota(group: &Path) -> Option<(f64, u64)> {
    // -1: no quota.
    let quota: i64 = number(&group.join("cpu.cfs_quota_us")).ok()?;
    quota_cores(u64::try_from(quota).ok()?, number(&group.join("cpu.cfs_period_us")).ok()?)
}

fn v2_quota(group: &Path) -> Option<(f64, u64)> {
    // "max 100000": no quota.
    let text = text(&group.join("cpu.max")).ok()?;
    let (quota, period) = text.split_once(' ')?;
    quota_cores(quota.parse().ok()?, period.parse().ok()?)
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a period, far below 2^53")]
fn quota_cores(quota_us: u64, period_us: u64) -> Option<(f64, u64)> {
    (period_us > 0).then(|| (quota_us as f64 / period_us as f64, period_us))
}

fn tightest_memory(group: &CgroupDirectory, file: &str) -> Option<u64> {
    let limits = group.upwards().filter_map(|directory| number(&directory.join(file)).ok());
    limits.min().filter(|limit| *limit < NO_LIMIT_BYTES)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counters(fixture: &str) -> CgroupCpu {
        CgroupReader::open(&Roots::fixture(fixture)).unwrap().read(&mut Vec::new()).unwrap()
    }

    #[test]
    fn v1_controllers_mounted_apart() {
        let expected = CgroupCpu {
            usage_us: Some(1_234_567),
            periods: Some(100),
            throttled_periods: Some(7),
            throttled_us: Some(350_000),
        };
        assert_eq!(counters("cgroup-v1"), expected);
        let limits = limits(&Roots::fixture("cgroup-v1")).unwrap();
        assert_eq!((limits.version, limits.cpu_quota_cores), (1, Some(1.5)));
        assert_eq!((limits.cpu_period_us, limits.memory_limit_bytes), (Some(100_000), None));
        // Of a group above the container's, which only memory.stat knows.
        assert_eq!(memory_limit(&Roots::fixture("cgroup-v1")), Some(1 << 28));
    }

    #[test]
    fn v2_takes_the_tightest_limit_above() {
        let v2 = counters("cgroup-v2");
        assert_eq!((v2.usage_us, v2.periods, v2.throttled_us), (Some(5_000), Some(4), Some(90)));
        let limits = limits(&Roots::fixture("cgroup-v2")).unwrap();
        // The group itself allows 4 cores, the slice above it 2.
        assert_eq!((limits.version, limits.cpu_quota_cores), (2, Some(2.0)));
        assert_eq!(limits.memory_limit_bytes, Some(1 << 30));
        assert_eq!(memory_limit(&Roots::fixture("cgroup-v2")), Some(1 << 30));
        assert_eq!(memory_limit(&Roots::fixture("cgroup-v2-container")), Some(1 << 28));
    }

    #[test]
    fn a_container_sees_its_own_group_at_the_mount_point() {
        // The path is the host's; the mount's root is the same.
        let v2 = counters("cgroup-v2-container");
        assert_eq!((v2.usage_us, v2.periods), (Some(77_000), Some(12)));
        let limits = limits(&Roots::fixture("cgroup-v2-container")).unwrap();
        assert_eq!(limits.cpu_quota_cores, Some(0.5));
    }

    #[test]
    fn a_hybrid_machine_accounts_in_v1() {
        let hybrid = counters("cgroup-hybrid");
        assert_eq!((hybrid.usage_us, hybrid.periods), (Some(9), Some(0)));
        assert_eq!(limits(&Roots::fixture("cgroup-hybrid")).unwrap().version, 1);
    }

    #[test]
    fn a_group_outside_the_namespace_is_only_taken_if_it_lists_the_process() {
        let roots = Roots::fixture("cgroup-v2");
        let mut membership = Membership::read(&roots).unwrap();
        membership.lines = vec![(vec![], "/../other.slice".to_owned())];
        assert!(membership.find(&roots, None).unwrap_err().contains("other.slice"));
        membership.pid = Some("1".to_owned()); // listed in the fixture's top group
        assert_eq!(
            membership.find(&roots, None).unwrap().directory,
            roots.absolute("/sys/fs/cgroup")
        );
    }

    #[test]
    fn paths_below_a_mount() {
        assert_eq!(below("/a/b", "/"), Some("a/b"));
        assert_eq!(below("/a/b", "/a"), Some("b"));
        assert_eq!(below("/a/b", "/a/b"), Some(""));
        assert_eq!(below("/ab", "/a"), None);
        assert_eq!(below("/", "/.."), None);
        assert_eq!(below("/../x", "/"), None);
    }

    #[test]
    fn odd_lines_are_left_out() {
        let stat = parse_stat("usage_usec\nnr_periods x\nnr_throttled 3\n\nunknown 9\n");
        assert_eq!(stat, CgroupCpu { throttled_periods: Some(3), ..CgroupCpu::default() });
        assert_eq!(membership("nonsense"), None);
        assert_eq!(membership("0::/a:b").unwrap(), (vec![], "/a:b".to_owned()));
    }

    proptest! {
        #[test]
        fn no_text_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), root in ".*") {
            let text = String::from_utf8_lossy(&bytes);
            parse_stat(&text);
            let _ = text.lines().filter_map(membership).count();
            let _ = below(&text, &root);
        }
    }
}
