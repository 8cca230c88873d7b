//! Words as getopt(3) reads them: attached values, bundled letters, values that begin with `-`.
//!
//! Enters: words. Leaves: options one by one; bare words are passed over, `--` ends the set.

use std::ffi::OsString;

use lexopt::{Arg, Parser};

use super::PerEnd;

/// One option.
#[derive(Debug)]
pub(super) enum Word {
    /// `-x`.
    Letter(char),
    /// `--name`.
    Long(String),
}

/// A set of options.
pub(super) struct Words {
    parser: Parser,
}

impl Words {
    pub(super) fn new(words: impl IntoIterator<Item = OsString>) -> Self {
        let mut parser = Parser::from_args(words);
        parser.set_short_equals(false);
        Self { parser }
    }

    /// The next option; none: the set is over.
    pub(super) fn next(&mut self) -> Result<Option<Word>, String> {
        loop {
            if self.at_end_mark() {
                return Ok(None);
            }
            match self.parser.next() {
                Ok(None) => return Ok(None),
                Ok(Some(Arg::Short(letter))) => return Ok(Some(Word::Letter(letter))),
                Ok(Some(Arg::Long(name))) => return Ok(Some(Word::Long(name.to_owned()))),
                Ok(Some(Arg::Value(_))) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn at_end_mark(&mut self) -> bool {
        self.parser
            .try_raw_args()
            .is_some_and(|words| words.peek().is_some_and(|word| word == "--"))
    }

    /// The value of the option just read: the rest of its word, or else the next word.
    pub(super) fn value(&mut self) -> Option<Result<String, String>> {
        let value = self.parser.value().ok()?;
        Some(value.into_string().map_err(|value| format!("{} is not UTF-8", value.display())))
    }

    /// The next word, if this option's word is at its end and `wanted` says so.
    pub(super) fn value_if(&mut self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let mut words = self.parser.try_raw_args()?;
        let word = words.next_if(|word| word.to_str().is_some_and(wanted))?;
        word.into_string().ok()
    }

    /// Passes over the value in `--name=value`.
    pub(super) fn skip_attached(&mut self) {
        self.parser.optional_value();
    }

    /// What follows `--`.
    pub(super) fn rest(mut self) -> Vec<OsString> {
        self.parser.raw_args().map_or_else(|_| Vec::new(), |words| words.skip(1).collect())
    }
}

/// The halves of a pair that there are.
pub(super) type Halves<'a> = (Option<&'a str>, Option<&'a str>);

/// Both halves of a pair; a lone value is both.
pub(super) fn both(word: &str) -> Halves<'_> {
    word.split_once(',').map_or((Some(word), Some(word)), halves)
}

/// Both halves of a pair; a lone value is the first.
pub(super) fn first(word: &str) -> Halves<'_> {
    word.split_once(',').map_or_else(|| (Some(word), None), halves)
}

fn halves<'a>((one, other): (&'a str, &'a str)) -> Halves<'a> {
    (Some(one).filter(|half| !half.is_empty()), Some(other).filter(|half| !half.is_empty()))
}

/// Reads the halves that there are.
pub(super) fn put<T>(
    one: &mut T,
    other: &mut T,
    (half, other_half): Halves<'_>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<(), String> {
    if let Some(half) = half {
        *one = read(half)?;
    }
    if let Some(half) = other_half {
        *other = read(half)?;
    }
    Ok(())
}

impl<T> PerEnd<T> {
    /// Reads the halves that there are, netperf's before netserver's.
    pub(super) fn put(
        &mut self,
        halves: Halves<'_>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<(), String> {
        put(&mut self.local, &mut self.remote, halves, read)
    }
}
