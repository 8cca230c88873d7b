//! Ranges of addresses: one address, a network such as `10.0.0.0/8`, or `any`.

use std::fmt;
use std::net::IpAddr;

/// Addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    /// The lowest of them, one of IPv4 as IPv6 writes it.
    lowest: u128,
    /// Bits of the host, which may be anything.
    host_bits: u32,
}

/// Bits of an address of IPv6, in whose form all are kept.
const BITS: u32 = u128::BITS;

impl AddressRange {
    /// Every address there is.
    const ANY: Self = Self { lowest: 0, host_bits: BITS };

    /// Reads a range.
    ///
    /// # Errors
    /// What is allowed, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "any" {
            return Ok(Self::ANY);
        }
        let allowed = || {
            "allowed: any, an address such as 192.0.2.7, or a network such as 192.0.2.0/24 or \
             2001:db8::/48"
                .to_owned()
        };
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let address: IpAddr = address.parse().map_err(|_| allowed())?;
        let most = if address.is_ipv4() { 32 } else { BITS };
        let length = match length {
            None => most,
            Some(length) => {
                let digits = length.bytes().all(|byte| byte.is_ascii_digit());
                let length = length.parse().ok().filter(|length| digits && *length <= most);
                length.ok_or_else(allowed)?
            }
        };
        let host_bits = most - length;
        let bits = bits_of(address);
        let lowest = bits.checked_shr(host_bits).unwrap_or(0).checked_shl(host_bits).unwrap_or(0);
        let range = Self { lowest, host_bits };
        if lowest != bits {
            return Err(format!("it has bits beyond its length; allowed: {range}"));
        }
        Ok(range)
    }

    /// Whether `ip` is one of them.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        (bits_of(ip) ^ self.lowest).checked_shr(self.host_bits).unwrap_or(0) == 0
    }
}

/// An address as IPv6 writes it.
fn bits_of(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ANY {
            return f.write_str("any");
        }
        let address = IpAddr::from(self.lowest.to_be_bytes()).to_canonical();
        let most = if address.is_ipv4() && self.host_bits <= 32 { 32 } else { BITS };
        write!(f, "{address}")?;
        if self.host_bits > 0 { write!(f, "/{}", most - self.host_bits) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_addresses_and_no_others() {
        for (range, inside, outside) in [
            ("192.0.2.7", vec!["192.0.2.7", "::ffff:192.0.2.7"], vec!["192.0.2.6", "::"]),
            ("10.0.0.0/8", vec!["10.0.0.0", "10.255.255.255"], vec!["11.0.0.0", "9.255.0.1"]),
            ("0.0.0.0/0", vec!["0.0.0.0", "255.1.2.3"], vec!["::1", "2001:db8::1"]),
            ("2001:db8::/48", vec!["2001:db8:0:9::1"], vec!["2001:db8:1::1", "10.0.0.1"]),
            ("::1", vec!["::1"], vec!["::2", "127.0.0.1"]),
            ("::/0", vec!["::1", "10.0.0.1"], vec![]),
            ("any", vec!["::1", "10.0.0.1"], vec![]),
        ] {
            let parsed = AddressRange::parse(range).unwrap();
            for (addresses, expected) in [(inside, true), (outside, false)] {
                for address in addresses {
                    let contains = parsed.contains(address.parse().unwrap());
                    assert_eq!(contains, expected, "{address} in {range}");
                }
            }
            if range != "::/0" {
                assert_eq!(parsed.to_string(), range);
            }
        }
    }

    #[test]
    fn what_is_none_says_what_is_allowed() {
        for text in ["", "host", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0/8"] {
            let refused = AddressRange::parse(text).unwrap_err();
            assert!(refused.starts_with("allowed: any, an address"), "{text}: {refused}");
        }
        let refused = AddressRange::parse("10.1.0.0/8").unwrap_err();
        assert_eq!(refused, "it has bits beyond its length; allowed: 10.0.0.0/8");
    }
}
