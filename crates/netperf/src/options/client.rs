//! netperf's command line as a whole: the global set, the test's set, and what both come to.
//!
//! Enters: words. Leaves: what to run or print, or the refusal.

use std::ffi::OsString;

use super::confidence::Goal;
use super::data::{self, Hints};
use super::words::Words;
use super::{ExitMessage, Format, Options, Pace, PerEnd, by_name, global, rules, usage};

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed {
    /// A test.
    Run(Box<Options>),
    /// A text on standard output.
    Print {
        /// The text.
        out: String,
        /// Exit status.
        status: u8,
    },
    /// The list of selectors in the manner of this format, then exit status 1.
    List(Format),
}

/// Options being read: those that are settled, and parts of those that are not.
#[derive(Default)]
pub(super) struct PartialOptions {
    pub(super) options: Options,
    pub(super) test: Option<String>,
    pub(super) goal: Goal,
    pub(super) burst: PerEnd<Option<u32>>,
    pub(super) pause: PerEnd<Option<std::time::Duration>>,
    pub(super) hints: Hints,
}

/// Why reading stops early.
pub(super) enum ParseStop {
    Done(Parsed),
    Refused(ExitMessage),
}

impl From<ExitMessage> for ParseStop {
    fn from(refusal: ExitMessage) -> Self {
        Self::Refused(refusal)
    }
}

impl ExitMessage {
    /// One line on standard error, exit status 1.
    pub(super) fn because(why: impl std::fmt::Display) -> Self {
        Self { err: format!("netperf: {why}\n"), status: 1, ..Self::default() }
    }

    /// The same with the usage behind it.
    pub(super) fn usage(why: impl std::fmt::Display) -> Self {
        Self { err: format!("netperf: {why}\n\n{}", usage::NETPERF), status: 1, ..Self::default() }
    }
}

/// Reads the words after the program's name.
///
/// # Errors
///
/// The [`ExitMessage`] of a command line that cannot be carried out.
pub fn netperf(words: &[OsString]) -> Result<Parsed, ExitMessage> {
    match read(words) {
        Ok(options) => Ok(Parsed::Run(Box::new(options))),
        Err(ParseStop::Done(parsed)) => Ok(parsed),
        Err(ParseStop::Refused(refusal)) => Err(refusal),
    }
}

fn read(words: &[OsString]) -> Result<Options, ParseStop> {
    let mut partial = PartialOptions::default();
    let mut global = Words::new(words.iter().cloned());
    global::scan(&mut global, &mut partial)?;
    if let Some(name) = &partial.test {
        partial.options.test = by_name::test(name)?;
    }
    data::scan(&mut Words::new(global.rest()), &mut partial)?;
    partial.options.command_line = command_line(words);
    settle(partial).map_err(ParseStop::Refused)
}

fn command_line(words: &[OsString]) -> String {
    let words = words.iter().map(|word| word.to_string_lossy());
    std::iter::once("netperf".into()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Puts together what stands in several options.
fn settle(partial: PartialOptions) -> Result<Options, ExitMessage> {
    let PartialOptions { mut options, goal, burst, pause, hints, .. } = partial;
    options.confidence = goal.settle(&mut options.notes)?;
    options.shape = by_name::shape(options.test, &hints).map_err(ExitMessage::because)?;
    options.pace.local = pace(burst.local, pause.local);
    options.pace.remote = pace(burst.remote, pause.remote);
    for (burst, pause) in [(burst.local, pause.local), (burst.remote, pause.remote)] {
        if burst.is_some() != pause.is_some() {
            options.notes.push("netperf: -b and -w pace together; one alone has no effect".into());
        }
    }
    if options.host.is_empty() {
        let loopback = if options.family == Some(podperf_model::AddressFamily::V6) {
            "::1"
        } else {
            "localhost"
        };
        loopback.clone_into(&mut options.host);
    }
    rules::check(&options).map_err(ExitMessage::because)?;
    Ok(options)
}

fn pace(operations: Option<u32>, every: Option<std::time::Duration>) -> Option<Pace> {
    Some(Pace { operations: operations?, every: every? })
}
