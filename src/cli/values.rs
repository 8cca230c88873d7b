//! Values of options that are no quantities: ports, addresses, CPU lists, code points.
//!
//! Enters: one option's text. Leaves: the value, or what is allowed instead.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use podperf_model::plan::{Choice, MAX_CPUS, Pin, Wait, parse_cpus};
use podperf_model::units::{Invalid, parse_count};

/// Parses the name of a choice; lists them all in the help.
pub(super) fn choice<T: Choice>() -> impl TypedValueParser<Value = T> {
    let values = T::ALL.iter().map(|value| PossibleValue::new(value.name()).help(value.help()));
    // Only names of choices get through the first parser.
    PossibleValuesParser::new(values)
        .try_map(|name| T::named(&name).ok_or_else(|| Invalid::allowed("one of those listed")))
}

/// A port to connect to.
pub(super) fn port(text: &str) -> Result<u16, Invalid> {
    let port = parse_count(text).ok().filter(|port| *port != 0);
    port.ok_or_else(|| Invalid::allowed("a port from 1 to 65535"))
}

/// A port to listen on; 0 lets the system choose.
pub(super) fn listening_port(text: &str) -> Result<u16, Invalid> {
    parse_count(text)
        .map_err(|_| Invalid::allowed("a port from 1 to 65535, or 0 for any that is free"))
}

/// An own address and port, or a port alone, which is on loopback; port 0 lets the system choose.
pub(super) fn port_on_loopback(text: &str) -> Result<SocketAddr, Invalid> {
    let alone = listening_port(text).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let allowed =
        "a port, on loopback, or ADDRESS:PORT with an own address; of IPv6 [ADDRESS]:PORT";
    alone.or_else(|_| text.parse()).map_err(|_| Invalid::allowed(allowed))
}

/// An own address.
pub(super) fn address(text: &str) -> Result<IpAddr, Invalid> {
    text.parse().map_err(|_| Invalid::allowed("an IPv4 or IPv6 address of this host"))
}

/// `auto`, `none`, or CPUs such as `0,2,4-7`.
pub(super) fn pin(text: &str) -> Result<Pin, Invalid> {
    match text {
        "auto" => Ok(Pin::Auto),
        "none" => Ok(Pin::None),
        list => parse_cpus(list).map(Pin::List).ok_or_else(|| {
            let last = MAX_CPUS - 1;
            Invalid::allowed(format_args!("auto, none, or CPUs from 0 to {last} such as 0,2,4-7"))
        }),
    }
}

/// A share out of a percentage.
#[cfg(feature = "documents")]
pub(super) fn percent(text: &str) -> Result<f64, Invalid> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse();
    let percent = number.ok().filter(|percent| (0.0..100.0).contains(percent));
    percent
        .map(|percent: f64| percent / 100.0)
        .ok_or_else(|| Invalid::allowed("0 to below 100 percent, such as 5 or 5%"))
}

/// `block`, `spin` or `busy-poll=US`.
pub(super) fn wait(text: &str) -> Result<Wait, Invalid> {
    Wait::parse(text)
}

/// A code point as a number or by name: cs0 to cs7 (RFC 2474), af11 to af43 (RFC 2597), ef
/// (RFC 3246).
pub(super) fn dscp(text: &str) -> Result<u8, Invalid> {
    let name = text.to_ascii_lowercase();
    let code_point = match name.as_bytes() {
        b"ef" => Some(46),
        [b'c', b's', class @ b'0'..=b'7'] => Some((class - b'0') << 3),
        [b'a', b'f', class @ b'1'..=b'4', drop @ b'1'..=b'3'] => {
            Some(((class - b'0') << 3) | ((drop - b'0') << 1))
        }
        _ => parse_count(text).ok().filter(|value| *value <= 63),
    };
    code_point.ok_or_else(|| Invalid::allowed("0 to 63, cs0 to cs7, af11 to af43, or ef"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use podperf_model::plan::cpu_list;

    #[test]
    fn cpu_lists_are_read_in_the_order_given_and_printed_back() {
        for text in ["0", "0,2,4-7", "7,3,1-2", "1023"] {
            let Ok(Pin::List(cpus)) = pin(text) else { panic!("{text}") };
            assert_eq!(cpu_list(&cpus), text);
        }
        assert_eq!(pin("auto"), Ok(Pin::Auto));
        assert_eq!(pin("none"), Ok(Pin::None));
        assert_eq!(cpu_list(&[]), "");
        for text in ["", "all", "1,", "2-1", "0-", "-1", "1 ,2", "+1", "1024", "0-4294967295"] {
            assert!(pin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn code_points_have_the_values_of_their_rfcs() {
        for (text, value) in
            [("0", 0), ("63", 63), ("cs1", 8), ("CS7", 56), ("af11", 10), ("af43", 38), ("EF", 46)]
        {
            assert_eq!(dscp(text), Ok(value), "{text}");
        }
        for text in ["64", "-1", "cs8", "af44", "af14", "af10", "af51", "e", "", "256"] {
            assert!(dscp(text).is_err(), "{text}");
        }
    }

    #[test]
    fn port_zero_is_for_listening_only() {
        assert_eq!(port("65535"), Ok(65_535));
        assert_eq!(listening_port("0"), Ok(0));
        for text in ["0", "65536", "-1", "80x", ""] {
            assert!(port(text).is_err(), "{text}");
        }
        assert!(listening_port("65536").is_err());
    }
}
