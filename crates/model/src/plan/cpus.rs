//! CPU lists as people write them: `0,2,4-7`.

use super::MAX_CPUS;
use crate::units::parse_count;

/// Reads a list of CPUs; absent: it is none.
#[must_use]
pub fn parse_cpus(list: &str) -> Option<Vec<u32>> {
    let cpu = |text| parse_count::<u32>(text).ok().filter(|cpu| *cpu < MAX_CPUS);
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (cpu(first)?, cpu(last)?);
        if first > last {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

/// Writes CPUs as [`parse_cpus`] reads them, ascending ones drawn together.
#[must_use]
pub fn cpu_list(cpus: &[u32]) -> String {
    let runs = cpus.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        [one] => one.to_string(),
        [] => String::new(),
    });
    runs.collect::<Vec<_>>().join(",")
}
