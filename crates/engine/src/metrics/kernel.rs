//! Facts about the kernel: release, boot, how it accounts softirq time.
//!
//! Enters: /proc and the kernel's build configuration. Leaves: facts, or why there are none.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use nix::sys::utsname::uname;

use crate::metrics::roots::Roots;
use crate::metrics::source::{FactResult, reason, text};

pub(super) fn release(roots: &Roots) -> FactResult<String> {
    text(&roots.sysctl("kernel/osrelease"))
}

pub(super) fn hostname(roots: &Roots) -> FactResult<String> {
    text(&roots.sysctl("kernel/hostname"))
}

pub(super) fn boot_id(roots: &Roots) -> FactResult<String> {
    text(&roots.sysctl("kernel/random/boot_id"))
}

/// Machine architecture as uname(2) has it; a build for another one runs emulated.
pub(super) fn architecture() -> FactResult<String> {
    let names = uname().map_err(|errno| format!("uname: {errno}"))?;
    Ok(names.machine().to_string_lossy().into_owned())
}

/// Memory of the machine, in bytes (MemTotal of /proc/meminfo, which is in KiB).
pub(super) fn memory_bytes(roots: &Roots) -> FactResult<u64> {
    let path = roots.proc.join("meminfo");
    let meminfo = text(&path)?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total
        .and_then(|total| total.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1_024))
        .ok_or_else(|| reason(&path, "no MemTotal in kB"))
}

/// Whether the kernel was built to measure softirq time at its edges
/// (CONFIG_IRQ_TIME_ACCOUNTING) rather than to sample it at each timer tick.
pub(super) fn irq_time_accounting(roots: &Roots) -> FactResult<bool> {
    let mut reasons = Vec::new();
    let packed = roots.proc.join("config.gz");
    match File::open(&packed) {
        Ok(file) => return configured(GzDecoder::new(file), &packed),
        Err(error) => reasons.push(reason(&packed, error)),
    }
    let release = release(roots)?;
    // Debian and its kin; Fedora and its kin.
    for path in [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")] {
        let path = roots.absolute(&path);
        match File::open(&path) {
            Ok(file) => return configured(file, &path),
            Err(error) => reasons.push(reason(&path, error)),
        }
    }
    Err(reasons.join("; "))
}

fn configured(config: impl Read, path: &Path) -> FactResult<bool> {
    let mut seen = false;
    for line in BufReader::new(config).lines() {
        let line = line.map_err(|error| reason(path, error))?;
        if line == "CONFIG_IRQ_TIME_ACCOUNTING=y" {
            return Ok(true);
        }
        seen |= line.contains("CONFIG_");
    }
    // The symbol is absent where the architecture cannot have it.
    if seen { Ok(false) } else { Err(reason(path, "no kernel configuration")) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn the_configuration_is_looked_for_in_three_places() {
        let tree = tempfile::tempdir().unwrap();
        let roots = Roots::below(tree.path());
        let write = |path: &str, bytes: &[u8]| {
            let path = roots.absolute(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        write("proc/sys/kernel/osrelease", b"6.1.0-test\n");
        let reason = irq_time_accounting(&roots).unwrap_err();
        assert!(reason.contains("config.gz") && reason.contains("6.1.0-test"), "{reason}");

        write("boot/config-6.1.0-test", b"# CONFIG_IRQ_TIME_ACCOUNTING is not set\n");
        assert_eq!(irq_time_accounting(&roots), Ok(false));

        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(b"CONFIG_X=m\nCONFIG_IRQ_TIME_ACCOUNTING=y\n").unwrap();
        write("proc/config.gz", &packed.finish().unwrap());
        assert_eq!(irq_time_accounting(&roots), Ok(true));

        write("proc/config.gz", b"not packed");
        assert!(irq_time_accounting(&roots).is_err());
    }

    #[test]
    fn memory_is_in_bytes() {
        let tree = tempfile::tempdir().unwrap();
        let roots = Roots::below(tree.path());
        std::fs::create_dir_all(&roots.proc).unwrap();
        let path = roots.proc.join("meminfo");
        std::fs::write(&path, "MemTotal:       49368168 kB\nMemFree: 1 kB\n").unwrap();
        assert_eq!(memory_bytes(&roots), Ok(49_368_168 * 1_024));
        for odd in ["", "MemTotal:", "MemTotal: x kB", "MemTotal: 18446744073709551615 kB"] {
            std::fs::write(&path, odd).unwrap();
            assert!(memory_bytes(&roots).is_err(), "{odd}");
        }
    }
}
