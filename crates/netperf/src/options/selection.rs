//! Which figures are printed, and how: the value of `-o`, `-O` and `-k`.
//!
//! Enters: the word, perhaps a file that it names. Leaves: names in blocks, upper-case. A name that
//! is not known stays in, for output to leave an empty place.

use std::fs;
use std::io::Read as _;

use super::{ExitMessage, Format, SelectableFigures, Selection};

/// netperf has room for so many blocks of lines.
const MAX_BLOCKS: usize = 4;
/// Read of a file of names.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Takes an option with its value; without one, names that an earlier option chose stay.
pub(super) fn choose(
    format: Format,
    word: Option<&str>,
    selection: &mut Option<Selection>,
    figures: SelectableFigures,
) -> Result<(), ExitMessage> {
    let earlier = selection.take().and_then(|selection| selection.blocks);
    let blocks = match word.map(str::trim) {
        None | Some("") => earlier,
        Some("?") => return Err(ExitMessage::printed((figures.listing)(format), 1)),
        Some(word) => Some(blocks(word, figures.is_name)?),
    };
    *selection = Some(Selection { format, blocks });
    Ok(())
}

fn blocks(word: &str, is_figure: fn(&str) -> bool) -> Result<Vec<Vec<String>>, ExitMessage> {
    let alone = !word.contains([',', ';']) && !word.contains(char::is_whitespace);
    let blocks: Vec<Vec<String>> = if word.eq_ignore_ascii_case("all") {
        vec![vec!["ALL".to_owned()]]
    } else if alone && !is_figure(word) {
        let text = read(word).map_err(|error| missing(word, &error))?;
        text.lines().map(|line| line_of_file(line, is_figure)).collect()
    } else {
        word.split(';').map(names).collect()
    };
    let blocks: Vec<Vec<String>> = blocks.into_iter().filter(|block| !block.is_empty()).collect();
    if blocks.is_empty() || blocks.len() > MAX_BLOCKS {
        let found = blocks.len();
        return Err(ExitMessage::because(format!(
            "{word} names {found} blocks of figures; between 1 and {MAX_BLOCKS} go"
        )));
    }
    Ok(blocks)
}

/// The start of a file: all of any sensible list.
fn read(name: &str) -> std::io::Result<String> {
    let mut text = String::new();
    fs::File::open(name)?.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn names(block: &str) -> Vec<String> {
    let names = block.split(|char: char| char == ',' || char.is_whitespace());
    names.filter(|name| !name.is_empty()).map(str::to_ascii_uppercase).collect()
}

/// Names, or header texts with their blanks, between commas.
fn line_of_file(line: &str, is_figure: fn(&str) -> bool) -> Vec<String> {
    let parts = line.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .flat_map(|part| {
            let names = names(part);
            if names.iter().all(|name| is_figure(name)) { names } else { vec![part.to_owned()] }
        })
        .collect()
}

fn missing(file: &str, error: &std::io::Error) -> ExitMessage {
    let number = error.raw_os_error().unwrap_or_default();
    let out = format!("Could not open output selection file '{file}' errno {number}\n");
    ExitMessage::printed(out, 255)
}
