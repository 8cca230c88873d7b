//! Why a policy does not let a client in, or ends its run: the limit, how far it is used, and when
//! to come again.

use std::fmt;

use jiff::Timestamp;

use podperf_model::error::{Code, Error, Kind};

/// The limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PolicyLimit {
    /// No rule takes the client.
    Address,
    /// Its token does not hold now.
    Token,
    /// Sessions at once.
    Sessions,
    /// Streams at once.
    Streams,
    /// Streams of a run.
    RunStreams,
    /// Length of a run.
    RunTime,
    /// Runs an hour.
    RunsPerHour,
    /// Bytes a day.
    BytesPerDay,
    /// Rate of a run.
    Rate,
    /// Runs of datagrams.
    Udp,
    /// Choice of CPUs.
    Cpus,
    /// Waiting without sleeping.
    Spin,
    /// Runs in a queue, or the time in it.
    Queue,
}

impl PolicyLimit {
    /// Its name for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Token => "token",
            Self::Sessions => "sessions",
            Self::Streams => "streams",
            Self::RunStreams => "run.streams",
            Self::RunTime => "run.time",
            Self::RunsPerHour => "runs_per_hour",
            Self::BytesPerDay => "bytes_per_day",
            Self::Rate => "rate",
            Self::Udp => "udp",
            Self::Cpus => "cpus",
            Self::Spin => "spin",
            Self::Queue => "queue",
        }
    }
}

/// Why a client is refused, or its run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The limit.
    pub limit: PolicyLimit,
    /// What it allows and how far that is used, in words.
    pub cause: String,
    /// When to come again, where the clock decides; absent: see `remedy`.
    pub again: Option<Timestamp>,
    /// What else helps.
    pub remedy: Option<&'static str>,
}

impl Refusal {
    /// A refusal that time alone does not change.
    #[must_use]
    pub fn new(limit: PolicyLimit, cause: impl fmt::Display, remedy: &'static str) -> Self {
        Self { limit, cause: cause.to_string(), again: None, remedy: Some(remedy) }
    }

    /// A refusal until `again`.
    pub(super) fn until(limit: PolicyLimit, cause: impl fmt::Display, again: Timestamp) -> Self {
        Self { limit, cause: cause.to_string(), again: Some(again), remedy: None }
    }

    /// Whether a place is free when another run ends.
    pub(super) const fn passes(&self) -> bool {
        matches!(self.limit, PolicyLimit::Sessions | PolicyLimit::Streams)
    }

    /// What helps.
    #[must_use]
    pub fn advice(&self) -> String {
        let again = self.again.map(|again| format!("come again at {again}"));
        again.unwrap_or_else(|| self.remedy.unwrap_or_default().to_owned())
    }

    /// The refusal as a failure of `operation`.
    #[must_use]
    pub fn into_error(self, kind: Kind, operation: &str) -> Error {
        let advice = self.advice();
        let error = Error::new(kind, operation, self.cause).with_limit(self.limit.name());
        error.with_code(Code::Refused).with_remedy(advice)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause, self.advice())
    }
}
