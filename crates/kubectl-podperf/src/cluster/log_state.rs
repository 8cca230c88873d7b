//! What was read from the log of a coordinator, as plain data.

use std::collections::BTreeMap;

use podperf_model::result::cluster::ProbeFacts;
use podperf_model::result::run::Run;

/// State of a run by its coordinator's log so far.
#[derive(Debug, Default)]
pub(crate) struct LogState {
    /// Results by step and agent.
    pub(crate) results: BTreeMap<(u32, String), Run>,
    /// Reasons why there is no result, by step and agent (none: of the whole step).
    pub(crate) missing: BTreeMap<(u32, Option<String>), String>,
    pub(crate) probes: Vec<ProbeFacts>,
    /// Agents that were lost, each with the cause.
    pub(crate) lost: Vec<(String, String)>,
    /// The coordinator has written its last record: why it ended early, if it did.
    pub(crate) finished: Option<Option<String>>,
    /// Steps of the schedule.
    pub(crate) steps: u32,
    /// The log cannot be read, and the run may go on meanwhile.
    pub(crate) unreachable: bool,
}
