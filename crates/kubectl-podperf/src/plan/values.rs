//! Parses values of options that only the launcher has.

use std::time::Duration;

use crate::plan::labels;
use podperf_model::units::parse_duration;

/// No run lasts longer.
const MAX_TIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// `key=value`, of a key that podperf has no use of its own for.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, _)) if labels::is_reserved_key(key) => {
            Err(format!("{key} is podperf's own; allowed: any other key, '=', and a value"))
        }
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("allowed: a key, '=', and a value".to_owned()),
    }
}

/// A time that can be added to others.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).map_err(|error| error.to_string())?;
    if time > MAX_TIME { Err("allowed: at most 365days".to_owned()) } else { Ok(time) }
}

fn percent(text: &str, fits: impl Fn(f64) -> bool) -> Option<f64> {
    let number = text.strip_suffix('%').unwrap_or(text);
    number.parse().ok().filter(|percent: &f64| percent.is_finite() && fits(*percent))
}

pub(crate) fn tolerance(text: &str) -> Result<f64, &'static str> {
    percent(text, |percent| (0.0..100.0).contains(&percent))
        .ok_or("allowed: 0 to below 100 percent")
}

/// Latency may grow to many times what it was.
pub(crate) fn slowdown(text: &str) -> Result<f64, &'static str> {
    percent(text, |percent| percent >= 0.0).ok_or("allowed: 0 percent or more")
}

/// A name that may be part of any object's name.
pub(crate) fn run_id(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let edges = text.starts_with('-') || text.ends_with('-');
    if text.is_empty() || text.len() > 24 || edges || !text.bytes().all(fits) {
        return Err("allowed: a to z, 0 to 9 and '-' inside, at most 24 characters".to_owned());
    }
    Ok(text.to_owned())
}
