//! Files and functions that fit a screen or a few, and lines that fit a window.

use super::source::Source;

const MAX_FILE_LINES: usize = 400;
const MAX_FUNCTION_LINES: usize = 70;
const MAX_COLUMNS: usize = 100;

pub(crate) fn check(source: &Source<'_>, complaints: &mut Vec<String>) {
    let lines = source.code.lines().count();
    if lines > MAX_FILE_LINES {
        let path = source.path;
        complaints.push(format!("{path}: {lines} lines without tests, at most {MAX_FILE_LINES}"));
    }
    for (number, line) in source.text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > MAX_COLUMNS {
            let at = format!("{}:{}", source.path, number + 1);
            complaints.push(format!("{at}: {columns} columns, at most {MAX_COLUMNS}"));
        }
    }
    for (name, first, lines) in functions(&source.all_code) {
        if lines > MAX_FUNCTION_LINES {
            let at = format!("{}:{first}", source.path);
            complaints
                .push(format!("{at}: {name} has {lines} lines, at most {MAX_FUNCTION_LINES}"));
        }
    }
}

/// Name, first line and length of every function with a body.
fn functions(code: &str) -> Vec<(&str, usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let name = code[at + 3..].split(|char: char| !char.is_alphanumeric() && char != '_').next();
        let starts_word = !code[..at].ends_with(|char: char| char.is_alphanumeric() || char == '_');
        let Some(name) = name.filter(|name| starts_word && !name.is_empty()) else { continue };
        let Some(end) = body_end(&code[at..]) else { continue };
        let first = code[..at].matches('\n').count() + 1;
        found.push((name, first, code[at..at + end].lines().count()));
    }
    found
}

/// Where the body ends that follows a signature; none for a signature alone.
fn body_end(signature: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (at, char) in signature.char_indices() {
        match char {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.checked_sub(1)?,
            ';' if braces == 0 && brackets == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces = braces.checked_sub(1)?;
                if braces == 0 && brackets == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}
