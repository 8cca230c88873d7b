//! The OpenMetrics text format, version 1.0.0, as scrapers of Prometheus read it.
//!
//! Enters: families of metrics, and their values. Leaves: one whole exposition. What the format
//! demands of names is held when it is written: a family that breaks it is left out, so that one
//! wrong name costs no other its value.

use std::fmt::Write as _;

/// What an exposition is served as.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a family's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricType {
    /// A sum that only grows; its samples are called `…_total`.
    Counter,
    /// A value that rises and falls.
    Gauge,
    /// Labels alone, whose sample is called `…_info` and is 1.
    Info,
}

/// Metrics of one name.
#[derive(Debug, Clone, Copy)]
pub struct MetricFamily<'a> {
    /// With the unit at its end, where there is one, and without what its type adds.
    pub name: &'a str,
    /// What its values are.
    pub kind: MetricType,
    /// In the plural, as `bytes`; absent: it is a count.
    pub unit: Option<&'a str>,
    /// A sentence.
    pub help: &'a str,
}

/// Label names with their values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// An exposition that is being written.
#[derive(Debug, Default)]
pub struct OpenMetrics {
    text: String,
    names: Vec<String>,
}

impl OpenMetrics {
    /// Writes a family with its samples, each by its labels.
    pub fn family(&mut self, family: &MetricFamily<'_>, samples: &[(Labels<'_>, f64)]) {
        let MetricFamily { name, kind, unit, help } = *family;
        let has_unit = unit.is_none_or(|unit| name.ends_with(&format!("_{unit}")));
        let is_new = !self.names.iter().any(|known| known == name);
        if !(is_name(name) && has_unit && is_new) {
            debug_assert!(false, "'{name}' is no name of a family, or there twice");
            return;
        }
        self.names.push(name.to_owned());
        let (word, suffix) = match kind {
            MetricType::Counter => ("counter", "_total"),
            MetricType::Gauge => ("gauge", ""),
            MetricType::Info => ("info", "_info"),
        };
        // Nothing fails that is written to a text.
        let _ = writeln!(self.text, "# TYPE {name} {word}");
        if let Some(unit) = unit {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.text, "# HELP {name} {}", escaped(help));
        for (labels, value) in samples {
            let _ = write!(self.text, "{name}{suffix}");
            self.labels(labels);
            let _ = writeln!(self.text, " {}", number(*value));
        }
    }

    fn labels(&mut self, labels: Labels<'_>) {
        if labels.is_empty() {
            return;
        }
        let pairs = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        let _ = write!(self.text, "{{{}}}", pairs.collect::<Vec<_>>().join(","));
    }

    /// Ends the exposition.
    #[must_use]
    pub fn finish(self) -> String {
        self.text + "# EOF\n"
    }
}

/// Whether a family or a label may be called so.
fn is_name(name: &str) -> bool {
    let may_begin = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    may_begin && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

/// Escapes what would end a label's value or a line.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Writes a number as the format has it.
fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: MetricFamily<'_> = MetricFamily {
        name: "podperf_received_bytes",
        kind: MetricType::Counter,
        unit: Some("bytes"),
        help: "Payload received.",
    };

    #[test]
    fn families_are_written_with_type_unit_and_help_and_the_end_is_marked() {
        let mut text = OpenMetrics::default();
        text.family(&BYTES, &[(&[], 18_014_398_509_481_984.0)]);
        let sessions = MetricFamily {
            name: "podperf_sessions",
            kind: MetricType::Gauge,
            unit: None,
            help: "Sessions now,\nall \"rules\".",
        };
        text.family(&sessions, &[(&[("rule", "a\"b\\c\nd"), ("by", "x")], 2.5), (&[], 0.0)]);
        let build = MetricFamily {
            name: "podperf_build",
            kind: MetricType::Info,
            unit: None,
            help: "This program.",
        };
        text.family(&build, &[(&[("version", "0.1.0")], 1.0)]);
        let expected = "# TYPE podperf_received_bytes counter\n\
            # UNIT podperf_received_bytes bytes\n\
            # HELP podperf_received_bytes Payload received.\n\
            podperf_received_bytes_total 18014398509481984\n\
            # TYPE podperf_sessions gauge\n\
            # HELP podperf_sessions Sessions now,\\nall \\\"rules\\\".\n\
            podperf_sessions{rule=\"a\\\"b\\\\c\\nd\",by=\"x\"} 2.5\n\
            podperf_sessions 0\n\
            # TYPE podperf_build info\n\
            # HELP podperf_build This program.\n\
            podperf_build_info{version=\"0.1.0\"} 1\n\
            # EOF\n";
        assert_eq!(text.finish(), expected);
        assert_eq!(OpenMetrics::default().finish(), "# EOF\n");
    }

    #[test]
    fn numbers_and_names_are_those_of_the_format() {
        for (value, written) in [
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (-1.5, "-1.5"),
        ] {
            assert_eq!(number(value), written);
        }
        assert!(["a", "_a", "a_9"].into_iter().all(is_name));
        assert!(!["", "9a", "a-b", "a b", "ä", "a:b"].into_iter().any(is_name));
    }
}
