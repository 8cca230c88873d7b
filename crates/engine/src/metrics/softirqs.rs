//! /proc/softirqs: how often each CPU ran each kind of softirq (fs/proc/softirqs.c).
//!
//! Enters: its text. Leaves: the two network kinds by CPU id, as the header names them.

use std::collections::BTreeMap;

use crate::metrics::source::FactResult;
use podperf_model::reading::NetSoftirqs;

/// NET_RX and NET_TX by CPU. The kernel lists every possible CPU, offline ones too.
pub(super) fn parse(text: &str) -> FactResult<BTreeMap<u32, NetSoftirqs>> {
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let cpus: Option<Vec<u32>> = header
        .split_ascii_whitespace()
        .map(|word| word.strip_prefix("CPU")?.parse().ok())
        .collect();
    let cpus = cpus.filter(|cpus| !cpus.is_empty()).ok_or("/proc/softirqs: no header of CPUs")?;

    let (mut received, mut sent) = (None, None);
    for line in lines {
        let Some((label, figures)) = line.split_once(':') else { continue };
        match label.trim() {
            "NET_RX" => received = row(figures, cpus.len()),
            "NET_TX" => sent = row(figures, cpus.len()),
            _ => {}
        }
    }
    let (Some(received), Some(sent)) = (received, sent) else {
        return Err("/proc/softirqs: no NET_RX and NET_TX with a figure a CPU".to_owned());
    };
    let counts = received.into_iter().zip(sent);
    let counts = counts.map(|(net_rx, net_tx)| NetSoftirqs { net_rx, net_tx });
    Ok(cpus.into_iter().zip(counts).collect())
}

fn row(figures: &str, columns: usize) -> Option<Vec<u64>> {
    let row: Option<Vec<u64>> =
        figures.split_ascii_whitespace().map(|word| word.parse().ok()).collect();
    row.filter(|row| row.len() == columns)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn columns_are_known_by_the_header() {
        let text = "   CPU0   CPU3\n  HI: 1 2\n NET_TX: 5 0\n NET_RX: 2103 3253\n";
        let softirqs = parse(text).unwrap();
        assert_eq!(softirqs[&3], NetSoftirqs { net_rx: 3_253, net_tx: 0 });
        assert_eq!(softirqs[&0], NetSoftirqs { net_rx: 2_103, net_tx: 5 });
        assert_eq!(softirqs.len(), 2);
    }

    #[test]
    fn odd_text_has_a_reason() {
        for odd in [
            "",
            "NET_RX: 1\nNET_TX: 1\n",
            "CPU0 CPUx\nNET_RX: 1 2\nNET_TX: 1 2\n",
            "CPU0 CPU1\nNET_RX: 1\nNET_TX: 1 2\n",
            "CPU0\nNET_RX: 1\n",
            "CPU0\nNET_RX: 1\nNET_TX: many\n",
        ] {
            assert!(parse(odd).is_err(), "{odd}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn no_near_miss_panics(
            header in "( CPU[0-9]{0,11}){0,3}\n",
            rows in "(NET_[RT]X:( [0-9x]{1,22}){0,4}\n){0,4}",
        ) {
            let _ = parse(&(header + &rows));
        }
    }
}
