//! Options while they are read, and why reading stops early.

use super::confidence::Goal;
use super::{ExitMessage, Format, Options, PerEnd, usage};
use crate::test_kind::Protocol;

/// Options that are settled, and parts of those that are not.
pub(super) struct PartialOptions {
    pub(super) options: Options,
    pub(super) test: Option<String>,
    pub(super) goal: Goal,
    pub(super) burst: PerEnd<Option<u32>>,
    pub(super) pause: PerEnd<Option<std::time::Duration>>,
    pub(super) hints: Hints,
    /// Whether a word names a figure that can be selected.
    pub(super) is_figure: fn(&str) -> bool,
}

impl PartialOptions {
    pub(super) fn new(is_figure: fn(&str) -> bool) -> Self {
        Self {
            options: Options::default(),
            test: None,
            goal: Goal::default(),
            burst: PerEnd::default(),
            pause: PerEnd::default(),
            hints: Hints::default(),
            is_figure,
        }
    }
}

/// What bears on the shape of a test.
#[derive(Debug, Default)]
pub(super) struct Hints {
    /// `-d`.
    pub(super) direction: Option<Transfer>,
    /// `-T`, or else `-t`.
    pub(super) protocol: Option<Protocol>,
    /// `-t`.
    pub(super) socket: Option<Protocol>,
    /// `-c`.
    pub(super) connections: bool,
    /// `-m` and `-M`: netperf sends, netperf receives.
    pub(super) sizes: Transfer,
    /// `-r`.
    pub(super) transactions: bool,
}

/// Whether netperf sends and whether it receives.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) sends: bool,
    pub(super) receives: bool,
    /// With a connection each.
    pub(super) connects: bool,
}

/// Why there is nothing to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseStop {
    /// Something else is printed: a text that was asked for, or what is wrong.
    Exit(ExitMessage),
    /// The list of selectors as this format shows it, then exit status 1.
    List(Format),
}

impl From<ExitMessage> for ParseStop {
    fn from(message: ExitMessage) -> Self {
        Self::Exit(message)
    }
}

impl ExitMessage {
    /// One line on standard error, exit status 1.
    pub(crate) fn because(why: impl std::fmt::Display) -> Self {
        Self::failure(format!("netperf: {why}\n"))
    }

    /// A text on standard error, exit status 1.
    pub(crate) fn failure(err: String) -> Self {
        Self { err, status: 1, ..Self::default() }
    }

    /// The same with the usage behind it.
    pub(super) fn usage(why: impl std::fmt::Display) -> Self {
        Self::because(format!("{why}\n\n{}", usage::NETPERF.trim_end()))
    }
}
