//! Selected figures as comma-separated values, as a table for people, or as key=value lines.

use std::fmt::Write as _;

use super::selectors::{self, Selector};
use super::view::View;
use crate::options::Format;

/// What a block asks for at one place; names that nobody knows take up room in some formats.
type SelectedColumn = Option<&'static Selector>;

/// The figures that were asked for, or those of the test's direction.
pub(super) fn selection(view: &View<'_>) -> String {
    let selection = view.options.data.selection.as_ref();
    let asked = selection.and_then(|selection| selection.blocks.as_deref());
    let blocks = asked.map_or_else(|| vec![selectors::defaults(view)], blocks);
    match selection.map_or(Format::Human, |selection| selection.format) {
        Format::Csv => csv(view, &blocks.concat()),
        Format::KeyValue => key_value(view, &blocks.concat()),
        Format::Human => {
            let blocks: Vec<String> = blocks.iter().map(|block| human(view, block)).collect();
            blocks.join("\n")
        }
    }
}

/// The selectors of every block, up to the one that ends a block.
fn blocks(asked: &[Vec<String>]) -> Vec<Vec<SelectedColumn>> {
    if let [block] = asked
        && let [name] = block.as_slice()
        && name.eq_ignore_ascii_case("all")
    {
        return selectors::all_blocks();
    }
    let places = |block: &Vec<String>| {
        let names = block.iter().take_while(|name| !name.eq_ignore_ascii_case(selectors::END));
        names.flat_map(|name| selectors::named(name)).collect()
    };
    asked.iter().map(places).collect()
}

/// A line of titles and one of values. A figure without a value leaves its cell empty, with a
/// blank behind the comma; so netperf has it. A name that nobody knows has no title.
fn csv(view: &View<'_>, places: &[SelectedColumn]) -> String {
    let mut row: String = places
        .iter()
        .map(|place| match place.and_then(|selector| selector.value(view)) {
            Some(value) => format!("{value},"),
            None => ", ".to_owned(),
        })
        .collect();
    row.pop();
    if !view.options.header {
        return format!("{row}\n");
    }
    let titles: Vec<String> = places.iter().flatten().map(|selector| selector.title()).collect();
    format!("{}\n{row}\n", titles.join(","))
}

fn key_value(view: &View<'_>, places: &[SelectedColumn]) -> String {
    let line = |selector: &&Selector| {
        let value = selector.value(view)?;
        Some(format!("{}={value}\n", selector.name))
    };
    places.iter().flatten().filter_map(line).collect()
}

/// What stands in one column: up to four words of title, and the value.
struct Column {
    words: &'static [&'static str],
    value: String,
}

impl Column {
    fn new(view: &View<'_>, place: SelectedColumn) -> Self {
        let value = place.and_then(|selector| selector.value(view));
        let words = place.map_or(&[][..], |selector| selector.words);
        Self { words, value: value.unwrap_or_default() }
    }

    fn width(&self) -> usize {
        let of_value = if self.value.is_empty() { 0 } else { self.value.chars().count() + 1 };
        self.words.iter().map(|word| word.len()).fold(of_value, usize::max)
    }
}

/// Columns as wide as their longest text, a blank behind each.
fn human(view: &View<'_>, places: &[SelectedColumn]) -> String {
    let columns: Vec<Column> = places.iter().map(|place| Column::new(view, *place)).collect();
    let mut text = String::new();
    let titles = if view.options.header { 4 } else { 0 };
    for line in (0..titles).map(Some).chain([None]) {
        for column in &columns {
            let cell = match line {
                Some(at) => column.words.get(at).copied().unwrap_or_default(),
                None => &column.value,
            };
            let _ = write!(text, "{cell:<0$} ", column.width());
        }
        text.push('\n');
    }
    text
}

/// The names of all selectors, for `-k ?` and its like.
#[must_use]
pub fn listing(format: Format) -> String {
    let names: Vec<&str> = selectors::names().collect();
    let between = if format == Format::Human { "\n" } else { "," };
    format!("{}\n", names.join(between))
}
