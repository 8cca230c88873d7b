//! The result document as JSON, schema `podperf.run/v1`.

use serde::Serialize;

use podperf_model::result::run::Run;

/// One document, indented, with a newline at its end. Figures that are not numbers are null.
#[must_use]
pub fn render(run: &Run) -> String {
    document(run)
}

/// The same of any document.
///
/// # Panics
/// Never: a document's keys are text and its values plain data.
pub(super) fn document<T: Serialize>(value: &T) -> String {
    // Only a map with keys that are no text, or a failing writer, can fail; documents have neither.
    let mut text = serde_json::to_string_pretty(value).expect("a document is plain data");
    text.push('\n');
    text
}
