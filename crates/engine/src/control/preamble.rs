//! The first 32 bytes of every connection, either way: what it is and whose.
//!
//! ```text
//! 0        8        10    11    12       16                32
//! "podperf\n" version kind  0     stream   session id
//! ```
//! All numbers are big-endian. A connection that opens with anything else is not podperf's.

use crate::net::SessionId;
use crate::transport::datagram::SETUP_MAGIC as MAGIC;

/// Version of the control protocol. Ends of different versions refuse each other.
pub const VERSION: u16 = 1;
/// Length of a preamble in bytes.
pub const LENGTH_BYTES: usize = 32;

/// What a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preamble {
    /// A control connection.
    Control,
    /// The data connection of one stream.
    Data {
        /// Whose.
        session: SessionId,
        /// Which.
        stream: u32,
    },
    /// From a server, to the data connection of a session that it does not know.
    UnknownSession {
        /// Which stream it was to be.
        stream: u32,
    },
    /// A probe of the path: whatever follows it is dropped, and the server answers with bytes.
    Probe {
        /// How many bytes it is to send, at most [`MAX_PROBE_BYTES`].
        answer_bytes: u32,
    },
}

/// Kind of an answer to who belongs to no session, on a connection or as a datagram.
pub(super) const KIND_UNKNOWN_SESSION: u8 = 5;
const KIND_PROBE: u8 = 6;
/// Largest answer to a probe: a packet of the largest MTU in use, and not much to ask for.
pub const MAX_PROBE_BYTES: u32 = 9216;

impl Preamble {
    /// Encodes it as it goes over the wire.
    #[must_use]
    pub fn encode(self) -> [u8; LENGTH_BYTES] {
        let (kind, stream, session) = match self {
            Self::Control => (0, 0, SessionId([0; 16])),
            Self::Data { session, stream } => (1, stream, session),
            Self::UnknownSession { stream } => (KIND_UNKNOWN_SESSION, stream, SessionId([0; 16])),
            Self::Probe { answer_bytes } => (KIND_PROBE, answer_bytes, SessionId([0; 16])),
        };
        let mut bytes = [0; LENGTH_BYTES];
        bytes[..16].copy_from_slice(&head(kind, stream));
        bytes[16..].copy_from_slice(&session.0);
        bytes
    }

    /// Decodes it from the wire.
    ///
    /// # Errors
    /// What else it is, in words.
    pub fn decode(bytes: &[u8; LENGTH_BYTES]) -> Result<Self, String> {
        check_start(bytes)?;
        let version = u16::from_be_bytes([bytes[8], bytes[9]]);
        if version != VERSION {
            return Err(format!(
                "the peer speaks version {version} of podperf's protocol, this is version {VERSION}"
            ));
        }
        let stream = u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
        match bytes[10] {
            0 => Ok(Self::Control),
            1 => {
                let mut session = [0; 16];
                session.copy_from_slice(&bytes[16..]);
                Ok(Self::Data { session: SessionId(session), stream })
            }
            KIND_UNKNOWN_SESSION => Ok(Self::UnknownSession { stream }),
            KIND_PROBE if stream <= MAX_PROBE_BYTES => Ok(Self::Probe { answer_bytes: stream }),
            kind => Err(format!("unknown kind of connection {kind}")),
        }
    }
}

/// The 16 bytes that a preamble opens with, and a datagram that sets up a flow.
pub(super) fn head(kind: u8, number: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..10].copy_from_slice(&VERSION.to_be_bytes());
    bytes[10] = kind;
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// Whether what has come so far can still become a preamble: what is not podperf is told after one
/// packet, not after a deadline.
///
/// # Errors
/// What else it is, in words.
pub fn check_start(bytes: &[u8]) -> Result<(), String> {
    let length = bytes.len().min(MAGIC.len());
    if bytes[..length] == MAGIC[..length] {
        return Ok(());
    }
    let start = bytes.iter().take(24).map(|&byte| byte as char);
    let start: String = start.flat_map(char::escape_default).collect();
    Err(format!("the peer is not podperf: it sent \"{start}\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_preamble_survives_the_wire(session: [u8; 16], stream: u32) {
            let session = SessionId(session);
            for preamble in [
                Preamble::Control,
                Preamble::Data { session, stream },
                Preamble::UnknownSession { stream },
                Preamble::Probe { answer_bytes: stream % (MAX_PROBE_BYTES + 1) },
            ] {
                prop_assert_eq!(Preamble::decode(&preamble.encode()), Ok(preamble));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: [u8; LENGTH_BYTES]) {
            let _ = Preamble::decode(&bytes);
        }
    }

    #[test]
    fn what_is_not_podperf_is_told_by_what_it_says() {
        let mut http = [0; LENGTH_BYTES];
        http[..12].copy_from_slice(b"HTTP/1.1 400");
        let http = Preamble::decode(&http).unwrap_err();
        assert!(http.starts_with("the peer is not podperf: it sent \"HTTP/1.1 400"), "{http}");
        let mut newer = Preamble::Control.encode();
        newer[9] = 9;
        let newer = Preamble::decode(&newer).unwrap_err();
        assert!(newer.starts_with("the peer speaks version 9 of podperf's protocol"), "{newer}");
        let greedy = Preamble::Probe { answer_bytes: MAX_PROBE_BYTES + 1 }.encode();
        assert!(Preamble::decode(&greedy).is_err());
        assert!(check_start(b"pod").is_ok());
        assert!(check_start(b"pos").is_err());
    }
}
