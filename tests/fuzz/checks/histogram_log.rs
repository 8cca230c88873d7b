//! HdrHistogram logs that another tool wrote.

use podperf_model::latency::log;

use super::text::assert_one_line;

/// Checks one log: what is read of it is written and read again.
pub fn check(data: &[u8]) {
    let parts = match log::read(data, 1) {
        Ok(parts) => parts,
        Err(refusal) => return assert_one_line(&refusal, "a refusal"),
    };
    assert!(!parts.is_empty(), "a log without a histogram");
    let mut written = Vec::new();
    log::write(&parts, &mut written).expect("memory takes it");
    let again = log::read(&written, 1).expect("a log that podperf wrote");
    assert_eq!(parts.len(), again.len());
    for (own, other) in parts.iter().zip(&again) {
        let counts = |part: &log::LogPart| part.latencies.counts().collect::<Vec<_>>();
        assert_eq!(counts(own), counts(other));
        let points = own.latencies.percentiles(5).map(|point| (point.ns, point.at_or_below));
        assert!(points.is_sorted(), "percentiles that fall");
    }
    let _ = log::read(data, 1_000_000);
}
