//! The first bytes of a connection, and the datagrams that set up a flow.

use std::net::SocketAddr;

use podperf_engine::control::flow_preamble::{FlowAnswer, FlowRequest, ProofKey};
use podperf_engine::control::preamble::{LENGTH_BYTES, Preamble, check_start};

use super::text::assert_one_line;

/// Checks the first bytes, and all of them as a datagram.
pub fn check(data: &[u8]) {
    if let Err(refusal) = check_start(data) {
        assert_one_line(&refusal, "a refusal");
    }
    if let Some(bytes) = data.first_chunk::<LENGTH_BYTES>() {
        match Preamble::decode(bytes) {
            Ok(preamble) => {
                assert_eq!(Preamble::decode(&preamble.encode()), Ok(preamble));
                // What may still become a preamble is never told off before.
                (0..=LENGTH_BYTES)
                    .for_each(|length| assert_eq!(check_start(&bytes[..length]), Ok(())));
            }
            Err(refusal) => assert_one_line(&refusal, "a refusal"),
        }
    }
    let (request, answer) = (FlowRequest::decode(data), FlowAnswer::decode(data));
    assert!(request.is_none() || answer.is_none(), "a request and an answer at once");
    if let Some(request) = request {
        assert_eq!(FlowRequest::decode(&request.encode()), Some(request));
        // Nobody guesses a proof of a key that is new.
        let from = SocketAddr::from(([192, 0, 2, 1], 4000));
        let key = ProofKey::random().expect("the system has random numbers");
        assert!(!key.accepts(&request, from), "a guessed proof");
        let proved = FlowRequest { proof: key.proof(&request, from), ..request };
        assert!(key.accepts(&proved, from), "its own proof");
    }
    if let Some(answer) = answer {
        assert_eq!(FlowAnswer::decode(&answer.encode()), Some(answer));
    }
}
