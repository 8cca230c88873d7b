//! What the log of a coordinator has told so far, as plain data.

use std::collections::BTreeMap;

use podperf_model::result::cluster::ProbeFacts;
use podperf_model::result::run::Run;

/// What a coordinator's log has told so far.
#[derive(Debug, Default)]
pub(crate) struct LogState {
    /// By step and agent.
    pub(crate) results: BTreeMap<(u32, String), Run>,
    /// Why there is no result, by step and agent (none: of the whole step).
    pub(crate) missing: BTreeMap<(u32, Option<String>), String>,
    pub(crate) probes: Vec<ProbeFacts>,
    /// Agents that went before their time.
    pub(crate) lost: Vec<(String, String)>,
    /// The coordinator has said its last word: why it broke off, if it did.
    pub(crate) finished: Option<Option<String>>,
    /// Steps of the schedule.
    pub(crate) steps: u32,
    /// The log is not to be had, and the run may go on without anybody reading it.
    pub(crate) unreachable: bool,
}
