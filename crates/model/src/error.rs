//! The one error type: which operation failed, with which peer, why, and what to do about it.
//!
//! Errors cross the control connection and stand in the result document, so the cause is kept as
//! text. Enters: an operation and its cause. Leaves: a sentence for people and an exit status.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a failure means for the run as a whole; decides the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The command line asks for something impossible. Exit status 2.
    Usage,
    /// Nothing could be measured (no connection, refused, not permitted). Exit status 3.
    Unmeasured,
    /// The run broke off; what was measured before stands in the result. Exit status 4.
    Incomplete,
    /// The deadline given by the user passed. Exit status 5.
    Deadline,
    /// SIGINT ended the run. Exit status 130.
    Interrupted,
    /// SIGTERM ended the run. Exit status 143.
    Terminated,
}

impl Kind {
    /// The process exit status this kind maps to.
    #[must_use]
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Unmeasured => 3,
            Self::Incomplete => 4,
            Self::Deadline => 5,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// A failure: `operation peer: cause (remedy)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Error {
    /// What the failure means for the run.
    pub kind: Kind,
    /// What was being done, in lower case: "connect control connection to".
    pub operation: String,
    /// The other side, usually `address:port`.
    #[serde(default)]
    pub peer: Option<String>,
    /// Why it failed, in the words of the system where it has some.
    pub cause: String,
    /// What the user can do about it.
    #[serde(default)]
    pub remedy: Option<String>,
    /// The stream it happened on.
    #[serde(default)]
    pub stream: Option<u32>,
    /// Seconds since the window opened; negative in the warm-up.
    #[serde(default)]
    pub at_seconds: Option<f64>,
}

impl std::error::Error for Error {}

impl Error {
    /// A failure of `operation` because of `cause`.
    pub fn new(kind: Kind, operation: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self {
            kind,
            operation: operation.into(),
            peer: None,
            cause: cause.to_string(),
            remedy: None,
            stream: None,
            at_seconds: None,
        }
    }

    /// A command line that cannot be carried out: option, value, and what is allowed.
    pub fn usage(option: &str, value: impl fmt::Display, allowed: impl fmt::Display) -> Self {
        Self::new(Kind::Usage, format!("invalid value '{value}' for '{option}'"), allowed)
    }

    /// Names the peer.
    #[must_use]
    pub fn with_peer(mut self, peer: impl fmt::Display) -> Self {
        self.peer = Some(peer.to_string());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Names the stream.
    #[must_use]
    pub const fn with_stream(mut self, stream: u32) -> Self {
        self.stream = Some(stream);
        self
    }

    /// The same failure with another meaning for the run.
    #[must_use]
    pub const fn with_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stream) = self.stream {
            write!(f, "stream {stream}: ")?;
        }
        f.write_str(&self.operation)?;
        if let Some(peer) = &self.peer {
            write!(f, " {peer}")?;
        }
        write!(f, ": {}", self.cause)?;
        if let Some(at) = self.at_seconds {
            write!(f, " (at {at:.3} s)")?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_operation_peer_cause_and_remedy() {
        let error = Error::new(Kind::Unmeasured, "connect control connection to", "refused")
            .with_peer("192.0.2.2:5210")
            .with_remedy("start `podperf serve` there");
        assert_eq!(
            error.to_string(),
            "connect control connection to 192.0.2.2:5210: refused; start `podperf serve` there"
        );
        assert_eq!(error.kind.exit_status(), 3);
    }
}
