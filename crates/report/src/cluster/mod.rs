//! A run on Kubernetes for people, as text ([`text`]) and as Markdown to paste ([`markdown`]).
//!
//! Enters: the launcher's document with its rows. Leaves: what was measured and where (`head`), the
//! tables of each test (`tables`), then what failed or makes it doubtful (`judgement`). Both
//! renderings have the same content, cell by cell.

pub mod markdown;
pub mod text;

mod head;
mod judgement;
mod tables;

pub(crate) use head::head;
pub(crate) use judgement::{doubts, judgement};
pub(crate) use tables::tables;

#[cfg(test)]
mod tests;

use super::text::layout::clean;

/// A label and what it says.
pub type Paragraph = (String, String);

/// A title, a header whose cells may have several lines, and rows as wide as it.
pub(crate) struct ClusterTable {
    pub(crate) title: String,
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// Longest name in a cell or title, in characters: names come from elsewhere.
const MAX_NAME_CHARS: usize = 40;

/// A name that fits.
pub(crate) fn short(name: &str) -> String {
    let mut shown: String = clean(name).chars().take(MAX_NAME_CHARS).collect();
    if name.chars().nth(MAX_NAME_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

/// Names one after the other.
fn names(names: &[String]) -> String {
    names.iter().map(|name| short(name)).collect::<Vec<_>>().join(", ")
}
