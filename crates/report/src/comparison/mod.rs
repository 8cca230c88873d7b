//! Results held against each other: those of one side against those of another.
//!
//! Enters: files and folders ([`documents`]). Leaves: a verdict for every row that both sides have
//! ([`judge`]), as text, Markdown, CSV ([`render`]) or JUnit's XML ([`junit`]). Rows are compared
//! where they are of the same thing (`rows`); how the sides' hosts and plans differ beside that
//! stands first (`facts`).

pub mod documents;
pub mod judge;
pub mod junit;
pub mod render;

mod facts;
mod figure;
mod rows;

pub(crate) use rows::title;

#[cfg(test)]
mod tests;
