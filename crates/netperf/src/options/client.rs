//! netperf's command line as a whole: the global set, the test's set, and what both come to.
//!
//! Enters: words. Leaves: what to run or print, or the refusal.

use std::ffi::OsString;

use super::partial::PartialOptions;
use super::words::Words;
use super::{ExitMessage, Options, Pace, SelectableFigures, by_name, data, global, rules};

/// Reads the words after the program's name.
///
/// # Errors
/// When there is nothing to run: the [`ExitMessage`] says what is printed instead.
pub fn netperf(
    words: &[OsString],
    figures: SelectableFigures,
) -> Result<Box<Options>, ExitMessage> {
    let mut partial = PartialOptions::new(figures);
    let mut global = Words::new(words.iter().cloned());
    global::scan(&mut global, &mut partial)?;
    if let Some(name) = &partial.test {
        partial.options.test = by_name::test(name)?;
    }
    data::scan(&mut Words::new(global.rest()), &mut partial)?;
    partial.options.command_line = command_line(words);
    Ok(Box::new(settle(partial)?))
}

/// Whether a command line asks for a document, be it understood or not.
#[must_use]
pub fn wants_document(words: &[OsString]) -> bool {
    words.iter().take_while(|word| *word != "--").any(|word| word == "--json")
}

/// The words joined by blanks.
#[must_use]
pub fn command_line(words: &[OsString]) -> String {
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
