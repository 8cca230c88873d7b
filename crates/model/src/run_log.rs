//! What a coordinator's log says: one record a line, and results between markers.
//!
//! Enters: records and runs, for [`write()`] and [`write_result`]; the log's lines, for [`Reader`].
//! Leaves: lines that a container's runtime neither splits nor mixes up; records and whole runs.

mod encoded;
mod reader;
mod writer;

pub use encoded::{EncodedRun, RunSummary};
pub use reader::{Item, Reader};
pub use writer::{ResultKey, write, write_encoded, write_result};

use serde::{Deserialize, Serialize};

use crate::plan::Expect;

/// Name and version of what the records mean.
pub const SCHEMA: &str = "podperf.coordination/v1";

/// Characters of a line of base64, but for the last of a result: container runtimes split lines of
/// 16 KiB and more, some already shorter ones.
const LINE_CHARS: usize = 4000;
/// Largest result that is written or read, as JSON, in bytes.
const MAX_RESULT_BYTES: usize = 64 << 20;
/// Lines of the largest result: it is not worth reading one that deflate made longer.
const MAX_RESULT_LINES: usize = MAX_RESULT_BYTES / 3 * 4 / LINE_CHARS + 1;

/// One line of a coordinator's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum LogRecord {
    /// The first: the coordinator listens.
    Started {
        /// [`SCHEMA`].
        schema: String,
        /// podperf's version.
        podperf_version: String,
        /// Steps of the schedule.
        steps: u32,
        /// Seconds since the epoch.
        at_unix_seconds: f64,
    },
    /// An agent has joined.
    Joined {
        /// Its name.
        agent: String,
    },
    /// An agent's probe came to an end.
    Probed {
        /// Who probed.
        agent: String,
        /// The path's name.
        path: String,
        /// Where it leads.
        address: String,
        /// What was expected.
        expect: Expect,
        /// It was as expected.
        met: bool,
        /// Until then, in seconds.
        seconds: f64,
        /// What came of it, in words.
        cause: Option<String>,
    },
    /// Still there; also said at the start and the end of each step.
    Heartbeat {
        /// Since the coordinator started, in seconds.
        elapsed_seconds: f64,
        /// The step under way, from 1.
        step: Option<u32>,
        /// Steps of the schedule.
        steps: u32,
        /// Its test.
        test: Option<String>,
        /// Its sample, from 1.
        sample: Option<u32>,
        /// Goodput of the last interval, in bit/s, over all agents of the step.
        bits_per_second: Option<f64>,
        /// Transactions of the last interval by second, likewise.
        transactions_per_second: Option<f64>,
    },
    /// An agent's result of a step; as many lines of base64 (deflated JSON of `result::run::Run`)
    /// follow, all of 4000 characters but the last, and a `ResultEnd`.
    Result(ResultHeader),
    /// The result is whole.
    ResultEnd {
        /// As in its header.
        step: u32,
        /// As in its header.
        agent: String,
    },
    /// A step, or one agent's part of it, gave no result.
    Missing {
        /// Number of the step, from 1.
        step: u32,
        /// Its test.
        test: String,
        /// Its sample.
        sample: u32,
        /// Whose result it would have been; absent: nobody's, the step was left out.
        agent: Option<String>,
        /// Why, in words.
        cause: String,
    },
    /// An agent is gone before its time.
    Lost {
        /// Its name.
        agent: String,
        /// What was seen.
        cause: String,
    },
    /// The last: nothing more will be measured.
    Finished {
        /// Results in the log.
        results: u32,
        /// Why the schedule was not carried out to its end; absent: it was.
        cause: Option<String>,
    },
}

/// What stands above a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultHeader {
    /// Number of the step, from 1.
    pub step: u32,
    /// Its test.
    pub test: String,
    /// Its sample, from 1.
    pub sample: u32,
    /// Who measured.
    pub agent: String,
    /// Lines that follow.
    pub lines: u32,
    /// SHA-256 of the JSON document, in hexadecimal.
    pub sha256: String,
}
