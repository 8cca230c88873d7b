//! netperf's command line as a whole: the global set, the test's set, and what both come to.
//!
//! Enters: words. Leaves: what to run or print, or the refusal.

use std::ffi::OsString;

use super::confidence::Goal;
use super::data::{self, Hints};
use super::words::Words;
use super::{Format, Options, Pace, Pair, Refusal, by_name, global, rules, usage};

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
pub(super) struct Draft {
    pub(super) options: Options,
    pub(super) test: Option<String>,
    pub(super) goal: Goal,
    pub(super) burst: Pair<Option<u32>>,
    pub(super) pause: Pair<Option<std::time::Duration>>,
    pub(super) hints: Hints,
}

/// Why reading stops early.
pub(super) enum Halt {
    Done(Parsed),
    Refused(Refusal),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Refusal {
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
/// The [`Refusal`] of a command line that cannot be carried out.
pub fn netperf(words: &[OsString]) -> Result<Parsed, Refusal> {
    match read(words) {
        Ok(options) => Ok(Parsed::Run(Box::new(options))),
        Err(Halt::Done(parsed)) => Ok(parsed),
        Err(Halt::Refused(refusal)) => Err(refusal),
    }
}

fn read(words: &[OsString]) -> Result<Options, Halt> {
    let mut draft = Draft::default();
    let mut global = Words::new(words.iter().cloned());
    global::scan(&mut global, &mut draft)?;
    if let Some(name) = &draft.test {
        draft.options.test = by_name::test(name)?;
    }
    data::scan(&mut Words::new(global.rest()), &mut draft)?;
    draft.options.command_line = command_line(words);
    settle(draft).map_err(Halt::Refused)
}

fn command_line(words: &[OsString]) -> String {
    let words = words.iter().map(|word| word.to_string_lossy());
    std::iter::once("netperf".into()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Puts together what stands in several options.
fn settle(draft: Draft) -> Result<Options, Refusal> {
    let Draft { mut options, goal, burst, pause, hints, .. } = draft;
    options.confidence = goal.settle(&mut options.notes)?;
    options.shape = by_name::shape(options.test, &hints).map_err(Refusal::because)?;
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
    rules::check(&options).map_err(Refusal::because)?;
    Ok(options)
}

fn pace(operations: Option<u32>, every: Option<std::time::Duration>) -> Option<Pace> {
    Some(Pace { operations: operations?, every: every? })
}
