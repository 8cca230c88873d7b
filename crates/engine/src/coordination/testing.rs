//! The messages of coordinator and agents for tests of the crates above.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::message::{FromAgent, FromCoordinator};

/// Reads a message from a coordinator and writes it again; absent: it is none.
#[must_use]
pub fn from_coordinator_again(json: &[u8]) -> Option<Vec<u8>> {
    again::<FromCoordinator>(json)
}

/// Reads a message from an agent and writes it again; absent: it is none.
#[must_use]
pub fn from_agent_again(json: &[u8]) -> Option<Vec<u8>> {
    again::<FromAgent>(json)
}

fn again<T: Serialize + DeserializeOwned>(json: &[u8]) -> Option<Vec<u8>> {
    let message: T = serde_json::from_slice(json).ok()?;
    serde_json::to_vec(&message).ok()
}
