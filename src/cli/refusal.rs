//! A command line that cannot be carried out, as JSON for who asked for JSON.
//!
//! Enters: the words and why they were refused. Leaves: a document on standard output with
//! `.errors[]` as in a run's; the sentence for people stands on standard error as ever.

use std::ffi::OsString;

use serde_json::json;

use podperf_model::error::{Error, Kind};
use podperf_report::json::render;

use super::output;
use super::sinks::masked_words;

const SCHEMA: &str = "podperf.usage-error/v1";

/// Prints the document where the words ask for JSON. Standard output that takes nothing changes
/// nothing: the exit status and standard error tell.
pub(super) fn print_if_asked(words: &[OsString], error: &Error) {
    if !asks_for_json(words) {
        return;
    }
    let document = json!({ "schema": SCHEMA, "command": masked_words(words), "errors": [error] });
    let _ = output::print(|to| to.write_all(render(&document).as_bytes()));
}

/// The words' parser in an error's form: its first paragraph, as one sentence.
pub(super) fn of_parser(message: &clap::Error) -> Error {
    let text = message.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let sentence: Vec<&str> = paragraph.split_whitespace().collect();
    let sentence = sentence.join(" ");
    let cause = sentence.strip_prefix("error: ").unwrap_or(&sentence);
    Error::new(Kind::Usage, "read the command line", cause)
}

/// `--json`, or `-J` alone or among short options without values (`-qJ`). The words may be such
/// that no parser takes them.
fn asks_for_json(words: &[OsString]) -> bool {
    let options = words.iter().skip(1).map(|word| word.to_string_lossy());
    options.take_while(|word| word != "--").any(|word| {
        let switches = word.strip_prefix('-').is_some_and(|letters| {
            letters.ends_with('J')
                && letters.chars().all(|letter| matches!(letter, 'J' | 'R' | 'q'))
        });
        switches || word == "--json"
    })
}
