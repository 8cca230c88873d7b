//! House rules that no compiler checks, held against every source file of the package.
//!
//! Enters: the files below src/, tests/ and benches/. Leaves: one complaint a broken rule, with
//! file and line. Each rule is tried on a small bad sample first, so that silence is a good sign.

use std::fs;
use std::path::{Path, PathBuf};

const MAX_FILE_LINES: usize = 400;
const MAX_FUNCTION_LINES: usize = 70;
const MAX_COLUMNS: usize = 100;
/// In two pieces, so that a search of the tree for hidden tests finds none.
const IGNORED: &str = concat!("#[", "ignore");
/// Each part imports only from those before it.
const LAYERS: [&str; 6] =
    ["transport", "workload", "engine", "control", "calibration", "coordination"];

/// A file in two views: as written, and as code: comments and the insides of literals blanked, the
/// test module cut off. Both have the same lines up to the cut.
struct Source<'a> {
    path: &'a str,
    text: &'a str,
    code: String,
    all_code: String,
}

impl<'a> Source<'a> {
    fn new(path: &'a str, text: &'a str) -> Self {
        let all_code = blank(text);
        // A test module in files of its own is all tests.
        let in_tests = path.ends_with("/tests.rs") || path.contains("/tests/");
        let all_tests = path.contains("src/") && in_tests;
        let code = if all_tests { "" } else { without_test_module(&all_code) }.to_owned();
        Self { path, text, code, all_code }
    }

    fn under(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    /// The folder or file right below the engine's src/, without its ending.
    fn part(&self) -> Option<&str> {
        let first = self.path.strip_prefix("crates/engine/src/")?.split('/').next()?;
        Some(first.trim_end_matches(".rs"))
    }

    /// Complains about each occurrence of `word` in `code` that is a word of its own.
    fn forbid(&self, code: &str, word: &str, why: &str, complaints: &mut Vec<String>) {
        for (number, line) in code.lines().enumerate() {
            if has_word(line, word) {
                complaints.push(format!("{}:{}: `{word}` {why}", self.path, number + 1));
            }
        }
    }
}

fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |char: char| char.is_alphanumeric() || char == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(part_of_word);
        let after = line[at + word.len()..].chars().next().is_some_and(part_of_word);
        let open_end = word.ends_with(|char| !part_of_word(char));
        (!before || !word.starts_with(part_of_word)) && (open_end || !after)
    })
}

/// The same text with comments and the insides of string and character literals as spaces.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_word = false;
    while let Some(first) = rest.chars().next() {
        let length = opaque_length(rest, in_word).unwrap_or(0);
        if length > 0 {
            code.extend(rest[..length].chars().map(|char| if char == '\n' { '\n' } else { ' ' }));
        } else {
            code.push(first);
        }
        in_word = length == 0 && (first.is_alphanumeric() || first == '_');
        rest = &rest[length.max(first.len_utf8())..];
    }
    code
}

/// Length of the comment or literal that `rest` starts with.
fn opaque_length(rest: &str, in_word: bool) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(rest.find("*/").map_or(rest.len(), |at| at + 2));
    }
    if !in_word && (rest.starts_with("r\"") || rest.starts_with("r#") || rest.starts_with("br")) {
        let body = rest.trim_start_matches('b').strip_prefix('r')?;
        let hashes = body.len() - body.trim_start_matches('#').len();
        let quote = body.strip_prefix(&"#".repeat(hashes))?.strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let closed = quote.find(&end).map_or(quote.len(), |at| at + end.len());
        return Some(rest.len() - quote.len() + closed);
    }
    if let Some(body) = rest.strip_prefix('"') {
        return Some(1 + closing(body, '"'));
    }
    let body = rest.strip_prefix('\'')?;
    // A lifetime has no closing quote two characters on.
    let escaped = body.starts_with('\\');
    (escaped || body.chars().nth(1) == Some('\'')).then(|| 1 + closing(body, '\''))
}

/// Length up to and including the next unescaped `quote`.
fn closing(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, char) in body.char_indices() {
        if char == quote && !escaped {
            return at + char.len_utf8();
        }
        escaped = char == '\\' && !escaped;
    }
    body.len()
}

/// The code before the test module, which by the house rules comes last.
fn without_test_module(code: &str) -> &str {
    const MARK: &str = "#[cfg(test)]";
    let module = code.match_indices(MARK).map(|(at, _)| at).find(|at| {
        let item = code[at + MARK.len()..].trim_start();
        item.starts_with("mod ") && item[..item.find(['{', ';']).unwrap_or(0) + 1].ends_with('{')
    });
    module.map_or(code, |at| &code[..at])
}

fn check_size(source: &Source<'_>, complaints: &mut Vec<String>) {
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

fn check_words(source: &Source<'_>, complaints: &mut Vec<String>) {
    if !source.text.starts_with("//!") {
        complaints.push(format!("{}:1: opens without `//!`", source.path));
    }
    for word in ["todo!", "unimplemented!", "dbg!"] {
        source.forbid(&source.all_code, word, "is unfinished work", complaints);
    }
    source.forbid(&source.all_code, IGNORED, "hides a test", complaints);
    if !source.under("crates/sys/") {
        source.forbid(&source.all_code, "unsafe", "stands outside crates/sys", complaints);
        source.forbid(&source.all_code, "allow(", "stands where `expect(` belongs", complaints);
    }
    if !source.under("crates/kubectl-podperf/") {
        for word in ["tokio", "kube"] {
            source.forbid(
                &source.all_code,
                word,
                "stands outside crates/kubectl-podperf",
                complaints,
            );
        }
    }
    if !source.path.contains("src/") || source.under("crates/kubectl-podperf/") {
        return;
    }
    if !["src/main.rs", "src/cli/signals.rs"].contains(&source.path) {
        source.forbid(&source.code, "process::exit", "takes the exit from main", complaints);
    }
    if !source.under("crates/report/") && !source.under("src/cli/") {
        for word in ["println!", "print!", "eprintln!", "eprint!"] {
            source.forbid(&source.code, word, "prints outside report and cli", complaints);
        }
    }
}

fn check_layers(source: &Source<'_>, complaints: &mut Vec<String>) {
    let layer = |part: &str| LAYERS.iter().position(|layer| *layer == part);
    let Some(own) = source.part().and_then(layer) else { return };
    for higher in &LAYERS[own + 1..] {
        let import = format!("crate::{higher}");
        source.forbid(&source.code, &import, "is a higher part", complaints);
    }
}

fn complaints_about(path: &str, text: &str) -> Vec<String> {
    let source = Source::new(path, text);
    let mut complaints = Vec::new();
    check_size(&source, &mut complaints);
    check_words(&source, &mut complaints);
    check_layers(&source, &mut complaints);
    complaints
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_tree_keeps_the_house_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    ["src", "crates", "tests", "benches"]
        .iter()
        .for_each(|folder| rust_files(&root.join(folder), &mut files));
    assert!(files.len() > 10, "only {} files found below {}", files.len(), root.display());
    let complaints: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let path = file.strip_prefix(root).unwrap().to_str().unwrap();
            complaints_about(path, &fs::read_to_string(file).unwrap())
        })
        .collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn each_rule_sees_what_breaks_it() {
    let long_function = format!("//! A.\nfn long() {{\n{}}}\n", "    let _ = 0;\n".repeat(69));
    let ignored = format!("//! A.\n{IGNORED} = \"slow\"]");
    for (path, text, complaint) in [
        ("src/a.rs", "fn a() {}\n", "src/a.rs:1: opens without `//!`"),
        ("src/a.rs", &"//! A.\n".repeat(401), "src/a.rs: 401 lines without tests, at most 400"),
        ("src/a.rs", &format!("//! {}", "ä".repeat(97)), "src/a.rs:1: 101 columns, at most 100"),
        ("src/a.rs", &long_function, "src/a.rs:2: long has 71 lines, at most 70"),
        ("src/a.rs", "//! A.\nunsafe fn a() {}", "src/a.rs:2: `unsafe` stands outside crates/sys"),
        ("tests/a.rs", &ignored, &format!("tests/a.rs:2: `{IGNORED}` hides a test")),
        ("src/a.rs", "//! A.\nfn a() { todo!() }", "src/a.rs:2: `todo!` is unfinished work"),
        (
            "src/a.rs",
            "//! A.\n#[allow(dead_code)]",
            "src/a.rs:2: `allow(` stands where `expect(` belongs",
        ),
        (
            "src/cli/a.rs",
            "//! A.\nuse kube::Api;",
            "src/cli/a.rs:2: `kube` stands outside crates/kubectl-podperf",
        ),
        (
            "src/cli/a.rs",
            "//! A.\n\nfn a() { std::process::exit(1) }",
            "src/cli/a.rs:3: `process::exit` takes the exit from main",
        ),
        (
            "src/engine/a.rs",
            "//! A.\nfn a() { print!(\"a\") }",
            "src/engine/a.rs:2: `print!` prints outside report and cli",
        ),
        (
            "crates/engine/src/engine/a.rs",
            "//! A.\nuse crate::control::client;",
            "crates/engine/src/engine/a.rs:2: `crate::control` is a higher part",
        ),
    ] {
        assert_eq!(complaints_about(path, text), [complaint]);
    }
}

#[test]
fn nothing_is_seen_where_nothing_is_wrong() {
    let sample = r####"//! A module about unsafe things.
/* dbg! */
const A: &str = "todo!() \" unsafe"; // println!
const B: &str = r#"tokio " kube"#;
const C: (char, char, &[u8]) = ('"', '\'', b"\\");
fn unsafely<'a>(kubelet: &'a str) -> [u8; 2] { writeln!(kubelet); disallow(kubelet) }
#[cfg(test)]
mod tests {
    fn a() { println!("a"); std::process::exit(0) }
}
"####;
    assert_eq!(complaints_about("src/engine/a.rs", sample), [""; 0]);
    assert_eq!(complaints_about("crates/sys/src/a.rs", "//! A.\nunsafe fn a();"), [""; 0]);
    let tests = format!("//! A.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(500));
    assert_eq!(complaints_about("src/a.rs", &tests), [""; 0]);
    let tests = format!("//! A.\n{}", "\n".repeat(500));
    assert_eq!(complaints_about("src/a/tests.rs", &tests), [""; 0]);
    assert_eq!(complaints_about("src/a/tests/b.rs", &tests), [""; 0]);
    let declared = "//! A.\n#[cfg(test)]\nmod tests;\nfn a() { println!() }\n";
    assert_eq!(complaints_about("src/a.rs", declared).len(), 1);
}
