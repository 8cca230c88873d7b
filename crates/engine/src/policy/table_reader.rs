//! Reads TOML by key, and knows where each key stands.
//!
//! Enters: text. Leaves: values of the types asked for, or a fault with line, column and key. A key
//! that nobody has asked for is a fault too.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use toml::de::{DeTable, DeValue};

use podperf_model::units::{Invalid, parse_duration};

/// Where a policy is broken, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFault {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// The key, from the top of the file; empty: it is no TOML.
    pub key: String,
    /// Why, and what is allowed.
    pub cause: String,
}

impl std::error::Error for PolicyFault {}

impl fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, key, cause } = self;
        write!(f, "line {line}, column {column}")?;
        if !key.is_empty() {
            write!(f, ", {key}")?;
        }
        write!(f, ": {cause}")
    }
}

/// A place in a text.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    text: &'a str,
    /// Offset in bytes.
    at: usize,
    /// The key that stands there.
    path: String,
}

impl Place<'_> {
    pub(super) fn fault(&self, cause: impl fmt::Display) -> PolicyFault {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        PolicyFault {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            key: self.path.clone(),
            cause: cause.to_string(),
        }
    }

    fn named(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// A table whose keys are asked for one after the other.
#[derive(Debug)]
pub(super) struct TableReader<'a> {
    pub(super) place: Place<'a>,
    entries: Vec<(String, usize, DeValue<'a>)>,
    known: Vec<&'static str>,
}

/// The value of a key.
#[derive(Debug)]
pub(super) struct PolicyField<'a> {
    pub(super) place: Place<'a>,
    value: DeValue<'a>,
}

impl<'a> TableReader<'a> {
    /// Reads a whole file.
    pub(super) fn parse(text: &'a str) -> Result<Self, PolicyFault> {
        let top = |at| Place { text, at, path: String::new() };
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            top(at).fault(error.message())
        })?;
        Ok(Self::of(table.into_inner(), top(0)))
    }

    fn of(table: DeTable<'a>, place: Place<'a>) -> Self {
        let entry = |(key, value): (toml::Spanned<_>, toml::Spanned<_>)| {
            let at = key.span().start;
            let key: std::borrow::Cow<'_, str> = key.into_inner();
            (key.into_owned(), at, value.into_inner())
        };
        Self { place, entries: table.into_iter().map(entry).collect(), known: Vec::new() }
    }

    /// Takes the value of a key, if it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<PolicyField<'a>> {
        self.known.push(key);
        let position = self.entries.iter().position(|(name, ..)| name == key)?;
        let (_, at, value) = self.entries.swap_remove(position);
        let place = Place { text: self.place.text, at, path: self.place.named(key) };
        Some(PolicyField { place, value })
    }

    /// Takes the value of a key that has to be there.
    pub(super) fn require(&mut self, key: &'static str) -> Result<PolicyField<'a>, PolicyFault> {
        let missing = self.place.fault(format!("the key '{key}' is missing"));
        self.take(key).ok_or(missing)
    }

    /// Ends the reading: what nobody has asked for is a fault.
    pub(super) fn finish(self) -> Result<(), PolicyFault> {
        let Some((key, at, _)) = self.entries.iter().min_by_key(|(_, at, _)| *at) else {
            return Ok(());
        };
        let place = Place { text: self.place.text, at: *at, path: self.place.named(key) };
        let known = self.known.join(", ");
        Err(place.fault(format!("there is no such key; allowed here: {known}")))
    }
}

impl<'a> PolicyField<'a> {
    /// Reads a text.
    pub(super) fn text(&self) -> Result<&str, PolicyFault> {
        match &self.value {
            DeValue::String(text) => Ok(text),
            _ => Err(self.place.fault("allowed: a text, in quotes")),
        }
    }

    /// Reads `true` or `false`.
    pub(super) fn truth(&self) -> Result<bool, PolicyFault> {
        match self.value {
            DeValue::Boolean(value) => Ok(value),
            _ => Err(self.place.fault("allowed: true or false, without quotes")),
        }
    }

    /// Reads a count.
    pub(super) fn count(&self, allowed: RangeInclusive<u32>) -> Result<u32, PolicyFault> {
        let count = match &self.value {
            DeValue::Integer(digits) => u32::from_str_radix(digits.as_str(), digits.radix()).ok(),
            _ => None,
        };
        count.filter(|count| allowed.contains(count)).ok_or_else(|| {
            let (least, most) = (allowed.start(), allowed.end());
            self.place.fault(format!("allowed: a whole number from {least} to {most}"))
        })
    }

    /// The value as it would be typed: a text in quotes, or a number without.
    fn typed(&self) -> &str {
        match &self.value {
            DeValue::String(text) => text,
            DeValue::Integer(digits) if digits.radix() == 10 => digits.as_str(),
            DeValue::Float(digits) => digits.as_str(),
            _ => "",
        }
    }

    /// Reads a quantity.
    pub(super) fn quantity<T: FromStr<Err = Invalid> + PartialOrd + fmt::Display>(
        &self,
        least: T,
    ) -> Result<T, PolicyFault> {
        let value: T = self.typed().parse().map_err(|invalid| self.place.fault(invalid))?;
        if value < least {
            return Err(self.place.fault(format!("allowed: at least {least}")));
        }
        Ok(value)
    }

    /// Reads a time of more than 0 and at most `most`.
    pub(super) fn duration(&self, most: Duration) -> Result<Duration, PolicyFault> {
        let time = parse_duration(self.typed()).map_err(|invalid| self.place.fault(invalid))?;
        if time.is_zero() || time > most {
            let most = humantime::format_duration(most);
            return Err(self.place.fault(format!("allowed: more than 0s, at most {most}")));
        }
        Ok(time)
    }

    /// Reads an instant: a time with its offset from UTC, or a day, which begins at midnight UTC.
    pub(super) fn instant(&self) -> Result<Timestamp, PolicyFault> {
        let written = match &self.value {
            DeValue::Datetime(written) => written.to_string(),
            DeValue::String(text) => text.clone().into_owned(),
            _ => String::new(),
        };
        let of_day = || written.parse::<jiff::civil::Date>().ok().filter(|_| written.len() == 10);
        let midnight = |day: jiff::civil::Date| format!("{day}T00:00:00Z").parse().ok();
        written.parse().ok().or_else(|| of_day().and_then(midnight)).ok_or_else(|| {
            self.place.fault("allowed: a time such as 2026-12-01T00:00:00Z, or a day of UTC")
        })
    }

    /// Reads a list of texts, each of which `read` takes.
    pub(super) fn list<T>(
        self,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, PolicyFault> {
        let fault = self.place.fault("allowed: a list of texts such as [\"192.0.2.0/24\"]");
        let DeValue::Array(values) = self.value else { return Err(fault) };
        if values.is_empty() {
            return Err(fault);
        }
        let element = |value: toml::Spanned<DeValue<'_>>| {
            let place = Place { at: value.span().start, ..self.place.clone() };
            let DeValue::String(text) = value.get_ref() else { return Err(fault.clone()) };
            read(text).map_err(|cause| place.fault(format!("'{text}': {cause}")))
        };
        values.into_iter().map(element).collect()
    }

    /// Reads a table.
    pub(super) fn table(self) -> Result<TableReader<'a>, PolicyFault> {
        match self.value {
            DeValue::Table(table) => Ok(TableReader::of(table, self.place)),
            _ => Err(self.place.fault("allowed: a table, such as { sessions = 2 }")),
        }
    }

    /// Reads a list of tables.
    pub(super) fn tables(self) -> Result<Vec<TableReader<'a>>, PolicyFault> {
        let fault = self.place.fault(format!("allowed: tables, each as [[{}]]", self.place.path));
        let DeValue::Array(values) = self.value else { return Err(fault) };
        let table = |(number, value): (usize, toml::Spanned<DeValue<'a>>)| {
            let path = format!("{}[{number}]", self.place.path);
            let place = Place { text: self.place.text, at: value.span().start, path };
            match value.into_inner() {
                DeValue::Table(table) => Ok(TableReader::of(table, place)),
                _ => Err(fault.clone()),
            }
        };
        (1..).zip(values).map(table).collect()
    }
}
