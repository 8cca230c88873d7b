//! The machine's and the process's counters, read at the window's edges and at each interval.
//!
//! Enters: files kept open below [`Roots`]. Leaves: [`HostCounters`], each cumulative and 64 bits
//! wide. Reading again allocates no more than the records it returns. What cannot be read is
//! absent, and [`HostReader::unknown`] says why.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use nix::unistd::{SysconfVar, sysconf};

use crate::metrics::cgroup::CgroupReader;
use crate::metrics::process;
use crate::metrics::roots::Roots;
use crate::metrics::source::{FactResult, KernelFile, Unknown, cpu_list};
use crate::metrics::topology::allowed_cpus;
use crate::metrics::{device, proc_stat, softirqs, softnet};
use podperf_model::reading::{CpuStat, HostCounters, NetSoftirqs, Softnet};

/// Reads [`HostCounters`].
#[derive(Debug)]
pub struct HostReader {
    stat: Option<KernelFile>,
    softnet: Option<KernelFile>,
    softirqs: Option<KernelFile>,
    cgroup: Option<CgroupReader>,
    /// Index of the device whose packets are counted.
    device: Option<u32>,
    ticks_per_second: u64,
    online_at_opening: Vec<u32>,
    softnet_before: BTreeMap<u32, [Widened; 3]>,
    softirqs_before: BTreeMap<u32, [Widened; 2]>,
    unknown: Unknown,
    buffer: Vec<u8>,
}

impl HostReader {
    /// Opens every source. One that cannot be opened is left out and stands in
    /// [`unknown`](Self::unknown).
    #[must_use]
    pub fn open(roots: &Roots) -> Self {
        let mut unknown = Unknown::default();
        let file = |path: &str| KernelFile::open(roots.proc.join(path));
        let ticks = ticks_per_second();
        // Ticks without their length say nothing.
        let stat = ticks.clone().and_then(|_| file("stat"));
        let online = cpu_list(&roots.sys.join("devices/system/cpu/online"));
        Self {
            stat: unknown.note("cpu", stat),
            softnet: unknown.note("softnet", file("net/softnet_stat")),
            softirqs: unknown.note("softirqs", file("softirqs")),
            cgroup: unknown.note("cgroup", CgroupReader::open(roots)),
            device: None,
            ticks_per_second: ticks.unwrap_or(0),
            online_at_opening: online.unwrap_or_default(),
            softnet_before: BTreeMap::new(),
            softirqs_before: BTreeMap::new(),
            unknown,
            buffer: Vec::new(),
        }
    }

    /// Counts the packets of the device of this index, too.
    #[must_use]
    pub const fn with_device(mut self, index: Option<u32>) -> Self {
        self.device = index;
        self
    }

    /// All counters as of now, but for what the workers' owner alone can read. `sampler_ns` is the
    /// CPU time that this call took.
    pub fn read(&mut self) -> HostCounters {
        let began = process::thread_cpu_ns();
        // CPU and process times first and next to each other: they are compared.
        let cpu = self.cpu();
        let process = self.unknown.note("process", process::times());
        let softnet = self.softnet(cpu.as_ref());
        let softirqs = self.softirqs();
        let device = self.device.and_then(device::packets);
        let cgroup = self.cgroup.as_ref().map(|cgroup| cgroup.read(&mut self.buffer));
        let cgroup = cgroup.and_then(|reading| self.unknown.note("cgroup", reading));
        let cpus_allowed = self.unknown.note("cpus_allowed", allowed_cpus());
        let sampler_ns = process::thread_cpu_ns().saturating_sub(began);
        HostCounters {
            cpu,
            process,
            softnet,
            device,
            softirqs,
            cgroup,
            cpus_allowed,
            worker_cpus_allowed: None,
            sampler_ns,
        }
    }

    /// Why a source is missing, by the name of its field in [`HostCounters`].
    #[must_use]
    pub const fn unknown(&self) -> &BTreeMap<String, String> {
        &self.unknown.0
    }

    fn cpu(&mut self) -> Option<CpuStat> {
        let text = self.stat.as_ref()?.read(&mut self.buffer);
        let (total, per_cpu) =
            self.unknown.note("cpu", text.and_then(|text| proc_stat::parse(&text)))?;
        Some(CpuStat { ticks_per_second: self.ticks_per_second, total, per_cpu })
    }

    fn softnet(&mut self, cpu: Option<&CpuStat>) -> Option<BTreeMap<u32, Softnet>> {
        let text = self.softnet.as_ref()?.read(&mut self.buffer);
        let parsed = text.and_then(|text| match cpu {
            Some(cpu) => softnet::parse(&text, cpu.per_cpu.keys().copied()),
            None => softnet::parse(&text, self.online_at_opening.iter().copied()),
        });
        let mut counters = self.unknown.note("softnet", parsed)?;
        for (cpu, now) in &mut counters {
            let fields = [&mut now.processed, &mut now.dropped, &mut now.time_squeeze];
            widen(self.softnet_before.entry(*cpu), fields);
        }
        Some(counters)
    }

    fn softirqs(&mut self) -> Option<BTreeMap<u32, NetSoftirqs>> {
        let text = self.softirqs.as_ref()?.read(&mut self.buffer);
        let parsed = text.and_then(|text| softirqs::parse(&text));
        let mut counters = self.unknown.note("softirqs", parsed)?;
        for (cpu, now) in &mut counters {
            widen(self.softirqs_before.entry(*cpu), [&mut now.net_rx, &mut now.net_tx]);
        }
        Some(counters)
    }
}

fn ticks_per_second() -> FactResult<u64> {
    let ticks = sysconf(SysconfVar::CLK_TCK);
    let positive = ticks.ok().flatten().and_then(|ticks| u64::try_from(ticks).ok());
    positive.filter(|ticks| *ticks > 0).ok_or_else(|| format!("sysconf(_SC_CLK_TCK): {ticks:?}"))
}

/// A counter that the kernel keeps in 32 bits (softnet_stat, softirqs), made 64 bits wide: at ten
/// million packets a second one wraps within seven minutes.
#[derive(Debug, Clone, Copy, Default)]
struct Widened {
    last: u64,
    wrapped: u64,
}

impl Widened {
    const fn next(&mut self, counter: u64) -> u64 {
        if counter < self.last {
            self.wrapped += 1 << 32;
        }
        self.last = counter;
        self.wrapped + counter
    }
}

fn widen<const N: usize>(before: Entry<'_, u32, [Widened; N]>, now: [&mut u64; N]) {
    for (before, now) in before.or_insert_with(|| [Widened::default(); N]).iter_mut().zip(now) {
        *now = before.next(*now);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_machine_with_an_offline_cpu() {
        let mut reader = HostReader::open(&Roots::fixture("cpu1-offline"));
        let counters = reader.read();
        assert_eq!(reader.unknown(), &BTreeMap::new());
        let cpu = counters.cpu.unwrap();
        assert_eq!(cpu.ticks_per_second, 100);
        assert_eq!(cpu.per_cpu.keys().copied().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(cpu.per_cpu[&2].softirq, 29);
        // No CPU column: the second line is that of the second CPU online.
        assert_eq!(counters.softnet.unwrap()[&2].dropped, 3);
        assert_eq!(counters.softirqs.unwrap()[&2].net_rx, 3_253);
        assert_eq!(counters.cgroup.unwrap().usage_us, Some(42));
        assert!(counters.process.is_some());
    }

    #[test]
    fn a_kernel_that_names_the_cpu_of_a_line() {
        let counters = HostReader::open(&Roots::fixture("proc-2cpu")).read();
        let softnet = counters.softnet.unwrap();
        assert_eq!((softnet[&0].processed, softnet[&1].processed), (0xa, 0x17e6));
        assert_eq!(softnet[&1].time_squeeze, 4);
    }

    #[test]
    fn what_cannot_be_read_is_absent_with_its_reason() {
        let empty = tempfile::tempdir().unwrap();
        let mut reader = HostReader::open(&Roots::below(empty.path()));
        let counters = reader.read();
        assert_eq!((counters.cpu, counters.softnet, counters.softirqs), (None, None, None));
        let unknown: Vec<_> = reader.unknown().keys().map(String::as_str).collect();
        assert_eq!(unknown, ["cgroup", "cpu", "softirqs", "softnet"]);
        assert!(reader.unknown()["cpu"].contains("proc/stat: No such file"));
    }

    #[test]
    fn a_cpu_may_vanish_and_counters_may_wrap_between_readings() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("proc/net")).unwrap();
        let write = |stat: &str, softnet: &str| {
            fs::write(tree.path().join("proc/stat"), stat).unwrap();
            fs::write(tree.path().join("proc/net/softnet_stat"), softnet).unwrap();
        };
        let line = "1 2 3 4 5 6 7 8 0 0";
        write(&format!("cpu  {line}\ncpu0 {line}\ncpu1 {line}\n"), "fffffffe 0 0\n5 0 0\n");
        let mut reader = HostReader::open(&Roots::below(tree.path()));
        assert_eq!(reader.read().cpu.unwrap().per_cpu.len(), 2);

        write(&format!("cpu  {line}\ncpu0 {line}\n"), "00000002 0 0\n");
        let counters = reader.read();
        assert_eq!(counters.cpu.unwrap().per_cpu.len(), 1);
        let softnet = counters.softnet.unwrap();
        assert_eq!(softnet[&0].processed, (1 << 32) + 2);
        assert_eq!(softnet.len(), 1);
    }

    #[test]
    fn this_machine_counts_upwards() {
        let mut reader = HostReader::open(&Roots::default());
        let first = reader.read().cpu.unwrap();
        let second = reader.read().cpu.unwrap();
        assert!(second.total.user >= first.total.user);
        assert!(second.total.system >= first.total.system);
        assert!(!second.per_cpu.is_empty());
    }
}
