//! Whether two ends have one TCP connection with each other: the time stamp of the SYN that a
//! server got, beside the clock that the client's kernel stamps its packets by (RFC 7323). The
//! kernel adds a random offset to it for every pair of addresses, so that a proxy's differs.

use std::net::TcpStream;
use std::time::Duration;

use podperf_sys::option;

/// TCP's option of time stamps, and its length.
const TIMESTAMPS: [u8; 2] = [8, 10];
/// By how much a clock read later may be behind the stamp: the kernel clears its lowest bit.
const MAX_BEHIND: u32 = 2;
/// Between the SYN and the client's look at its clock, beyond what it measured.
const CLOCK_SLACK: Duration = Duration::from_millis(50);

/// The time stamp of the SYN that opened an accepted connection, once; absent: there was none, or
/// it was not kept.
#[must_use]
pub fn syn_timestamp(accepted: &TcpStream) -> Option<u32> {
    timestamp_of(&option::saved_syn(accepted).ok()?)
}

/// The time stamp among the options of a TCP header behind an IP header.
fn timestamp_of(headers: &[u8]) -> Option<u32> {
    let first = *headers.first()?;
    let ip_bytes = match first >> 4 {
        4 => usize::from(first & 15) * 4,
        // Extension headers before TCP are not looked through.
        6 if headers.get(6) == Some(&6) => 40,
        _ => return None,
    };
    let tcp = headers.get(ip_bytes..)?;
    let mut options = tcp.get(20..usize::from(tcp.get(12)? >> 4) * 4)?;
    loop {
        options = match *options {
            [] | [0, ..] => return None,
            [1, ref rest @ ..] => rest,
            [kind, length, a, b, c, d, ..] if [kind, length] == TIMESTAMPS => {
                return Some(u32::from_be_bytes([a, b, c, d]));
            }
            [_, length, ..] => options.get(usize::from(length.max(2))..)?,
            [_] => return None,
        };
    }
}

/// The clock of a connection, as its client reads it when it is open.
#[derive(Debug, Clone, Copy)]
pub struct ConnectClock {
    timestamp: u32,
    /// Time that connecting took until then.
    took: Duration,
}

impl ConnectClock {
    /// Reads it; absent: the kernel does not tell.
    #[must_use]
    pub fn read(stream: &TcpStream, took: Duration) -> Option<Self> {
        option::tcp_timestamp(stream).ok().map(|timestamp| Self { timestamp, took })
    }

    /// Whether a SYN with this time stamp opened this connection.
    #[must_use]
    pub fn stamped(&self, syn_timestamp: u32) -> bool {
        let passed = self.timestamp.wrapping_sub(syn_timestamp);
        // It counts milliseconds, or microseconds where the route says so (Linux 6.7).
        u128::from(passed) <= (self.took + CLOCK_SLACK).as_micros()
            || passed.wrapping_neg() <= MAX_BEHIND
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::transport::socket;
    use socket2::SockRef;

    #[test]
    fn a_connection_knows_its_own_syn_and_no_other() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        socket::listening(&SockRef::from(&listener));
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let clock = ConnectClock::read(&client, Duration::from_millis(100)).unwrap();
        // A sandbox may keep no SYN, and a system may use no time stamps.
        let Some(stamp) = syn_timestamp(&accepted) else { return };
        assert!(clock.stamped(stamp), "{clock:?} {stamp}");
        assert!(!clock.stamped(stamp.wrapping_add(1 << 30)));
        assert!(!clock.stamped(stamp.wrapping_sub(1 << 30)));
        assert_eq!(syn_timestamp(&accepted), None, "it is told once");
    }

    #[test]
    fn options_are_looked_through_and_nothing_panics() {
        let syn = |ip: &[u8], options: &[u8]| {
            let mut tcp = [0; 20];
            tcp[12] = u8::try_from((20 + options.len()) / 4).unwrap() << 4;
            [ip, &tcp, options, &[0; 40]].concat()
        };
        let mut four = [0; 20];
        four[0] = 0x45;
        let mut six = [0; 40];
        (six[0], six[6]) = (0x60, 6);
        let options = [2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7];
        for ip in [&four[..], &six] {
            assert_eq!(timestamp_of(&syn(ip, &options)), Some(0x0102_0304));
            assert_eq!(timestamp_of(&syn(ip, &[2, 4, 5, 180])), None);
            assert_eq!(timestamp_of(&syn(ip, &[1, 1, 1, 0])), None);
            assert_eq!(timestamp_of(&syn(ip, &[3, 0, 0, 8])), None);
            assert_eq!(timestamp_of(&syn(ip, &[1, 1, 8, 10])), None);
        }
        let whole = syn(&four, &options);
        (0..whole.len()).for_each(|length| _ = timestamp_of(&whole[..length]));
        assert_eq!(timestamp_of(&[0; 120]), None);
    }
}
