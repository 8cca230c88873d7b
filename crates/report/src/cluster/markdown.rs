//! The Markdown form: tables as GitHub renders them, to paste into an issue or a page.
//!
//! What others wrote is data: it makes no markup of its own.

use std::io::{self, Write};

use super::{ClusterTable, Paragraph, head, judgement, tables};
use crate::text::layout::clean;
use podperf_model::result::cluster::ClusterRun;

/// Writes `run` to `out`.
///
/// # Errors
/// Those of `out`.
pub fn render(run: &ClusterRun, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "## podperf on Kubernetes: {}\n", escaped(&run.run_id))?;
    list(&head::head(run), out)?;
    for table in tables::tables(&run.summary.rows) {
        write_table(&table, out)?;
    }
    let judgement = judgement::judgement(run);
    if !judgement.is_empty() {
        writeln!(out, "\n### What to know about it\n")?;
        list(&judgement, out)?;
    }
    Ok(())
}

/// A table below its title.
pub(crate) fn write_table(table: &ClusterTable, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n### {}\n", escaped(&table.title))?;
    row(&table.header, out)?;
    let rules = table.header.iter().enumerate();
    let rules = rules.map(|(number, _)| if number == 0 { " --- |" } else { " ---: |" });
    writeln!(out, "|{}", rules.collect::<String>())?;
    table.rows.iter().try_for_each(|cells| row(cells, out))
}

/// Paragraphs as a list.
pub(crate) fn list(paragraphs: &[Paragraph], out: &mut dyn Write) -> io::Result<()> {
    for (label, text) in paragraphs {
        writeln!(out, "- **{}**: {}", escaped(label), escaped(text))?;
    }
    Ok(())
}

fn row(cells: &[String], out: &mut dyn Write) -> io::Result<()> {
    let cells: String = cells.iter().map(|cell| format!(" {} |", escaped(cell))).collect();
    writeln!(out, "|{cells}")
}

/// On one line, with what would be markup as it stands. Underscores within words are none.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in clean(text).chars() {
        match char {
            '<' => safe.push_str("&lt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '|' | '`' | '*' | '[' | ']' | '~' | '#' | '!' => safe.extend(['\\', char]),
            _ => safe.push(char),
        }
    }
    safe
}
