//! The result document as JSON, schema `podperf.run/v1`.

use crate::outcome::run::Run;

/// One document, indented, with a newline at its end. Figures that are not numbers are null.
///
/// # Panics
/// Never: the document's keys are text and its values plain data.
#[must_use]
pub fn render(run: &Run) -> String {
    // Only a map with keys that are no text, or a failing writer, can fail; a run has neither.
    let mut text = serde_json::to_string_pretty(run).expect("a run is plain data");
    text.push('\n');
    text
}
