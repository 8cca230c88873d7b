//! What a server's log tells of one run, as a line of JSON.
//!
//! Enters: who asked for what, and what came of it. Leaves: an object whose keys bear their units.

use serde::Serialize;

use crate::error::{Code, Error};
use crate::plan::{Plan, Workload};

/// One run of a server, from its plan to its end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunRecord {
    /// When it ended (RFC 3339, UTC); the log sets it.
    pub time: String,
    /// Always `run`.
    pub event: &'static str,
    /// The client's address and port.
    pub peer: String,
    /// The rule of the policy that it came under; absent without a policy.
    pub rule: Option<String>,
    /// What the policy calls the token that the client knows; absent: nothing.
    pub token: Option<String>,
    /// What was asked for: `stream`, `rr`, `crr`, `udp`, `udp_rr`.
    pub workload: &'static str,
    /// Streams or flows that were asked for.
    pub streams: u32,
    /// From the plan's arrival to the end, waiting and setting up included.
    pub seconds: f64,
    /// Payload that this end received and sent.
    pub bytes_received: u64,
    /// The same, sent.
    pub bytes_sent: u64,
    /// What became of it.
    pub status: RunOutcome,
    /// The limit that refused or ended it: what the counts of `--metrics` call it.
    pub limit: Option<&'static str>,
    /// What went wrong, for programs.
    pub error_code: Option<Code>,
    /// The same, for people.
    pub error: Option<String>,
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// It came to its end, by its plan or because its client ended it.
    Complete,
    /// It broke off.
    Incomplete,
    /// It was refused before anything was set up for it.
    Refused,
}

impl RunOutcome {
    /// Its name for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Refused => "refused",
        }
    }
}

impl RunRecord {
    /// A run that is asked for: refused, until more comes of it.
    #[must_use]
    pub fn asked(peer: &str, rule: Option<&str>, plan: &Plan) -> Self {
        let workload = match plan.workload {
            Workload::Stream(_) => "stream",
            Workload::Rr(_) => "rr",
            Workload::Crr(_) => "crr",
            Workload::Udp(_) => "udp",
            Workload::UdpRr(_) => "udp_rr",
        };
        Self::new(peer, rule, workload, plan.flows)
    }

    /// The same of a workload by its name.
    #[must_use]
    pub fn new(peer: &str, rule: Option<&str>, workload: &'static str, streams: u32) -> Self {
        Self {
            time: String::new(),
            event: "run",
            peer: peer.to_owned(),
            rule: rule.map(str::to_owned),
            token: None,
            workload,
            streams,
            seconds: 0.0,
            bytes_received: 0,
            bytes_sent: 0,
            status: RunOutcome::Refused,
            limit: None,
            error_code: None,
            error: None,
        }
    }

    /// Notes that it was let in.
    pub const fn admit(&mut self) {
        self.status = RunOutcome::Incomplete;
    }

    /// Notes how it ended.
    pub fn end(&mut self, ended: &Result<(), Error>) {
        match ended {
            Ok(()) => self.status = RunOutcome::Complete,
            Err(error) => {
                self.limit = error.limit;
                self.error_code = Some(error.code);
                self.error = Some(error.to_string());
            }
        }
    }
}
