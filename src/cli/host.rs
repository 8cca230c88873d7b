//! The server's name as typed: a name, an IPv4 or IPv6 address, each with or without a port.
//!
//! Enters: one word. Leaves: host and port apart. No name is resolved here.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::cli::values;
use podperf_model::AddressFamily;
use podperf_model::units::Invalid;

/// A host and, if it was typed with it, a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostArg {
    /// Name or address; an IPv6 address without brackets, its zone behind a `%`.
    pub(super) name: String,
    /// The port behind the last colon.
    pub(super) port: Option<u16>,
    /// Family of the address; absent for a name.
    pub(super) family: Option<AddressFamily>,
}

impl FromStr for HostArg {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        split(text)
            .and_then(|(name, port)| {
                let port = port.map(values::port).transpose().ok()?;
                Some(Self { name: name.to_owned(), port, family: family(name)? })
            })
            .ok_or_else(|| {
                Invalid::allowed(
                    "a name, an IPv4 address or an IPv6 address (with %zone if need be), and a \
                     port as in host:5210 or [2001:db8::1]:5210",
                )
            })
    }
}

/// Host and port apart, brackets taken off.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
        return address.contains(':').then_some((address, port));
    }
    match text.split_once(':') {
        // More than one colon: an IPv6 address, which needs brackets to have a port.
        Some((_, rest)) if rest.contains(':') => Some((text, None)),
        Some((name, port)) => Some((name, Some(port))),
        None => Some((text, None)),
    }
}

/// The address's family, nothing for a name that could be resolved; none for neither.
fn family(name: &str) -> Option<Option<AddressFamily>> {
    if name.contains(':') {
        let (address, zone) = match name.split_once('%') {
            Some((address, zone)) => (address, Some(zone)),
            None => (name, None),
        };
        let zone_fits = zone.is_none_or(|zone| !zone.is_empty() && zone.chars().all(zone_char));
        return (address.parse::<Ipv6Addr>().is_ok() && zone_fits)
            .then_some(Some(AddressFamily::V6));
    }
    // The resolver would read 1.2.3 as 1.2.0.3 and 10 as 0.0.0.10 (inet_aton(3)).
    if name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return name.parse::<Ipv4Addr>().is_ok().then_some(Some(AddressFamily::V4));
    }
    let label_char = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let fits = name.len() <= 253 && !name.starts_with(['-', '.']) && !name.contains("..");
    (fits && name.bytes().all(label_char)).then_some(None)
}

/// Interface names take more, but none of these would come from one that is in use.
fn zone_char(char: char) -> bool {
    char.is_ascii_graphic() && !"/%[]".contains(char)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_addresses_come_with_and_without_ports() {
        for (text, name, port, family) in [
            ("hostB", "hostB", None, None),
            ("hostB:5211", "hostB", Some(5211), None),
            ("node_1.example.org.", "node_1.example.org.", None, None),
            ("192.0.2.2", "192.0.2.2", None, Some(AddressFamily::V4)),
            ("192.0.2.2:80", "192.0.2.2", Some(80), Some(AddressFamily::V4)),
            ("::1", "::1", None, Some(AddressFamily::V6)),
            ("[::1]", "::1", None, Some(AddressFamily::V6)),
            ("[2001:db8::1]:5210", "2001:db8::1", Some(5210), Some(AddressFamily::V6)),
            ("fe80::1%eth0", "fe80::1%eth0", None, Some(AddressFamily::V6)),
            ("[fe80::1%eth0.100]:1", "fe80::1%eth0.100", Some(1), Some(AddressFamily::V6)),
            ("::ffff:192.0.2.2", "::ffff:192.0.2.2", None, Some(AddressFamily::V6)),
        ] {
            assert_eq!(text.parse(), Ok(HostArg { name: name.into(), port, family }), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            " ",
            ":5210",
            "host:",
            "host:0",
            "host:65536",
            "host:x",
            "http://host",
            "a b",
            "host/x",
            "10",
            "1.2.3",
            "256.0.0.1",
            "[::1",
            "::1]",
            "[host]:1",
            "[::1]x",
            "1:2:3",
            "fe80::1%",
            "[fe80::1%a b]",
            "a..b",
            ".a",
            "h\u{f6}st",
            "[]:1",
            "192.0.2.2%eth0",
        ] {
            let error = text.parse::<HostArg>().expect_err(text).to_string();
            assert!(error.starts_with("allowed: a name, an IPv4 address"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*", address in r"[\[\]0-9a-f:.%x]{0,20}") {
            let _ = text.parse::<HostArg>();
            let _ = address.parse::<HostArg>();
        }

        #[test]
        fn every_address_is_a_host(address: std::net::IpAddr, port in 1_u16..) {
            let host = address.to_string().parse::<HostArg>().unwrap();
            prop_assert_eq!((host.name, host.port), (address.to_string(), None));
            let typed = std::net::SocketAddr::new(address, port).to_string();
            let host = typed.parse::<HostArg>().unwrap();
            prop_assert_eq!((host.name, host.port), (address.to_string(), Some(port)));
        }
    }
}
