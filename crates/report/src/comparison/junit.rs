//! The comparison as JUnit's XML, which CI systems show: one case a row, figure and other side.

use std::io::{self, Write};

use super::judge::{Comparison, Line, letter};
use super::render::word;
use podperf_model::result::cluster::Difference;

/// Writes `comparison`. What is over the tolerance is a failure, and what is inconclusive too where
/// `fail_inconclusive` wants; a row without counterpart is an error.
///
/// # Errors
/// Those of `out`.
pub fn render(
    comparison: &Comparison,
    fail_inconclusive: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let lines = &comparison.lines;
    let failures = lines.iter().filter(|line| comparison.fails(line, fail_inconclusive)).count();
    let errors = comparison.not_comparable.len();
    let tests = lines.len() + errors;
    let skipped = lines
        .iter()
        .filter(|line| !fail_inconclusive && line.verdict == Difference::Inconclusive)
        .count();
    let counts = format!(
        "tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\""
    );
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites name=\"podperf compare\" {counts}>")?;
    writeln!(out, "  <testsuite name=\"podperf compare\" {counts}>")?;
    for line in lines {
        case(comparison, line, fail_inconclusive, out)?;
    }
    for (side, text) in &comparison.not_comparable {
        let name = escaped(&format!("{side} / A: {text}"));
        writeln!(out, "    <testcase classname=\"not comparable\" name=\"{name}\">")?;
        writeln!(out, "      <error message=\"{}\"/>", escaped(text))?;
        writeln!(out, "    </testcase>")?;
    }
    writeln!(out, "  </testsuite>\n</testsuites>")
}

fn case(
    comparison: &Comparison,
    line: &Line,
    fail_inconclusive: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let figure = line.figure.name().0;
    let name = format!("{} {figure}, {} / A", line.key.name(), letter(line.side));
    let (class, name) = (escaped(&line.key.title()), escaped(&name));
    let told = escaped(&told(line));
    writeln!(out, "    <testcase classname=\"{class}\" name=\"{name}\">")?;
    if comparison.fails(line, fail_inconclusive) {
        writeln!(out, "      <failure message=\"{told}\" type=\"{}\"/>", word(line.verdict))?;
    } else if line.verdict == Difference::Inconclusive {
        writeln!(out, "      <skipped message=\"{told}\"/>")?;
    } else {
        writeln!(out, "      <system-out>{told}</system-out>")?;
    }
    writeln!(out, "    </testcase>")
}

fn told(line: &Line) -> String {
    let ratio = line.judged();
    let percent = |share: f64| format!("{:.1}", 100.0 * share);
    let interval = ratio.low.zip(ratio.high).map_or_else(
        || "without an interval".to_owned(),
        |(low, high)| format!("95 % interval {} to {} %", percent(low), percent(high)),
    );
    let p = line.corrected_p.map_or_else(String::new, |p| format!(", p {p:.3} corrected"));
    let of = if line.of_baseline.is_some() { "ratio of the ratios to host" } else { "ratio" };
    format!("{}: {of} {} %, {interval}{p}", word(line.verdict), percent(ratio.ratio))
}

/// As the value of an attribute or as text. What XML 1.0 cannot hold becomes a space.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => safe.push(' '),
            char if char.is_control() => safe.push(' '),
            char => safe.push(char),
        }
    }
    safe
}
