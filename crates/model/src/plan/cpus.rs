//! Lists of CPUs as people write them.

/// A list with neighbours drawn together, in the order given: `0,2,4-7`.
#[must_use]
pub fn cpu_list(cpus: &[u32]) -> String {
    let runs = cpus.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        [one] => one.to_string(),
        [] => String::new(),
    });
    runs.collect::<Vec<_>>().join(",")
}
