//! What is fuzzed: of each target the properties that hold whatever bytes come in.
//!
//! Enters: bytes, by the fuzzer (`fuzz_targets`, built by scripts/fuzz) or from the committed seeds
//! (`main`, a plain test). Leaves: nothing, or a panic that names the property that was broken.
//! What is made of JSON takes either a document as it is or the number of a document of podperf's
//! own and changes to it (`edited`), so that few inputs end in the JSON parser.

pub mod command_line;
mod edited;
pub mod framing;
pub mod handshake;
pub mod histogram;
pub mod histogram_log;
pub mod memory;
pub mod merge;
pub mod messages;
pub mod netperf_options;
pub mod netperf_output;
pub mod netperf_records;
pub mod netperf_session;
mod pair;
pub mod plan;
pub mod policy;
pub mod preamble;
pub mod reports;
pub mod run_log;
pub mod schedule;
pub mod sink;
mod text;
pub mod units;

/// One thing to fuzz.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: that of its seeds' folder, and of its file in `fuzz_targets`.
    pub name: &'static str,
    /// Panics where a property is broken.
    pub check: fn(&[u8]),
    /// Memory that one input may take at the most: what the code under test is bounded to, and what
    /// the check needs beside it.
    pub max_bytes: usize,
}

const fn target(name: &'static str, check: fn(&[u8]), max_bytes: usize) -> Target {
    Target { name, check, max_bytes }
}

/// All of them.
pub const TARGETS: [Target; 19] = [
    target("command_line", command_line::check, 8 << 20),
    target("framing", framing::check, 16 << 20),
    target("handshake", handshake::check, 1 << 20),
    target("histogram", histogram::check, 8 << 20),
    target("histogram_log", histogram_log::check, 160 << 20),
    target("merge", merge::check, 32 << 20),
    target("messages", messages::check, 16 << 20),
    target("netperf_options", netperf_options::check, 1 << 20),
    target("netperf_output", netperf_output::check, 8 << 20),
    target("netperf_records", netperf_records::check, 8 << 20),
    target("netperf_session", netperf_session::check, 64 << 20),
    target("plan", plan::check, 16 << 20),
    target("policy", policy::check, 16 << 20),
    target("preamble", preamble::check, 1 << 20),
    target("reports", reports::check, 64 << 20),
    target("run_log", run_log::check, 32 << 20),
    target("schedule", schedule::check, 8 << 20),
    target("sink", sink::check, 1 << 20),
    target("units", units::check, 1 << 20),
];

/// The target of a name.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn named(name: &str) -> Target {
    let found = TARGETS.into_iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("no fuzz target is called {name}"))
}
