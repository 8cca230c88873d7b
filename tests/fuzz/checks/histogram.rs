//! Histograms from a peer: text, what it inflates to, and the sums beside it.

use std::io::Write as _;

use arbitrary::{Result, Unstructured};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use podperf_model::latency::{Latencies, LatencyWire, MAX_LATENCY_NS};

use super::text::assert_one_line;

/// Opens the deflated form, and what it inflates to.
const DEFLATED_COOKIE: u32 = 0x1c84_9314;
const COOKIE: u32 = 0x1c84_9313;
/// Counts that the code under test takes at the most.
const MAX_VALUES: u64 = 1 << 48;

/// Checks one histogram.
pub fn check(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(wire) = wire(&mut input) else { return };
    match Latencies::from_wire(&wire) {
        Ok(latencies) => check_accepted(&latencies),
        Err(refusal) => assert_one_line(&refusal, "a refusal"),
    }
    let range = (Some(wire.min_ns), Some(wire.max_ns));
    if let Ok(latencies) = Latencies::from_document(&wire.histogram, range, wire.out_of_range) {
        let (low, high) = (latencies.nearest_ns(0.0), latencies.nearest_ns(1.0));
        assert!(low <= high, "{low:?} to {high:?}");
        let counted: u64 = latencies.counts().map(|(_, count)| count).sum();
        assert_eq!(counted, latencies.count());
    }
}

/// Text as it is, an inner form deflated, counts behind a right header, or recorded values; with
/// sums that fit or do not.
fn wire(input: &mut Unstructured<'_>) -> Result<LatencyWire> {
    let kind = input.int_in_range(0..=3_u8)?;
    let mut recorded = Latencies::new();
    if kind == 3 {
        for _ in 0..input.int_in_range(0..=40_u8)? {
            // Up to 36 years: the sum of their squares fits.
            recorded.record(input.arbitrary::<u64>()? >> input.int_in_range(4..=63_u8)?);
        }
    }
    let mut wire = recorded.to_wire();
    if input.arbitrary()? {
        let range: [u64; 3] = input.arbitrary()?;
        [wire.min_ns, wire.max_ns, wire.out_of_range] = range;
        wire.sum_ns = input.arbitrary::<u128>()?.to_string();
        wire.sum_squares_ns = input.arbitrary::<u128>()?.to_string();
    } else if kind == 2 {
        // One value for sure, so that the sums may fit a single count.
        let ns = u64::from(input.arbitrary::<u16>()?);
        [wire.min_ns, wire.max_ns, wire.out_of_range] = [ns, ns, 0];
        wire.sum_ns = ns.to_string();
        wire.sum_squares_ns = (ns * ns).to_string();
    }
    let rest = input.bytes(input.len())?;
    match kind {
        0 => wire.histogram = String::from_utf8_lossy(rest).into_owned(),
        1 => wire.histogram = deflated(rest),
        2 => wire.histogram = deflated(&[&header(rest.len()), rest].concat()),
        _ => {}
    }
    Ok(wire)
}

/// The header of a histogram with so many bytes of counts.
fn header(length: usize) -> Vec<u8> {
    let mut bytes = COOKIE.to_be_bytes().to_vec();
    bytes.extend(u32::try_from(length).unwrap_or(0).to_be_bytes());
    bytes.extend(0_u32.to_be_bytes());
    bytes.extend(3_u32.to_be_bytes());
    bytes.extend(1_u64.to_be_bytes());
    bytes.extend(MAX_LATENCY_NS.to_be_bytes());
    bytes.extend(1.0_f64.to_be_bytes());
    bytes
}

fn deflated(inner: &[u8]) -> String {
    let mut bytes = DEFLATED_COOKIE.to_be_bytes().to_vec();
    bytes.extend(0_u32.to_be_bytes());
    let mut encoder = ZlibEncoder::new(bytes, Compression::fast());
    encoder.write_all(inner).expect("memory takes it");
    BASE64.encode(encoder.finish().expect("memory takes it"))
}

fn check_accepted(latencies: &Latencies) {
    let count = latencies.count();
    assert!(count <= MAX_VALUES, "{count} values");
    assert!(latencies.out_of_range() <= count);
    assert_eq!(latencies.mean_ns().is_some(), count > 0);
    if let (Some(mean), Some(min), Some(max)) =
        (latencies.mean_ns(), latencies.min_ns(), latencies.max_ns())
    {
        let slack = 1.0 + 1e-9;
        assert!(min as f64 <= mean * slack && mean <= max as f64 * slack, "{min} {mean} {max}");
        let deviation = latencies.stddev_ns().expect("there are values");
        assert!(deviation.is_finite() && deviation >= 0.0, "{deviation}");
        for quantile in [0.0, 0.5, 0.99, 1.0, 2.0, f64::NAN] {
            let nearest = latencies.nearest_ns(quantile).expect("there are values");
            assert!((min..=max).contains(&nearest), "{nearest} of {min} to {max}");
        }
    }
    // It goes on as it came, and any number of them add up without a wrap.
    let again = Latencies::from_wire(&latencies.to_wire()).expect("what was accepted goes on");
    assert_eq!(again.to_wire(), latencies.to_wire());
    let mut sum = Latencies::new();
    (0..3).for_each(|_| sum.merge(latencies));
    assert_eq!(sum.count(), 3 * count);
    assert_eq!((sum.min_ns(), sum.max_ns()), (latencies.min_ns(), latencies.max_ns()));
}
