//! A histogram from text that anybody may have written: base64 of a deflated HdrHistogram V2.
//!
//! What it claims is judged before memory is taken for it: its length, what it inflates to, its
//! bounds, and every count. The library's own reader trusts a length of up to 4 GiB, and the sums
//! of its counts may wrap.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::read::ZlibDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

/// Opens the deflated form.
const DEFLATED_COOKIE: u32 = 0x1c84_9314;
/// Opens what it inflates to.
const COOKIE: u32 = 0x1c84_9313;
/// Before what is deflated: the cookie and a length.
const DEFLATED_HEADER_BYTES: usize = 8;
/// Before the counts: cookie, length, offset and digits of four bytes each; lowest value, highest
/// value and ratio of eight.
const HEADER_BYTES: usize = 40;
/// Longest form of a count.
const MAX_COUNT_BYTES: usize = 9;
/// Of a histogram that another tool wrote: enough for five digits over all values that there are.
const MAX_FOREIGN_BYTES: usize = 64 << 20;
/// Values that a histogram may count: more than any run records, and few enough that a sum of
/// thousands of histograms does not wrap.
const MAX_VALUES: u64 = 1 << 48;

/// Reads a histogram of the same bounds as `empty`.
///
/// # Errors
/// In words, when it is none, or none of these bounds, or longer than one can be.
pub(super) fn decode(text: &str, empty: &Histogram<u64>) -> Result<Histogram<u64>, String> {
    let bins = empty.distinct_values();
    let inflated = inflate(text, HEADER_BYTES + MAX_COUNT_BYTES * bins)?;
    let (header, counts) = parted(&inflated)?;
    check_header(header, counts.len(), empty)?;
    check_counts(counts, bins)?;
    Deserializer::new().deserialize(&mut inflated.as_slice()).map_err(|error| error.to_string())
}

/// Reads a histogram of any bounds, such as another tool wrote.
///
/// # Errors
/// In words, when it is none, or larger than any that is of use.
pub(super) fn decode_foreign(text: &str) -> Result<Histogram<u64>, String> {
    let inflated = inflate(text, MAX_FOREIGN_BYTES)?;
    let (header, counts) = parted(&inflated)?;
    let (low, high) = (word(&header[16..24]), word(&header[24..32]));
    let digits = u8::try_from(word(&header[12..16])).unwrap_or(u8::MAX);
    let empty = Histogram::new_with_bounds(low, high, digits).map_err(|error| error.to_string())?;
    check_header(header, counts.len(), &empty)?;
    check_counts(counts, empty.distinct_values())?;
    drop(empty);
    Deserializer::new().deserialize(&mut inflated.as_slice()).map_err(|error| error.to_string())
}

/// The bytes of a histogram out of text, `max_bytes` at most.
fn inflate(text: &str, max_bytes: usize) -> Result<Vec<u8>, String> {
    // Base64 has four characters for three bytes, and what cannot be deflated grows by little.
    let max_characters = max_bytes / 2 * 3;
    if text.len() > max_characters {
        return Err(format!("{} characters; at most {max_characters} are allowed", text.len()));
    }
    let bytes = BASE64.decode(text).map_err(|error| error.to_string())?;
    let deflated = match bytes.split_at_checked(DEFLATED_HEADER_BYTES) {
        Some((header, deflated)) if word(&header[..4]) == u64::from(DEFLATED_COOKIE) => deflated,
        _ => return Err("it is no deflated HdrHistogram V2".into()),
    };
    let mut inflated = Vec::new();
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX);
    ZlibDecoder::new(deflated)
        .take(limit.saturating_add(1))
        .read_to_end(&mut inflated)
        .map_err(|error| error.to_string())?;
    if inflated.len() > max_bytes {
        return Err(format!(
            "it inflates to more than {max_bytes} bytes, the most that are allowed"
        ));
    }
    Ok(inflated)
}

/// Header and counts.
fn parted(inflated: &[u8]) -> Result<(&[u8], &[u8]), String> {
    inflated.split_at_checked(HEADER_BYTES).ok_or_else(|| "it ends within its header".to_owned())
}

/// Checks the claims that the library takes memory for.
fn check_header(header: &[u8], left: usize, empty: &Histogram<u64>) -> Result<(), String> {
    if word(&header[..4]) != u64::from(COOKIE) {
        return Err("it is no HdrHistogram V2".into());
    }
    let claimed = word(&header[4..8]);
    if usize::try_from(claimed) != Ok(left) {
        return Err(format!("it claims {claimed} bytes of counts and has {left}"));
    }
    let found = (word(&header[16..24]), word(&header[24..32]), word(&header[12..16]));
    let known = (empty.low(), empty.high(), u64::from(empty.sigfig()));
    if found != known {
        let words = |(low, high, digits)| format!("{low} to {high} ns at {digits} digits");
        return Err(format!("its range is {}; allowed: {}", words(found), words(known)));
    }
    Ok(())
}

/// Checks that the counts stay within `bins` bins, and their sum within a bound.
fn check_counts(mut counts: &[u8], bins: usize) -> Result<(), String> {
    let bins = u64::try_from(bins).unwrap_or(u64::MAX);
    let (mut bin, mut values) = (0_u64, 0_u64);
    while !counts.is_empty() {
        let number = take_number(&mut counts)?;
        // A negative number is that of bins without a value.
        let (skipped, counted) =
            if number < 0 { (number.unsigned_abs(), 0) } else { (1, number.unsigned_abs()) };
        bin = bin.saturating_add(skipped);
        values = values.saturating_add(counted);
        if bin > bins {
            return Err(format!("it counts beyond its {bins} bins"));
        }
        if values > MAX_VALUES {
            return Err(format!("it counts more than {MAX_VALUES} values"));
        }
    }
    Ok(())
}

/// Takes the next number: seven bits a byte, the lowest first, the sign in the last bit.
fn take_number(bytes: &mut &[u8]) -> Result<i64, String> {
    let mut raw = 0_u64;
    for position in 0..MAX_COUNT_BYTES {
        let Some((&byte, rest)) = bytes.split_first() else {
            return Err("it ends within a count".into());
        };
        *bytes = rest;
        let last = position + 1 == MAX_COUNT_BYTES;
        let part = if last { byte } else { byte & 0x7f };
        raw |= u64::from(part) << (7 * position);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Reads a number of up to eight bytes, the highest first.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    fn empty() -> Histogram<u64> {
        Histogram::new_with_bounds(1, super::super::MAX_LATENCY_NS, 3).unwrap()
    }

    /// A histogram with these claims in its header, and these bytes behind it.
    fn claiming(payload: u32, bounds: (u64, u64, u32), counts: &[u8]) -> String {
        let (low, high, digits) = bounds;
        let mut inner = COOKIE.to_be_bytes().to_vec();
        inner.extend_from_slice(&payload.to_be_bytes());
        inner.extend_from_slice(&0_u32.to_be_bytes());
        inner.extend_from_slice(&digits.to_be_bytes());
        inner.extend_from_slice(&low.to_be_bytes());
        inner.extend_from_slice(&high.to_be_bytes());
        inner.extend_from_slice(&1.0_f64.to_be_bytes());
        inner.extend_from_slice(counts);
        deflated(&inner)
    }

    fn deflated(inner: &[u8]) -> String {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(inner).unwrap();
        let body = encoder.finish().unwrap();
        let mut bytes = DEFLATED_COOKIE.to_be_bytes().to_vec();
        bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&body);
        BASE64.encode(bytes)
    }

    const OWN: (u64, u64, u32) = (1, super::super::MAX_LATENCY_NS, 3);

    #[test]
    fn claims_beyond_what_there_is_are_refused_by_name() {
        let most = [&[0xfe][..], &[0xff; 8]].concat();
        let rows = [
            (claiming(u32::MAX, OWN, b""), "it claims 4294967295 bytes of counts and has 0"),
            (claiming(7_000, OWN, &[2; 70]), "it claims 7000 bytes of counts and has 70"),
            (claiming(0, (1, u64::MAX / 2, 3), b""), "to 9223372036854775807 ns at 3 digits"),
            (claiming(0, (1, OWN.1, 5), b""), "at 5 digits; allowed: 1 to 60000000000 ns at 3"),
            (claiming(0, (0, OWN.1, 3), b""), "its range is 0 to"),
            (claiming(0, (1, OWN.1, 1 << 20), b""), "at 1048576 digits"),
            // The lowest number that there is: its opposite is none.
            (claiming(9, OWN, &[0xff; 9]), "it counts beyond its"),
            (claiming(9, OWN, &most), "it counts more than"),
            (claiming(2, OWN, &[0x80, 0x80]), "it ends within a count"),
            (deflated(&vec![0; 40 << 20]), "it inflates to more than"),
            (deflated(b"short"), "it ends within its header"),
            ("A".repeat(400 << 10), "characters; at most"),
            (BASE64.encode([0x1c, 0x84, 0x93, 0x13, 0, 0, 0, 0]), "no deflated HdrHistogram V2"),
            (String::new(), "no deflated HdrHistogram V2"),
        ];
        for (text, expected) in rows {
            let error = decode(&text, &empty()).unwrap_err();
            assert!(error.contains(expected), "{error}, expected: {expected}");
        }
    }

    #[test]
    fn the_largest_histogram_that_can_be_is_read_whole() {
        use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
        let mut full = empty();
        let values: Vec<u64> = full.iter_all().map(|step| step.value_iterated_to()).collect();
        // Counts that do not deflate well.
        let mut count = 1_u64;
        for value in values {
            count = count.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            full.record_n(value, count >> 32).unwrap();
        }
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&full, &mut bytes).unwrap();
        let back = decode(&BASE64.encode(bytes), &empty()).unwrap();
        assert_eq!((back.len(), back.max()), (full.len(), full.max()));
    }
}
