//! Doubt as data: what makes a figure of a run doubtful, and what to do about it.
//!
//! Enters: the merged run and the ends' results it came from. Leaves: warnings with stable codes,
//! texts with figures and units, and remedies. One small function a warning; the order of the lists
//! is the order in the document. Nothing here changes a figure.

mod connections;
mod datagrams;
mod flows;
mod machines;
mod sockets;
mod timing;
mod transports;

use crate::result::end_result::EndResult;
use crate::result::run::{Ends, Run, Warning};
use crate::result::span::EndSpans;
use crate::result::wording::{count, few};

/// What a check looks at.
struct RunEvidence<'a> {
    run: &'a Run,
    end_results: &'a Ends<Option<&'a EndResult>>,
    spans: &'a EndSpans<'a>,
}

/// Adds what it finds.
type RunCheck = fn(&RunEvidence<'_>, &mut Vec<Warning>);

/// All that is doubtful about a run.
pub(super) fn warnings(
    run: &Run,
    end_results: &Ends<Option<&EndResult>>,
    spans: &EndSpans<'_>,
) -> Vec<Warning> {
    let seen = RunEvidence { run, end_results, spans };
    let mut found = Vec::new();
    let checks = [
        machines::CHECKS,
        sockets::CHECKS,
        timing::CHECKS,
        flows::CHECKS,
        connections::CHECKS,
        datagrams::CHECKS,
        transports::CHECKS,
    ];
    checks.into_iter().flatten().for_each(|check| check(&seen, &mut found));
    found
}

/// Adds one warning.
fn warn(to: &mut Vec<Warning>, code: &str, text: String, remedy: impl Into<String>) {
    to.push(Warning { code: code.to_owned(), text, remedy: remedy.into() });
}

impl<'a> RunEvidence<'a> {
    /// The ends' results that arrived, each with the name of its end.
    fn present(&self) -> impl Iterator<Item = (&'static str, &'a EndResult)> {
        self.end_results
            .named()
            .into_iter()
            .filter_map(|(end, end_result)| Some((end, (*end_result)?)))
    }
}

#[cfg(test)]
mod tests;
