//! The text form: tables of at most 120 columns, whatever stands in them.

use std::io::{self, Write};

use super::{head, judgement, tables};
use crate::text::layout::{figures, paragraphs};
use podperf_model::result::cluster::ClusterRun;

/// Writes `run` to `out`.
///
/// # Errors
/// Those of `out`.
pub fn render(run: &ClusterRun, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", paragraphs(&head::head(run)))?;
    for table in tables::tables(&run.summary.rows) {
        let header: Vec<&str> = table.header.iter().map(String::as_str).collect();
        writeln!(out, "\n{}\n{}", table.title, figures(&header, &table.rows))?;
    }
    let judgement = judgement::judgement(run);
    if !judgement.is_empty() {
        writeln!(out, "\n{}", paragraphs(&judgement))?;
    }
    Ok(())
}
