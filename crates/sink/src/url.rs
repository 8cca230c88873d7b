//! The address of a sink, and how it is shown: without what is secret in it.
//!
//! Enters: text as typed. Leaves: host, port, path and credentials, or what is allowed instead.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use podperf_model::error::{Error, Result};

/// Keys of a query that hold no secret; the value of every other one is masked.
const SHOWN: [&str; 7] = ["bucket", "consistency", "db", "org", "orgID", "precision", "rp"];
/// What stands in place of a secret.
const MASK: &str = "***";
/// Ways to say that time stamps are in nanoseconds (InfluxDB 1, 2 and 3).
const NANOSECONDS: [&str; 3] = ["ns", "n", "nanosecond"];
const ALLOWED: &str = "allowed: the whole address that takes the points, such as \
    http://influxdb:8086/write?db=podperf or http://influxdb:8086/api/v2/write?org=O&bucket=B";

/// Where points are posted to.
#[derive(Clone, PartialEq, Eq)]
pub struct SinkUrl {
    /// Name or address; an IPv6 address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Host and port as typed, for the header `Host`.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) path: String,
    /// `Authorization` by user and password, where the address has them.
    pub(crate) basic: Option<String>,
    shown: String,
}

impl SinkUrl {
    /// Reads what `option` was given.
    ///
    /// # Errors
    /// When it is no address that points can be posted to; secrets in it are masked.
    pub fn read(option: &str, text: &str) -> Result<Self> {
        parse(text).map_err(|cause| Error::usage(option, masked_url(text), cause))
    }
}

/// Without secrets.
impl fmt::Display for SinkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for SinkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SinkUrl({})", self.shown)
    }
}

fn parse(text: &str) -> Result<SinkUrl, String> {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("http") => {}
        Some("https") => {
            return Err(
                "podperf links no TLS: name an http:// address, of the sink itself or of a \
                        proxy on this machine that speaks TLS to it (docs/SINKS.md)"
                    .to_owned(),
            );
        }
        _ => return Err(ALLOWED.to_owned()),
    }
    if let Some(wrong) = text.chars().find(|char| !char.is_ascii_graphic() || *char == '#') {
        return Err(format!("'{}' has to be percent-encoded; {ALLOWED}", wrong.escape_default()));
    }
    let rest = &text["http://".len()..];
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (user, authority) = match authority.rsplit_once('@') {
        Some((user, authority)) => (Some(user), authority),
        None => (None, authority),
    };
    if path.contains('@') {
        return Err(format!("'@' behind the host has to be percent-encoded (%40); {ALLOWED}"));
    }
    let (host, port) = host_and_port(authority).ok_or_else(|| ALLOWED.to_owned())?;
    let precision = pairs(path).find(|(key, _)| *key == "precision").and_then(|(_, value)| value);
    if let Some(precision) = precision.filter(|given| !NANOSECONDS.contains(given)) {
        return Err(format!("time stamps are in nanoseconds: leave out precision={precision}"));
    }
    Ok(SinkUrl {
        host,
        port,
        authority: authority.to_owned(),
        path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
        basic: user.map(basic),
        shown: masked_url(text),
    })
}

fn host_and_port(authority: &str) -> Option<(String, u16)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let port = port.map_or(Some(80), |port| port.parse().ok().filter(|port| *port > 0))?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// The header `Authorization` of a user and a password (RFC 7617).
fn basic(user: &str) -> String {
    let decoded: Vec<u8> = percent_decode_str(user).collect();
    let pair = if user.contains(':') { decoded } else { [&decoded, &b":"[..]].concat() };
    format!("Basic {}", STANDARD.encode(pair))
}

/// Keys and values of the query of a path.
fn pairs(path: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts.map(|part| match part.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (part, None),
    })
}

/// Masks what may be secret in an address, well-formed or not: user and password, and the values of
/// all keys of its query but those that are known to hold no secret.
#[must_use]
pub fn masked_url(text: &str) -> String {
    let is_scheme = |text: &str| text.chars().all(|char| char.is_ascii_alphanumeric());
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (format!("{scheme}://"), rest),
        _ => (String::new(), text),
    };
    let (path, query) = match rest.split_once(['?', '#']) {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    // What was not encoded may end a password anywhere.
    if query.is_some_and(|query| query.contains('@')) {
        return format!("{scheme}{MASK}");
    }
    let path = match path.rsplit_once('@') {
        Some((_, path)) => format!("{MASK}@{path}"),
        None => path.to_owned(),
    };
    let Some(query) = query else { return scheme + &path };
    let parts = query.split(['&', '#']).map(|part| match part.split_once('=') {
        Some((key, _)) if SHOWN.contains(&key) => part.to_owned(),
        Some((key, _)) => format!("{key}={MASK}"),
        None if part.is_empty() => String::new(),
        None => MASK.to_owned(),
    });
    format!("{scheme}{path}?{}", parts.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_host_port_path_and_credentials() {
        let read = |text| SinkUrl::read("--sink", text).unwrap();
        let url = read("http://influxdb:8086/write?db=podperf");
        assert_eq!((&*url.host, url.port, &*url.path), ("influxdb", 8086, "/write?db=podperf"));
        assert_eq!((&*url.authority, url.basic.as_deref()), ("influxdb:8086", None));
        let url = read("HTTP://[::1]:9/api/v2/write?org=a&bucket=b&precision=ns");
        assert_eq!((&*url.host, url.port, &*url.authority), ("::1", 9, "[::1]:9"));
        let url = read("http://us%65r:p%40ss@sink?db=d");
        assert_eq!((&*url.host, url.port, &*url.path), ("sink", 80, "/?db=d"));
        // RFC 7617: base64 of "user:p@ss".
        assert_eq!(url.basic.as_deref(), Some("Basic dXNlcjpwQHNz"));
        assert_eq!(url.to_string(), "http://***@sink?db=d");
        assert_eq!(format!("{url:?}"), "SinkUrl(http://***@sink?db=d)");
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_secrets() {
        for (text, cause) in [
            ("", "allowed: the whole address"),
            ("influxdb:8086", "allowed: the whole address"),
            ("ftp://u:secret@h/", "allowed: the whole address"),
            ("https://u:secret@h/write?db=d", "podperf links no TLS: name an http:// address"),
            ("http:///write", "allowed: the whole address"),
            ("http://h:0/", "allowed: the whole address"),
            ("http://h:99999/", "allowed: the whole address"),
            ("http://[::1/write", "allowed: the whole address"),
            ("http://h/write?db=a b", "' ' has to be percent-encoded"),
            ("http://h/#secret", "'#' has to be percent-encoded"),
            ("http://u:sec/ret@h/write", "'@' behind the host has to be percent-encoded"),
            ("http://h/write?u=me@x&p=secret", "'@' behind the host has to be percent-encoded"),
            ("http://h/write?db=d&precision=s", "leave out precision=s"),
        ] {
            let error = SinkUrl::read("--sink", text).unwrap_err().to_string();
            assert!(error.contains(cause), "{text}: {error}");
            assert!(error.starts_with("invalid value '"), "{error}");
            for part in ["secret", "sec/", "ret@", "zzret", "me@x"] {
                assert!(!error.contains(part), "{text}: {error}");
            }
        }
    }

    #[test]
    fn nothing_secret_is_shown_whatever_was_typed() {
        for (text, shown) in [
            ("http://h/write?db=d&rp=r", "http://h/write?db=d&rp=r"),
            ("http://u:p@h/write", "http://***@h/write"),
            ("u:p@h", "***@h"),
            ("http://h/w?db=d&u=me&p=secret", "http://h/w?db=d&u=***&p=***"),
            ("http://h/w?secret", "http://h/w?***"),
            ("http://u:a/b@h/w", "http://***@h/w"),
            ("http://u:a?b@h/w?db=d", "http://***"),
            ("http://h/#token=t", "http://h/?token=***"),
            ("http://h/w?db=d#token=t", "http://h/w?db=d&token=***"),
            ("u:p@h://x", "***@h://x"),
        ] {
            assert_eq!(masked_url(text), shown, "{text}");
        }
    }
}
