//! Tests of the order in which a client may speak.

use proptest::prelude::*;

use super::*;
use crate::control::message::Hello;

fn hello() -> FromClient {
    FromClient::Hello(Hello {
        podperf: String::new(),
        features: Vec::new(),
        nonce: String::new(),
        token: false,
        boot_id: None,
    })
}

#[test]
fn a_token_cannot_be_walked_around() {
    let state = State::New.after(&hello(), true, false).unwrap();
    assert_eq!(state, State::Unproved);
    for message in [hello(), FromClient::Start, FromClient::Stop, FromClient::Open] {
        assert!(state.after(&message, true, false).is_err(), "{message:?}");
    }
}

#[test]
fn a_second_start_is_refused() {
    let running = State::Ready.after(&FromClient::Start, false, false).unwrap();
    assert!(running.after(&FromClient::Start, false, false).is_err());
}

proptest! {
    /// Whatever is sent without a prepare, no session gets to run.
    #[test]
    fn nothing_runs_without_a_plan(choices in prop::collection::vec(0_usize..6, 0..40)) {
        let mut state = State::New;
        for choice in choices {
            let message = [
                hello(),
                FromClient::Start,
                FromClient::Open,
                FromClient::Close,
                FromClient::Stop,
                FromClient::Heartbeat,
            ][choice].clone();
            state = state.after(&message, false, false).unwrap_or(state);
            prop_assert!(matches!(state, State::New | State::Welcome));
        }
    }
}
