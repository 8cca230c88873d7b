//! Quantities with their units: bytes of memory count in powers of 2^10, bits in powers of 10^3.
//!
//! Enters: what a user typed. Leaves: newtypes and durations, parsed exactly (integers throughout,
//! nothing is rounded) or refused with a sentence that says what is allowed. Printing a quantity
//! and parsing it again gives the same one.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number of bytes. Text: `128K`, `1.5 MiB`, `1448`; K, M, G and T are powers of 1024.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// Bits per second. Text: `10G`, `2.5 Gbit/s`, `64000`; K, M, G and T are powers of 1000.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct BitRate(pub u64);

/// Text that is not the quantity asked for; prints what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(String);

impl std::error::Error for Invalid {}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Invalid {
    /// Says what would have been right.
    #[must_use]
    pub fn allowed(what: impl fmt::Display) -> Self {
        Self(format!("allowed: {what}"))
    }
}

impl FromStr for Bytes {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let decimal = Decimal::read(text);
        let factor = |unit: &str| match unit.to_ascii_lowercase().as_str() {
            "" | "b" => Some(1),
            "k" | "kb" | "ki" | "kib" => Some(1 << 10),
            "m" | "mb" | "mi" | "mib" => Some(1 << 20),
            "g" | "gb" | "gi" | "gib" => Some(1 << 30),
            "t" | "tb" | "ti" | "tib" => Some(1 << 40),
            _ => None,
        };
        decimal.and_then(|decimal| decimal.times(factor(decimal.unit)?)).map(Self).ok_or_else(
            || {
                Invalid::allowed(
                    "a whole number of bytes below 2^64, such as 1448, 128K or 1.5M \
                 (K, M, G, T: powers of 1024)",
                )
            },
        )
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (power, unit) = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")]
            .into_iter()
            .find(|(power, _)| self.0 != 0 && self.0.is_multiple_of(1 << power))
            .unwrap_or((0, "B"));
        write!(f, "{} {unit}", self.0 >> power)
    }
}

impl FromStr for BitRate {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let decimal = Decimal::read(text);
        let factor = |unit: &str| {
            let unit = unit.to_ascii_lowercase();
            let prefix = ["bit/s", "bps", "bit"]
                .into_iter()
                .find_map(|suffix| unit.strip_suffix(suffix))
                .unwrap_or(&unit);
            decimal_prefix(prefix)
        };
        decimal.and_then(|decimal| decimal.times(factor(decimal.unit)?)).map(Self).ok_or_else(|| {
            Invalid::allowed(
                "a whole number of bits per second below 2^64, such as 64000, 500M or 2.5Gbit/s \
                 (K, M, G, T: powers of 1000)",
            )
        })
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (power, unit) = [(12, "Tbit/s"), (9, "Gbit/s"), (6, "Mbit/s"), (3, "Kbit/s")]
            .into_iter()
            .find(|(power, _)| self.0 >= 10_u64.pow(*power))
            .unwrap_or((0, "bit/s"));
        let scale = 10_u64.pow(power);
        write!(f, "{}", self.0 / scale)?;
        let rest = self.0 % scale;
        if rest != 0 {
            let digits = format!("{rest:0width$}", width = power as usize);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        write!(f, " {unit}")
    }
}

/// A time: `10` and `0.5` are seconds; `500ms`, `1.5s`, `2m`, `1h 30m` say their unit
/// ([`humantime::parse_duration`]).
///
/// # Errors
/// On anything else, and on more than 2^64 seconds or less than a nanosecond's precision.
pub fn parse_duration(text: &str) -> Result<Duration, Invalid> {
    const NANOSECONDS: u128 = 1_000_000_000;
    let seconds = Decimal::read(text).filter(|decimal| decimal.unit.is_empty());
    let parsed = match seconds {
        Some(decimal) => decimal.times_wide(NANOSECONDS).and_then(|nanoseconds| {
            let whole = u64::try_from(nanoseconds / NANOSECONDS).ok()?;
            let rest = u32::try_from(nanoseconds % NANOSECONDS).ok()?;
            Some(Duration::new(whole, rest))
        }),
        None => humantime::parse_duration(text).ok(),
    };
    parsed.ok_or_else(|| {
        Invalid::allowed("a time such as 10 or 0.5 (seconds), 500ms, 1.5s, 2m or 1h30m")
    })
}

/// Events per second: `1000`, `2.5K`, `1M`, with or without `/s`; K, M, G and T are powers of 1000.
///
/// # Errors
/// On anything else.
pub fn parse_frequency(text: &str) -> Result<f64, Invalid> {
    let frequency = Decimal::read(text).and_then(|decimal| {
        let prefix = decimal.unit.strip_suffix("/s").unwrap_or(decimal.unit);
        decimal.approximately(decimal_prefix(&prefix.to_ascii_lowercase())?)
    });
    frequency.ok_or_else(|| {
        Invalid::allowed("a number per second such as 1000, 0.5 or 20K (K, M: powers of 1000)")
    })
}

/// A count without sign, unit or fraction.
///
/// # Errors
/// On anything else, and beyond the type's range.
pub fn parse_count<T: FromStr>(text: &str) -> Result<T, Invalid> {
    // FromStr of integers takes a leading plus sign, so digits are checked first.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().ok_or_else(|| {
        let bits = 8 * size_of::<T>();
        Invalid::allowed(format_args!("a whole number without sign or unit, below 2^{bits}"))
    })
}

const fn decimal_prefix(prefix: &str) -> Option<u128> {
    Some(match prefix.as_bytes() {
        b"" => 1,
        b"k" => 1_000,
        b"m" => 1_000_000,
        b"g" => 1_000_000_000,
        b"t" => 1_000_000_000_000,
        _ => return None,
    })
}

/// An unsigned decimal number as typed, `digits / 10^places`, and the unit behind it.
#[derive(Debug, Clone, Copy)]
struct Decimal<'a> {
    digits: u128,
    places: u32,
    unit: &'a str,
}

impl<'a> Decimal<'a> {
    /// Reads `12`, `1.5M`, `10 Gbit/s`: digits, perhaps a point and more digits, perhaps one
    /// space, a unit. No sign, no exponent.
    fn read(text: &'a str) -> Option<Self> {
        let (whole, rest) = split_digits(text);
        let (fraction, unit) = match rest.strip_prefix('.') {
            Some(rest) => Some(split_digits(rest)).filter(|(fraction, _)| !fraction.is_empty())?,
            None => ("", rest),
        };
        if whole.is_empty() || unit.ends_with(' ') {
            return None;
        }
        let digits = whole.bytes().chain(fraction.bytes()).try_fold(0_u128, |sum, digit| {
            sum.checked_mul(10)?.checked_add(u128::from(digit - b'0'))
        })?;
        let places = u32::try_from(fraction.len()).ok()?;
        Some(Self { digits, places, unit: unit.strip_prefix(' ').unwrap_or(unit) })
    }

    /// The number times `factor`, if that is whole and in range.
    fn times_wide(self, factor: u128) -> Option<u128> {
        let product = self.digits.checked_mul(factor)?;
        let divisor = 10_u128.checked_pow(self.places)?;
        product.is_multiple_of(divisor).then_some(product / divisor)
    }

    /// Likewise, below 2^64.
    fn times(self, factor: u128) -> Option<u64> {
        u64::try_from(self.times_wide(factor)?).ok()
    }

    /// Likewise, as a float.
    #[expect(clippy::cast_precision_loss, reason = "a frequency; 53 bits are enough")]
    fn approximately(self, factor: u128) -> Option<f64> {
        let places = i32::try_from(self.places).ok()?;
        Some(self.digits.checked_mul(factor)? as f64 / 10_f64.powi(places))
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// A [`std::time::Duration`] as seconds in JSON.
pub mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes seconds.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(value.as_secs_f64())
    }

    /// Reads seconds; negative or non-finite ones are refused.
    ///
    /// # Errors
    /// Those of the deserializer, and values that are no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_count_in_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("1448", 1448),
            ("1448B", 1448),
            ("128K", 128 << 10),
            ("128k", 128 << 10),
            ("128 KiB", 128 << 10),
            ("128kb", 128 << 10),
            ("4Mi", 4 << 20),
            ("1.5M", 3 << 19),
            ("0.5K", 512),
            ("2G", 2 << 30),
            ("1T", 1 << 40),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_and_told_what_is_allowed() {
        for text in [
            "",
            " ",
            "K",
            "-5",
            "+5",
            "4x",
            "4K ",
            " 4K",
            "4  K",
            "4KK",
            "4kbit",
            "1.K",
            ".5K",
            "1.5",
            "0.3K",
            "1e3",
            "1,5M",
            "0x10",
            "٤",
            "18446744073709551616",
            "16777216T",
            "999999999999999999999999999999999999999999",
        ] {
            let error = text.parse::<Bytes>().expect_err(text).to_string();
            assert!(error.starts_with("allowed: a whole number of bytes below 2^64"), "{error}");
        }
    }

    #[test]
    fn rates_count_in_powers_of_1000() {
        for (text, rate) in [
            ("64000", 64_000),
            ("10G", 10_000_000_000),
            ("2.5Gbit/s", 2_500_000_000),
            ("9.41 gbps", 9_410_000_000),
            ("100Mbit", 100_000_000),
            ("0.5k", 500),
            ("1T", 1_000_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(BitRate(rate)), "{text}");
        }
        for text in ["", "10GB", "10Gi", "10Gb", "-1", "0.0005K", "1.5", "bit/s", "20000000T"] {
            let error = text.parse::<BitRate>().expect_err(text).to_string();
            assert!(error.starts_with("allowed: a whole number of bits per second"), "{error}");
        }
    }

    #[test]
    fn quantities_print_in_their_largest_exact_unit() {
        assert_eq!(Bytes(128 << 10).to_string(), "128 KiB");
        assert_eq!(Bytes(3 << 19).to_string(), "1536 KiB");
        assert_eq!(Bytes(1449).to_string(), "1449 B");
        assert_eq!(Bytes(0).to_string(), "0 B");
        assert_eq!(BitRate(9_410_000_000).to_string(), "9.41 Gbit/s");
        assert_eq!(BitRate(1_000_000).to_string(), "1 Mbit/s");
        assert_eq!(BitRate(1_001).to_string(), "1.001 Kbit/s");
        assert_eq!(BitRate(999).to_string(), "999 bit/s");
    }

    #[test]
    fn a_bare_time_is_in_seconds() {
        for (text, milliseconds) in [
            ("10", 10_000),
            ("0.5", 500),
            ("10s", 10_000),
            ("1.5s", 1_500),
            ("1.5m", 90_000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1h 30m", 5_400_000),
            ("0", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "-1", "+1", "ten", "10x", "0.0000000001", "1e3", "s", "inf", "NaN"] {
            let error = parse_duration(text).expect_err(text).to_string();
            assert!(error.starts_with("allowed: a time such as 10"), "{error}");
        }
        assert!(parse_duration("99999999999999999999999").is_err());
    }

    #[test]
    fn counts_and_frequencies_take_no_junk() {
        assert_eq!(parse_count::<u32>("16"), Ok(16));
        for text in ["", "-1", "+4", "4x", "4 ", "1.0", "0x4", "4294967296"] {
            let error = parse_count::<u32>(text).expect_err(text).to_string();
            assert_eq!(error, "allowed: a whole number without sign or unit, below 2^32");
        }
        assert_eq!(parse_frequency("2.5K/s"), Ok(2_500.0));
        assert_eq!(parse_frequency("1M"), Ok(1e6));
        for text in ["", "-1", "1e9", "1x", "inf", "NaN", "1Kbit/s"] {
            assert!(parse_frequency(text).is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_in_json_survive_and_negative_ones_are_refused() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Holder(#[serde(with = "seconds")] Duration);
        let text = serde_json::to_string(&Holder(Duration::from_millis(1_500))).unwrap();
        assert_eq!(text, "1.5");
        assert_eq!(
            serde_json::from_str::<Holder>(&text).unwrap(),
            Holder(Duration::from_millis(1_500))
        );
        assert!(serde_json::from_str::<Holder>("-1").is_err());
        assert!(serde_json::from_str::<Holder>("1e300").is_err());
    }

    proptest! {
        #[test]
        fn printed_sizes_parse_back(value: u64) {
            prop_assert_eq!(Bytes(value).to_string().parse(), Ok(Bytes(value)));
        }

        #[test]
        fn printed_round_sizes_parse_back(value in 0_u64..1024, power in 0_u32..5) {
            let bytes = Bytes(value << (10 * power));
            prop_assert_eq!(bytes.to_string().parse(), Ok(bytes));
        }

        #[test]
        fn printed_rates_parse_back(value: u64) {
            prop_assert_eq!(BitRate(value).to_string().parse(), Ok(BitRate(value)));
        }

        #[test]
        fn printed_durations_parse_back(seconds: u32, nanoseconds in 0..1_000_000_000_u32) {
            let value = Duration::new(seconds.into(), nanoseconds);
            let text = humantime::format_duration(value).to_string();
            prop_assert_eq!(parse_duration(&text), Ok(value));
        }

        #[test]
        fn no_text_panics(text in "\\PC*", number in "[0-9.]{0,50}[ a-zA-Z/é]{0,8}") {
            for text in [text, number] {
                let _ = text.parse::<Bytes>();
                let _ = text.parse::<BitRate>();
                let _ = parse_duration(&text);
                let _ = parse_frequency(&text);
                let _ = parse_count::<u32>(&text);
            }
        }
    }
}
