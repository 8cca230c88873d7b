//! Documents as JSON: a run's, schema `podperf.run/v1`, the launcher's, schema
//! `podperf.cluster/v1`, and others.

use serde::Serialize;

/// One document, indented, with a newline at its end. Figures that are not numbers are null.
///
/// # Panics
/// Never: a document's keys are text and its values plain data.
#[must_use]
pub fn render<T: Serialize>(document: &T) -> String {
    // Only a map with keys that are no text, or a failing writer, can fail; documents have neither.
    let mut text = serde_json::to_string_pretty(document).expect("a document is plain data");
    text.push('\n');
    text
}
