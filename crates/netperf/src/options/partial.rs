//! Options while they are read.

use super::confidence::Goal;
use super::{Options, PerEnd, SelectableFigures};
use crate::test_kind::Protocol;

/// Options that are settled, and parts of those that are not.
pub(super) struct PartialOptions {
    pub(super) options: Options,
    pub(super) test: Option<String>,
    pub(super) goal: Goal,
    pub(super) burst: PerEnd<Option<u32>>,
    pub(super) pause: PerEnd<Option<std::time::Duration>>,
    pub(super) hints: Hints,
    pub(super) figures: SelectableFigures,
}

impl PartialOptions {
    pub(super) fn new(figures: SelectableFigures) -> Self {
        Self {
            options: Options::default(),
            test: None,
            goal: Goal::default(),
            burst: PerEnd::default(),
            pause: PerEnd::default(),
            hints: Hints::default(),
            figures,
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
