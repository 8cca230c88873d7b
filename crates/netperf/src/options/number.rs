//! Numbers by netperf's rules, without its traps: what would become 0 there is an error here.
//!
//! Enters: one word. Leaves: the value, or why there is none.

use std::time::Duration;

use crate::test_kind::TestLength;

/// Sizes and counts are signed 32-bit words on the wire.
const MAX_I32: u64 = i32::MAX as u64;

/// Decimal digits, then letters: each of `K M G` counts 1024, 1024^2, 1024^3, each of `k m g`
/// counts 10^3, 10^6, 10^9; `B` and `b` count nothing.
pub(super) fn size(word: &str) -> Result<u64, String> {
    let word = word.trim();
    let digits = word.strip_prefix('+').unwrap_or(word);
    let end = digits.find(|char: char| !char.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, letters) = digits.split_at(end);
    if digits.is_empty() {
        return Err("no number of 0 or more".to_owned());
    }
    let letters = whole(letters)?;
    if letters.contains(|char: char| char.is_ascii_digit()) {
        return Err("digits after letters; netperf would ignore them".to_owned());
    }
    if let Some(letter) = letters.chars().find(|&letter| !"KMGkmgBb".contains(letter)) {
        return Err(format!("'{letter}' is none of K, M, G, k, m, g; netperf would ignore it"));
    }
    let too_large = || format!("more than {}", u64::MAX);
    let number: u64 = digits.parse().map_err(|_| too_large())?;
    letters
        .chars()
        .try_fold(number, |number, letter| number.checked_mul(factor(letter)).ok_or_else(too_large))
}

/// `.0` may follow the digits.
fn whole(letters: &str) -> Result<&str, String> {
    let Some(fraction) = letters.strip_prefix('.') else { return Ok(letters) };
    let letters = fraction.trim_start_matches('0');
    if letters.starts_with(|char: char| char.is_ascii_digit()) {
        return Err("not a whole number; netperf would drop the fraction".to_owned());
    }
    Ok(letters)
}

const fn factor(letter: char) -> u64 {
    match letter {
        'K' => 1 << 10,
        'M' => 1 << 20,
        'G' => 1 << 30,
        'k' => 1_000,
        'm' => 1_000_000,
        'g' => 1_000_000_000,
        _ => 1,
    }
}

/// A size or count that the wire can carry.
pub(super) fn count(word: &str) -> Result<u32, String> {
    let number = size(word)?;
    u32::try_from(number).ok().filter(|_| number <= MAX_I32).ok_or_else(|| {
        format!("{number} is more than {MAX_I32}; netperf would take what is left in 32 bits")
    })
}

/// At least 1.
pub(super) fn positive(word: &str) -> Result<u32, String> {
    match count(word)? {
        0 => Err("less than 1".to_owned()),
        number => Ok(number),
    }
}

/// 0 and -1 leave it to the system.
pub(super) fn choice(word: &str) -> Result<Option<u32>, String> {
    Ok(cpu(word)?.filter(|number| *number > 0))
}

/// A CPU; -1: none.
pub(super) fn cpu(word: &str) -> Result<Option<u32>, String> {
    if word.trim() == "-1" { Ok(None) } else { count(word).map(Some) }
}

/// A whole number, perhaps below 0.
pub(super) fn priority(word: &str) -> Result<Option<u32>, String> {
    let number: i32 = word.trim().parse().map_err(|_| "no whole number".to_owned())?;
    Ok(u32::try_from(number).ok())
}

/// Other than 0.
pub(super) fn truth(word: &str) -> Result<bool, String> {
    count(word).map(|number| number != 0)
}

/// `-l`: seconds, minus bytes or transactions, or 0.
pub(super) fn length(word: &str) -> Result<TestLength, String> {
    let word = word.trim();
    if let Some(units) = word.strip_prefix('-') {
        return match count(units)? {
            0 => Ok(TestLength::UntilTold),
            units => Ok(TestLength::Units(u64::from(units))),
        };
    }
    let letters =
        word.trim_start_matches(|char: char| char.is_ascii_digit() || "+.".contains(char));
    if !["", "s", "S", "sec", "secs", "seconds", "k", "K"].contains(&letters) {
        return Err("not in seconds, as 90 or 90s; 0 goes on until a signal".to_owned());
    }
    let number = if ["k", "K"].contains(&letters) { word } else { word.trim_end_matches(letters) };
    match count(number)? {
        0 => Ok(TestLength::UntilTold),
        seconds => Ok(TestLength::Time(Duration::from_secs(seconds.into()))),
    }
}

/// Seconds with a fraction; `s` may follow.
pub(super) fn seconds(word: &str) -> Result<Duration, String> {
    let number = word.trim().trim_end_matches("sec").trim_end_matches('s');
    let number: f64 = number.parse().map_err(|_| "no number of seconds".to_owned())?;
    Duration::try_from_secs_f64(number)
        .ok()
        .filter(|time| time.as_secs() <= MAX_I32)
        .ok_or_else(|| format!("not between 0 and {MAX_I32} seconds"))
}

/// `-D`: the sign says how closely netperf looks at the clock; podperf always does.
pub(super) fn interval(word: &str) -> Result<Duration, String> {
    let word = word.trim();
    match seconds(word.strip_prefix('-').unwrap_or(word))? {
        time if time < Duration::from_millis(1) => Err("less than 0.001 seconds".to_owned()),
        time => Ok(time),
    }
}

/// `-w`: a whole number of `m`illiseconds, `u` microseconds or `s`econds.
pub(super) fn pause(word: &str) -> Result<Option<Duration>, String> {
    let word = word.trim();
    let end = word.find(|char: char| !char.is_ascii_digit()).unwrap_or(word.len());
    let (digits, unit) = word.split_at(end);
    let number: u32 = digits.parse().map_err(|_| "no whole number".to_owned())?;
    let one = match unit {
        "" | "m" | "ms" => Duration::from_millis(1),
        "u" | "us" => Duration::from_micros(1),
        "s" => Duration::from_secs(1),
        _ => return Err("none of the units m, u and s".to_owned()),
    };
    let time = one * number;
    if time.as_micros() > u128::from(MAX_I32) {
        return Err(format!("more than {MAX_I32} us"));
    }
    Ok(Some(time).filter(|time| !time.is_zero()))
}

/// TOS octet: the name of a class, or a number in C notation; 0 leaves it alone.
pub(super) fn tos(word: &str) -> Result<Option<u8>, String> {
    let word = word.trim().to_ascii_lowercase();
    let octet = named_tos(&word).or_else(|| {
        if let Some(digits) = word.strip_prefix("0x") {
            return u8::from_str_radix(digits, 16).ok();
        }
        match word.strip_prefix('0') {
            Some(digits) if !digits.is_empty() => u8::from_str_radix(digits, 8).ok(),
            _ => word.parse().ok(),
        }
    });
    match octet {
        None => Err("no TOS: a name as af41, cs6, ef or lowdelay, or 0 to 255".to_owned()),
        Some(octet) => Ok(Some(octet).filter(|octet| *octet > 0)),
    }
}

fn named_tos(name: &str) -> Option<u8> {
    match name.as_bytes() {
        b"ef" => Some(46 << 2),
        b"lowdelay" => Some(0x10),
        b"throughput" => Some(0x08),
        b"reliability" => Some(0x04),
        // Code points of RFC 2474 and RFC 2597, above the two bits of ECN.
        [b'c', b's', class @ b'0'..=b'7'] => Some((class - b'0') << 5),
        [b'a', b'f', class @ b'1'..=b'4', drop @ b'1'..=b'3'] => {
            Some((class - b'0') << 5 | (drop - b'0') << 3)
        }
        _ => None,
    }
}

/// `--percentiles`: some percentages.
pub(super) fn percentiles(list: &str) -> Result<Vec<f64>, String> {
    list.split(',')
        .map(|word| {
            let percent: f64 = word.trim().parse().map_err(|_| "no list of numbers".to_owned())?;
            if percent > 0.0 && percent <= 100.0 {
                Ok(percent)
            } else {
                Err("not above 0 and up to 100 percent".to_owned())
            }
        })
        .collect()
}
