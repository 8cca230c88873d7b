//! Quantities with their units: bytes of memory count in powers of 2^10, bits in powers of 10^3.
//!
//! Enters: what a user typed. Leaves: newtypes and durations, parsed exactly (integers throughout,
//! nothing is rounded) or refused with a sentence that says what is allowed. Printing a quantity
//! and parsing it again gives the same one.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number of bytes. Text: `128K`, `1.5 MiB`, `1448`; K, M, G and T are powers of 1024.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// Bits per second. Text: `10G`, `2.5 Gbit/s`, `64000`; K, M, G and T are powers of 1000.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

impl Bytes {
    /// As a length of memory; the longest there is where an address has fewer bits.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
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

/// A time: `10`, `0.5` and `.5` are seconds; `500ms`, `1.5s`, `2m`, `1h 30m` say their unit
/// ([`humantime::parse_duration`]).
///
/// # Errors
/// On anything else, and on more than 2^64 seconds or less than a nanosecond's precision.
pub fn parse_duration(text: &str) -> Result<Duration, Invalid> {
    const NANOSECONDS: u128 = 1_000_000_000;
    // ".5" as other tools read it.
    let whole = if text.starts_with('.') { format!("0{text}") } else { text.to_owned() };
    let text = whole.as_str();
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

/// A count as a float, for a rate, a share or a figure that is shown: 53 bits are enough.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "what is made of it is rounded anyway")]
pub const fn float(count: u64) -> f64 {
    count as f64
}

/// The unit that suits a rate in bits per second, and what to divide it by.
#[must_use]
pub const fn rate_unit(bits_per_second: f64) -> (&'static str, f64) {
    match bits_per_second {
        rate if rate >= 1e9 => ("Gbit/s", 1e9),
        rate if rate >= 1e6 => ("Mbit/s", 1e6),
        _ => ("kbit/s", 1e3),
    }
}

/// A measured rate in the unit that suits it: "4.000 Gbit/s"; in powers of ten where no unit does.
#[must_use]
pub fn rate_text(bits_per_second: f64) -> String {
    let (unit, divisor) = rate_unit(bits_per_second);
    let value = bits_per_second / divisor;
    if value.abs() < 1e12 { format!("{value:.3} {unit}") } else { format!("{value:.3e} {unit}") }
}

/// A time in microseconds in the unit that suits it: "17 µs", "6.12 ms", "1.20 s".
#[must_use]
pub fn time_text(microseconds: f64) -> String {
    match microseconds {
        us if us >= 1e6 => format!("{:.2} s", us / 1e6),
        us if us >= 1e3 => format!("{:.2} ms", us / 1e3),
        us => format!("{us:.0} µs"),
    }
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
mod tests;
