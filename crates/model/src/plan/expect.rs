//! What is expected of a path before anything is timed on it.

use serde::{Deserialize, Serialize};

/// What a probe expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// A podperf server answers, several times in a row.
    Answer,
    /// Nothing comes of a connection: something on the way drops or refuses it. Whether it does is
    /// told and never leaves a test out.
    NoAnswer,
}
