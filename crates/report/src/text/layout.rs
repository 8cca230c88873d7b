//! Tables and paragraphs of at most [`WIDTH_CHARS`] columns, or as many as are asked for, whatever
//! stands in them.
//!
//! Text from the other end is data: control characters in it never reach the terminal.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

/// Widest line, in columns.
pub(crate) const WIDTH_CHARS: u16 = 120;

/// A line below the header and no other.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table of figures: the first column to the left, the others to the right.
pub(crate) fn figures(header: &[&str], rows: &[Vec<String>]) -> String {
    figures_within(WIDTH_CHARS, header, rows)
}

/// The same, in at most so many columns.
pub(crate) fn figures_within(width: u16, header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = empty(width);
    table.set_header(header);
    table.add_rows(rows.iter().map(|row| row.iter().map(|cell| clean(cell))));
    for (number, column) in table.column_iter_mut().enumerate() {
        let right = number > 0;
        column.set_padding((u16::from(right), 0));
        column.set_cell_alignment(if right { CellAlignment::Right } else { CellAlignment::Left });
    }
    table.trim_fmt()
}

/// Paragraphs, each behind its label.
pub(crate) fn paragraphs(rows: &[(String, String)]) -> String {
    paragraphs_within(WIDTH_CHARS, rows)
}

/// The same, in at most so many columns.
pub(crate) fn paragraphs_within(width: u16, rows: &[(String, String)]) -> String {
    let mut table = empty(width);
    table.add_rows(rows.iter().map(|(label, text)| [clean(label), clean(text)]));
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table.trim_fmt()
}

fn empty(width: u16) -> Table {
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_truncation_indicator("…");
    table
}

/// The same text without control characters.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// A figure with `digits` after the point; in powers of ten where it would fill the line.
pub(crate) fn number(value: f64, digits: usize) -> String {
    if value.abs() < 1e12 { format!("{value:.digits$}") } else { format!("{value:.3e}") }
}

/// The same, or `-` where the figure is not known.
pub(crate) fn maybe(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(unknown, |value| number(value, digits))
}

/// A count, or `-`.
pub(crate) fn maybe_count(value: Option<u64>) -> String {
    value.map_or_else(unknown, |value| value.to_string())
}

/// What stands for a figure that is not known.
pub(crate) fn unknown() -> String {
    "-".to_owned()
}
