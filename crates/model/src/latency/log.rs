//! Latencies as HdrHistogram logs (.hlog): a histogram an interval, as its tools of any language
//! read and write them.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{
    IntervalLogIterator, IntervalLogWriterBuilder, IntervalLogWriterError, LogEntry,
    LogIteratorError, Tag,
};

use super::{Latencies, decode};

/// Largest values of a log are written in milliseconds, as is the custom.
const NS_PER_MAX_UNIT: f64 = 1e6;

/// One histogram of a log.
#[derive(Debug, Clone)]
pub struct LogPart {
    /// What the log calls it.
    pub tag: Option<String>,
    /// When it began, after the epoch, or after what the log begins with.
    pub start: Duration,
    /// How long it counted.
    pub length: Duration,
    /// What was counted.
    pub latencies: Latencies,
}

/// When `rfc3339` was, after the epoch; zero where it is no such time.
#[must_use]
pub fn since_epoch(rfc3339: &str) -> Duration {
    let time = humantime::parse_rfc3339_weak(rfc3339).unwrap_or(SystemTime::UNIX_EPOCH);
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Reads a log whose values count so many nanoseconds each. The values come from the histograms'
/// bins, so that mean and deviation are as exact as those are.
///
/// # Errors
/// In words and with the number of the histogram, when it is no log, or one of its histograms is
/// damaged; and when there is none.
pub fn read(bytes: &[u8], ns_per_value: u64) -> Result<Vec<LogPart>, String> {
    let mut parts = Vec::new();
    // The library asks for an end of the last line too.
    let mut bytes = bytes.to_vec();
    if bytes.last().is_some_and(|last| *last != b'\n') {
        bytes.push(b'\n');
    }
    for entry in IntervalLogIterator::new(&bytes) {
        let entry = entry.map_err(|error| match error {
            LogIteratorError::ParseError { offset } => {
                format!("no HdrHistogram log: byte {offset} is not as the format has it")
            }
        })?;
        let LogEntry::Interval(own) = entry else { continue };
        let number = parts.len() + 1;
        let found = decode::decode_foreign(own.encoded_histogram())
            .map_err(|cause| format!("histogram {number} of the log: {cause}"))?;
        let mut latencies = Latencies::new();
        for step in found.iter_recorded() {
            let value = found.median_equivalent(step.value_iterated_to()).max(1);
            let times = step.count_since_last_iteration();
            latencies.record_many(value.saturating_mul(ns_per_value), times);
        }
        parts.push(LogPart {
            tag: own.tag().map(|tag| tag.as_str().to_owned()),
            start: own.start_timestamp(),
            length: own.duration(),
            latencies,
        });
    }
    if parts.is_empty() { Err("the log has no histogram".to_owned()) } else { Ok(parts) }
}

/// Writes a log, in nanoseconds.
///
/// # Errors
/// Those of `out`.
pub fn write(parts: &[LogPart], out: &mut dyn Write) -> io::Result<()> {
    let mut serializer = V2DeflateSerializer::new();
    let mut out = out;
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment("[podperf: values in nanoseconds; largest values in milliseconds]")
        .with_max_value_divisor(NS_PER_MAX_UNIT)
        .begin_log_with(&mut out, &mut serializer)?;
    for part in parts {
        // What would end a tag is no part of one.
        let tag = part.tag.as_deref().unwrap_or_default();
        let tag: String = tag
            .chars()
            .map(|char| if ",\r\n ".contains(char) || char.is_control() { '_' } else { char })
            .collect();
        let tag = if tag.is_empty() { None } else { Tag::new(&tag) };
        let written =
            writer.write_histogram(&part.latencies.histogram, part.start, part.length, tag);
        written.map_err(|error| match error {
            IntervalLogWriterError::IoError(error) => error,
            other => io::Error::other(other.to_string()),
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(tag: &str, values: &[u64]) -> LogPart {
        let mut latencies = Latencies::new();
        values.iter().for_each(|ns| latencies.record(*ns));
        let (start, length) = (Duration::from_secs(1_700_000_000), Duration::from_millis(2_500));
        LogPart { tag: Some(tag.to_owned()), start, length, latencies }
    }

    #[test]
    fn a_log_is_read_as_it_was_written() {
        let parts = [part("pod,3 flows\n", &[1_000, 52_000, 2_000_000_000]), part("", &[7])];
        let mut log = Vec::new();
        write(&parts, &mut log).unwrap();
        let text = String::from_utf8(log.clone()).unwrap();
        assert!(text.contains("Tag=pod_3_flows_,1700000000.000,2.500,2"), "{text}");
        let back = read(&log, 1).unwrap();
        assert_eq!(back.len(), 2);
        assert_eq!(back[0].tag.as_deref(), Some("pod_3_flows_"));
        assert_eq!((back[0].start, back[0].length), (parts[0].start, parts[0].length));
        let counts = |own: &LogPart| own.latencies.counts().collect::<Vec<_>>();
        assert_eq!(back.iter().map(counts).collect::<Vec<_>>(), parts.each_ref().map(counts));
        // A value in microseconds is a thousand of ours.
        let back = read(&log, 1_000).unwrap();
        assert_eq!(back[1].latencies.max_ns(), Some(7_000));
    }

    #[test]
    fn a_histogram_of_other_bounds_is_read() {
        use base64::Engine as _;
        use hdrhistogram::serialization::Serializer as _;
        let mut own = hdrhistogram::Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 2).unwrap();
        own.record_n(1_000, 30).unwrap();
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&own, &mut bytes).unwrap();
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        let log = format!("#[StartTime: 1.000 (seconds since epoch)]\n0.1,1.0,1.0,{text}\n");
        let back = read(log.as_bytes(), 1_000).unwrap();
        assert_eq!((back.len(), back[0].latencies.count()), (1, 30));
        let mean = back[0].latencies.mean_ns().unwrap();
        assert!((mean / 1e6 - 1.0).abs() < 0.01, "{mean}");
    }

    #[test]
    fn what_is_no_log_is_refused_by_name() {
        for (bytes, expected) in [
            (&b"{}"[..], "no HdrHistogram log: byte 0"),
            (b"", "the log has no histogram"),
            (b"#only a comment\n", "the log has no histogram"),
            (b"0.1,1.0,1.0,AAAA", "histogram 1 of the log: it is no deflated HdrHistogram V2"),
        ] {
            let error = read(bytes, 1).unwrap_err();
            assert!(error.contains(expected), "{error}, expected: {expected}");
        }
        assert_eq!(since_epoch("1970-01-01T00:00:02Z"), Duration::from_secs(2));
        assert_eq!(since_epoch("never"), Duration::ZERO);
    }
}
