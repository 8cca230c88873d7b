//! The datagrams that set up a flow: a request with the session's id, a challenge, the same request
//! with the challenge's proof, and an acceptance.
//!
//! ```text
//! 0        8        10    11    12       16           32        48
//! "podperf\n" version kind  0     flow     session id   proof          request, 48 bytes
//! "podperf\n" version kind  0     flow     proof or 0                  answer, 32 bytes
//! ```
//! The session's id has come over the control connection. The proof is a MAC over session, flow and
//! the address that a request came from, so that only who receives there can repeat it: nobody can
//! have a server send more to a third party than one answer, which is shorter than its request. One
//! for a session that the server does not know is answered so. All numbers are big-endian. No I/O
//! here.

use std::net::SocketAddr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::control::preamble::{KIND_UNKNOWN_SESSION, head};
use crate::net::SessionId;

/// Length of a request in bytes.
pub const REQUEST_BYTES: usize = 48;
/// Length of an answer in bytes.
pub const ANSWER_BYTES: usize = 32;
const KIND_REQUEST: u8 = 2;
const KIND_CHALLENGE: u8 = 3;
const KIND_ACCEPTED: u8 = 4;

/// What shows that its sender receives at the address it sends from.
pub type Proof = [u8; 16];

/// From client to server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowRequest {
    /// Whose flow.
    pub session: SessionId,
    /// Which.
    pub flow: u32,
    /// The last challenge's; zeroes at first.
    pub proof: Proof,
}

/// From server to client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowAnswer {
    /// Repeat the request with this proof.
    Challenge {
        /// Which flow.
        flow: u32,
        /// What to repeat.
        proof: Proof,
    },
    /// The flow is set up.
    Accepted {
        /// Which.
        flow: u32,
    },
    /// The server knows no such session.
    UnknownSession {
        /// Which flow it was to be.
        flow: u32,
    },
}

/// Kind and flow of a datagram of this version.
fn kind_and_flow(bytes: &[u8]) -> Option<(u8, u32)> {
    let start: &[u8; 16] = bytes.first_chunk()?;
    let flow = u32::from_be_bytes([start[12], start[13], start[14], start[15]]);
    let own = start[..10] == head(0, 0)[..10];
    own.then_some((start[10], flow))
}

impl FlowRequest {
    /// Encodes it as it goes over the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; REQUEST_BYTES] {
        let mut bytes = [0; REQUEST_BYTES];
        bytes[..16].copy_from_slice(&head(KIND_REQUEST, self.flow));
        bytes[16..32].copy_from_slice(&self.session.0);
        bytes[32..].copy_from_slice(&self.proof);
        bytes
    }

    /// Decodes it from the wire; absent: something else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; REQUEST_BYTES] = bytes.try_into().ok()?;
        let (kind, flow) = kind_and_flow(bytes)?;
        let (session, proof) = (*bytes[16..].first_chunk()?, *bytes.last_chunk()?);
        (kind == KIND_REQUEST).then_some(Self { session: SessionId(session), flow, proof })
    }
}

impl FlowAnswer {
    /// Encodes it as it goes over the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; ANSWER_BYTES] {
        let (kind, flow, proof) = match *self {
            Self::Challenge { flow, proof } => (KIND_CHALLENGE, flow, proof),
            Self::Accepted { flow } => (KIND_ACCEPTED, flow, Proof::default()),
            Self::UnknownSession { flow } => (KIND_UNKNOWN_SESSION, flow, Proof::default()),
        };
        let mut bytes = [0; ANSWER_BYTES];
        bytes[..16].copy_from_slice(&head(kind, flow));
        bytes[16..].copy_from_slice(&proof);
        bytes
    }

    /// Decodes it from the wire; absent: something else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ANSWER_BYTES] = bytes.try_into().ok()?;
        let proof = *bytes.last_chunk()?;
        match kind_and_flow(bytes)? {
            (KIND_CHALLENGE, flow) => Some(Self::Challenge { flow, proof }),
            (KIND_ACCEPTED, flow) => Some(Self::Accepted { flow }),
            (KIND_UNKNOWN_SESSION, flow) => Some(Self::UnknownSession { flow }),
            _ => None,
        }
    }
}

/// A server's key for proofs; random, and as old as the server.
#[derive(Clone)]
pub struct ProofKey([u8; 32]);

impl ProofKey {
    /// Makes a fresh one.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Computes the proof of a request that came from `from`.
    #[must_use]
    pub fn proof(&self, request: &FlowRequest, from: SocketAddr) -> Proof {
        let bytes = self.mac(request, from).finalize().into_bytes();
        let mut proof = Proof::default();
        proof.copy_from_slice(&bytes[..16]);
        proof
    }

    /// Whether a request brings its proof; takes the same time wherever it differs.
    #[must_use]
    pub fn accepts(&self, request: &FlowRequest, from: SocketAddr) -> bool {
        self.mac(request, from).verify_truncated_left(&request.proof).is_ok()
    }

    /// HMAC-SHA256 (RFC 2104) over session, flow and address.
    fn mac(&self, request: &FlowRequest, from: SocketAddr) -> Hmac<Sha256> {
        // HMAC takes keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any key length is valid");
        mac.update(&request.session.0);
        mac.update(&request.flow.to_be_bytes());
        mac.update(from.to_string().as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn requests_and_answers_survive_the_wire(session: [u8; 16], flow: u32, proof: Proof) {
            let request = FlowRequest { session: SessionId(session), flow, proof };
            prop_assert_eq!(FlowRequest::decode(&request.encode()), Some(request));
            prop_assert_eq!(FlowAnswer::decode(&request.encode()), None);
            for answer in [FlowAnswer::Challenge { flow, proof }, FlowAnswer::Accepted { flow }] {
                prop_assert_eq!(FlowAnswer::decode(&answer.encode()), Some(answer));
                prop_assert_eq!(FlowRequest::decode(&answer.encode()), None);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            prop_assert_eq!(FlowRequest::decode(&bytes), None);
            prop_assert_eq!(FlowAnswer::decode(&bytes), None);
        }
    }

    #[test]
    fn a_proof_is_good_for_one_flow_from_one_address() {
        let key = ProofKey::random().unwrap();
        let from: SocketAddr = "192.0.2.1:4000".parse().unwrap();
        let mut request = FlowRequest { session: SessionId([7; 16]), flow: 3, proof: [0; 16] };
        assert!(!key.accepts(&request, from));
        request.proof = key.proof(&request, from);
        assert!(key.accepts(&request, from));
        assert!(!key.accepts(&request, "192.0.2.1:4001".parse().unwrap()));
        assert!(!key.accepts(&FlowRequest { flow: 4, ..request }, from));
        assert!(!key.accepts(&FlowRequest { session: SessionId([8; 16]), ..request }, from));
        assert!(!ProofKey::random().unwrap().accepts(&request, from));
    }
}
