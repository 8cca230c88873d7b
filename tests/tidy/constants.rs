//! Constants with units: a number of bytes or seconds says so in its name, unless its type does.

use super::source::Source;

const NUMBERS: [&str; 14] = [
    "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32",
    "f64",
];
/// A segment of a name that is a unit.
const UNITS: [&str; 10] =
    ["NS", "US", "MS", "SECONDS", "BYTES", "BITS", "PER", "PERCENT", "SHARE", "SHIFT"];
/// A segment of a name, or a word of the first sentence of a comment, that asks for a unit.
const SIZED: [&str; 11] = [
    "SIZE", "LENGTH", "LEN", "TIMEOUT", "INTERVAL", "DELAY", "PERIOD", "DURATION", "RATE", "TIME",
    "S",
];
const UNIT_WORDS: [&str; 6] =
    ["bytes", "octets", "seconds", "milliseconds", "microseconds", "nanoseconds"];
/// Names that say nothing of what they measure.
const VAGUE: [&str; 12] = [
    "LOOK", "LOOKS", "NAP", "GLANCE", "MOMENT", "A_TURN", "IN_VAIN", "WORD", "FAREWELL", "PREPARE",
    "SPIN", "PULSE",
];
/// Numbers that are no amount of what their comment or value makes one think of, and why.
const NO_AMOUNT: [(&str, &str); 1] = [("NO_DELAY", "a flag of netperf's, after TCP_NODELAY")];

/// Complains about each constant of `source` whose name hides what it is.
pub(crate) fn check(source: &Source<'_>, complaints: &mut Vec<String>) {
    let written: Vec<&str> = source.text.lines().collect();
    for (number, line) in source.all_code.lines().enumerate() {
        let Some((name, kind, value)) = constant(line) else { continue };
        if let Some(fault) = fault(name, kind, value, &comment(&written[..number])) {
            complaints.push(format!("constant `{name}` {fault} ({}:{})", source.path, number + 1));
        }
    }
}

/// Name, type and value of the constant that a line declares.
fn constant(line: &str) -> Option<(&str, &str, &str)> {
    let (before, declared) = line.split_once("const ")?;
    let named = before.trim().is_empty() || before.trim().starts_with("pub");
    let (name, rest) = declared.split_once(": ")?;
    let (kind, value) = rest.split_once(" =").unwrap_or_else(|| (rest.trim_end_matches(';'), ""));
    let upper = |char: char| char.is_ascii_uppercase() || char.is_ascii_digit() || char == '_';
    (named && name.chars().all(upper)).then_some((name, kind, value))
}

/// The first sentence of the comment that ends before a line.
fn comment(before: &[&str]) -> String {
    let lines = before.iter().rev().map(|line| line.trim());
    let lines = lines.take_while(|line| line.starts_with("///") || line.starts_with("#["));
    let mut lines: Vec<&str> = lines.filter_map(|line| line.strip_prefix("///")).collect();
    lines.reverse();
    let text = lines.join(" ");
    text.split(". ").next().unwrap_or_default().to_lowercase()
}

fn fault(name: &str, kind: &str, value: &str, comment: &str) -> Option<&'static str> {
    if VAGUE.contains(&name) {
        return Some("is vague");
    }
    let segments: Vec<&str> = name.split('_').collect();
    let [first, .., last] = segments[..] else {
        return unit_fault(&segments, kind, value, comment);
    };
    if ["MOST", "LEAST"].iter().any(|word| [first, last].contains(word)) {
        return Some("is to be called MAX_ or MIN_");
    }
    if ["MAX", "MIN"].contains(&last) {
        return Some("is to begin with MAX_ or MIN_");
    }
    unit_fault(&segments, kind, value, comment)
}

fn unit_fault(segments: &[&str], kind: &str, value: &str, comment: &str) -> Option<&'static str> {
    if ["MOST", "LEAST"].contains(&segments[0]) {
        return Some("is to be called MAX_ or MIN_");
    }
    let name = segments.join("_");
    if !NUMBERS.contains(&kind) || NO_AMOUNT.iter().any(|(own, _)| *own == name) {
        return None;
    }
    let has = |words: &[&str]| segments.iter().any(|segment| words.contains(segment));
    let words = || comment.split(|char: char| !char.is_alphabetic());
    let said = words().any(|word| UNIT_WORDS.contains(&word));
    let kibi = ["<< 10", "<< 20", "<< 30", "* 1024"].iter().any(|power| value.contains(power));
    ((has(&SIZED) || said || kibi) && !has(&UNITS)).then_some("has no unit in its name")
}
