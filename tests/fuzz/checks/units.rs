//! Quantities as typed: what is printed reads as what it was printed from.

use podperf_model::units::{BitRate, Bytes, parse_count, parse_duration, parse_frequency};

/// Checks one text.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(bytes) = text.parse::<Bytes>() {
        assert_eq!(bytes.to_string().parse(), Ok(bytes), "bytes");
        assert_eq!(bytes.0.to_string().parse(), Ok(bytes), "bytes without a unit");
    }
    if let Ok(rate) = text.parse::<BitRate>() {
        assert_eq!(rate.to_string().parse(), Ok(rate), "bit rate");
        assert_eq!(rate.0.to_string().parse(), Ok(rate), "bit rate without a unit");
    }
    if let Ok(time) = parse_duration(text) {
        let shown = humantime::format_duration(time).to_string();
        assert_eq!(parse_duration(&shown), Ok(time), "time as {shown}");
        let seconds = format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
        assert_eq!(parse_duration(&seconds), Ok(time), "time in seconds");
    }
    if let Ok(frequency) = parse_frequency(text) {
        assert!(frequency.is_finite() && frequency >= 0.0, "{frequency} per second");
    }
    if let Ok(count) = parse_count::<u32>(text) {
        assert_eq!(parse_count(text), Ok(u64::from(count)), "a count of 64 bits");
        assert_eq!(parse_count(&count.to_string()), Ok(count), "count");
    }
    if let Ok(count) = parse_count::<u64>(text) {
        assert_eq!(Ok(Bytes(count)), text.parse(), "a count of bytes");
    }
}
