//! /proc/stat (proc_stat(5)): CPU time of the machine and of each CPU.
//!
//! Enters: its text. Leaves: ticks by CPU id. Rows are known by their label, not by their position:
//! only CPUs that are online have one.

use std::collections::BTreeMap;

use crate::metrics::source::FactResult;
use podperf_model::reading::CpuTicks;

/// The line of the whole machine, and those of the CPUs that are online.
pub(super) fn parse(text: &str) -> FactResult<(CpuTicks, BTreeMap<u32, CpuTicks>)> {
    let mut total = None;
    let mut per_cpu = BTreeMap::new();
    // The CPUs' lines stand at the top; the interrupts' line after them is long.
    for line in text.lines().take_while(|line| line.starts_with("cpu")) {
        let (label, figures) = line.split_once(' ').unwrap_or((line, ""));
        let Some(ticks) = ticks(figures) else { continue };
        match label.strip_prefix("cpu") {
            Some("") => total = Some(ticks),
            Some(id) => {
                if let Ok(id) = id.parse() {
                    per_cpu.insert(id, ticks);
                }
            }
            None => {}
        }
    }
    let total = total.ok_or("/proc/stat: no line 'cpu' with eight figures")?;
    Ok((total, per_cpu))
}

/// The first eight figures. The two that follow, guest and guest_nice, are part of user and nice.
fn ticks(figures: &str) -> Option<CpuTicks> {
    let mut figures = figures.split_ascii_whitespace().map(str::parse);
    let mut next = || figures.next()?.ok();
    Some(CpuTicks {
        user: next()?,
        nice: next()?,
        system: next()?,
        idle: next()?,
        iowait: next()?,
        irq: next()?,
        softirq: next()?,
        steal: next()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_offline_cpu_shifts_no_row_and_guests_are_not_added() {
        let text = "cpu  20 2 8 200 4 1 6 2 7 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n\
                    cpu2 11 1 4 100 2 0 3 1 5 0\nintr 5 4\ncpu7 9 9 9 9 9 9 9 9\n";
        let (total, per_cpu) = parse(text).unwrap();
        assert_eq!((total.user, total.nice, total.softirq, total.steal), (20, 2, 6, 2));
        assert_eq!(per_cpu.keys().copied().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(per_cpu[&2].user, 11);
    }

    #[test]
    fn odd_lines_are_left_out() {
        let text = "cpu  1 2 3 4 5 6 7 8\ncpu0 1 2 3\ncpux 1 2 3 4 5 6 7 8\ncpu\n\
                    cpu1 1 2 3 4 5 6 7 -8\ncpu3 1 2 3 4 5 6 7 8 9 10 11 12\n";
        assert_eq!(parse(text).unwrap().1.keys().copied().collect::<Vec<_>>(), [3]);
        assert!(parse("cpu  1 2 3 4\n").is_err());
        assert!(parse("").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn no_near_miss_panics(text in "(cpu[0-9x]{0,12}[ 0-9-]{0,60}\n){0,4}") {
            let _ = parse(&text);
        }
    }
}
