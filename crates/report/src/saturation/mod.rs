//! How many streams fill a path: the search, its figures and the document of it.
//!
//! Enters: runs, as they are measured. Leaves: the next to take ([`Search`]), and one document
//! ([`SearchRecord`]) with the plateau and the streams that reach it ([`figures`]), which is also
//! text ([`text`]) and, while it grows, a picture ([`live`]). Nothing here measures.

mod conclusion;
pub mod figures;
pub mod live;
mod record;
mod search;
pub mod text;

pub use record::SearchRecord;
pub use search::{MIN_MAX_STREAMS, Search, SearchEnd, SearchSettings, stream_counts};
