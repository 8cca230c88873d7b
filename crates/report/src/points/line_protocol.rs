//! InfluxDB line protocol, as InfluxDB 1 to 3, Telegraf and VictoriaMetrics read it.
//!
//! Enters: a point. Leaves: its line. Every number is written as a float, so that a field has one
//! type from its first point on, whatever a later version makes of it.

use super::{FieldValue, RunPoint};

/// A point as one line, without its end.
#[must_use]
pub fn line(point: &RunPoint) -> String {
    let mut line = point.measurement.to_owned();
    for (name, value) in &point.tags {
        line.push(',');
        line.push_str(name);
        line.push('=');
        push_escaped(&mut line, value);
    }
    for (number, (name, value)) in point.fields.iter().enumerate() {
        line.push(if number == 0 { ' ' } else { ',' });
        line.push_str(name);
        line.push('=');
        match value {
            FieldValue::Number(number) => line.push_str(&number.to_string()),
            FieldValue::Flag(flag) => line.push_str(if *flag { "true" } else { "false" }),
            FieldValue::Text(text) => push_quoted(&mut line, text),
        }
    }
    line.push_str(&format!(" {}", point.time_ns));
    line
}

/// Writes the value of a tag. A backslash would stand for the sign behind it, and cannot be written
/// so that every reader takes it for itself; a line may not end within a tag.
fn push_escaped(line: &mut String, value: &str) {
    for char in value.chars() {
        match char {
            ',' | '=' | ' ' => line.extend(['\\', char]),
            '\\' => line.push('/'),
            char if char.is_control() => line.push_str("\\ "),
            char => line.push(char),
        }
    }
}

/// Writes the value of a field that is text; readers that take a line for a point get one line.
fn push_quoted(line: &mut String, text: &str) {
    line.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => line.extend(['\\', char]),
            char if char.is_control() => line.push(' '),
            char => line.push(char),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::{self, RUN};
    use podperf_model::result::testing;

    #[test]
    fn a_line_has_tags_fields_and_time() {
        let number = |text: &str| FieldValue::Number(serde_json::from_str(text).unwrap());
        let field = |name: &str, value| (name.to_owned(), value);
        let point = RunPoint {
            measurement: RUN,
            tags: vec![("client", "a b,c=d\\e\nf".to_owned()), ("flows", "2".to_owned())],
            fields: vec![
                field("bits_per_second", number("4000000000.0")),
                field("count", number("18446744073709551615")),
                field("small", number("1e-9")),
                field("partial", FieldValue::Flag(false)),
                field("status", FieldValue::Text("a \"b\" \\ c\nd".to_owned())),
            ],
            time_ns: 1_767_323_045_000_000_000,
        };
        assert_eq!(
            line(&point),
            "podperf_run,client=a\\ b\\,c\\=d/e\\ f,flows=2 bits_per_second=4000000000.0,\
             count=18446744073709551615,small=1e-9,partial=false,\
             status=\"a \\\"b\\\" \\\\ c d\" 1767323045000000000"
        );
    }

    #[test]
    fn every_point_of_a_run_is_one_line() {
        for run in [testing::stream_run(), testing::rr_run()] {
            for point in points::of_run(&run) {
                assert_eq!(line(&point).lines().count(), 1);
            }
        }
    }
}
