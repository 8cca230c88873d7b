//! /proc/net/softnet_stat: what each CPU's network backlog has seen (net/core/net-procfs.c).
//!
//! Enters: its text. Leaves: counters by CPU id. Since Linux 5.10 a line names its CPU in its 13th
//! column; before, the lines are those of the online CPUs in order.

use std::collections::BTreeMap;

use crate::metrics::source::FactResult;
use podperf_model::reading::Softnet;

const CPU_COLUMN: usize = 12;

/// The lines by CPU. `online` names the CPUs online, ascending, for a kernel that does not.
pub(super) fn parse(
    text: &str,
    online: impl ExactSizeIterator<Item = u32>,
) -> FactResult<BTreeMap<u32, Softnet>> {
    let lines: Vec<SoftnetLine> = text.lines().filter_map(line).collect();
    if lines.is_empty() {
        return Err("/proc/net/softnet_stat: no line with three figures".to_owned());
    }
    if lines.iter().all(|line| line.cpu.is_some()) {
        return Ok(lines.into_iter().filter_map(|line| Some((line.cpu?, line.counters))).collect());
    }
    if lines.len() != online.len() {
        return Err(format!(
            "/proc/net/softnet_stat: {} lines without a CPU column for {} CPUs online",
            lines.len(),
            online.len()
        ));
    }
    Ok(online.zip(lines.into_iter().map(|line| line.counters)).collect())
}

struct SoftnetLine {
    cpu: Option<u32>,
    counters: Softnet,
}

fn line(text: &str) -> Option<SoftnetLine> {
    let mut columns = text.split_ascii_whitespace().map(|word| u64::from_str_radix(word, 16).ok());
    let mut next = || columns.next()?;
    let counters = Softnet { processed: next()?, dropped: next()?, time_squeeze: next()? };
    let cpu = columns.nth(CPU_COLUMN - 3).flatten().and_then(|cpu| u32::try_from(cpu).ok());
    Some(SoftnetLine { cpu, counters })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: &str = "0000000a 00000001 00000002 00000000 00000000 00000000 00000000 00000000 \
                         00000000 00000000 00000000\n";

    #[test]
    fn the_cpu_column_counts_where_there_is_one() {
        let tail = "0 0 0 0 0 0 0 0 0";
        let text = format!("000017e6 1 2 {tail} 0000000b 0 0\nff 3 4 {tail} 00000002 0 0\n");
        let softnet = parse(&text, [0, 1].into_iter()).unwrap();
        assert_eq!(softnet.keys().copied().collect::<Vec<_>>(), [2, 11]);
        assert_eq!(softnet[&11], Softnet { processed: 0x17e6, dropped: 1, time_squeeze: 2 });
    }

    #[test]
    fn lines_without_it_are_those_of_the_online_cpus() {
        let softnet = parse(&PLAIN.repeat(2), [0, 3].into_iter()).unwrap();
        assert_eq!(softnet.keys().copied().collect::<Vec<_>>(), [0, 3]);
        assert_eq!(softnet[&3].time_squeeze, 2);
        let reason = parse(PLAIN, [0, 3].into_iter()).unwrap_err();
        assert!(reason.contains("1 lines") && reason.contains("2 CPUs"), "{reason}");
    }

    #[test]
    fn odd_lines_are_left_out() {
        assert!(parse("", [].into_iter()).is_err());
        assert!(parse("0a 0b\nzz 1 2\n", [0].into_iter()).is_err());
        let softnet = parse(&format!("short\n{PLAIN}"), [4].into_iter()).unwrap();
        assert_eq!(softnet[&4].processed, 10);
    }

    proptest! {
        #[test]
        fn no_text_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&String::from_utf8_lossy(&bytes), [0, 1].into_iter());
        }

        #[test]
        fn no_near_miss_panics(text in "(([0-9a-g]{1,20} ){0,16}\n){0,4}") {
            let _ = parse(&text, [0, 1].into_iter());
        }
    }
}
