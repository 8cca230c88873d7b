//! A Rust file as the rules see it: as written, and as code alone.

/// A file in two views: as written, and as code: comments and the insides of literals blanked, the
/// test module cut off. Both have the same lines up to the cut.
pub(crate) struct Source<'a> {
    pub(crate) path: &'a str,
    pub(crate) text: &'a str,
    pub(crate) code: String,
    pub(crate) all_code: String,
}

impl<'a> Source<'a> {
    pub(crate) fn new(path: &'a str, text: &'a str) -> Self {
        let all_code = blank(text);
        let code = if is_test_module(path) { "" } else { without_test_module(&all_code) };
        let code = code.to_owned();
        Self { path, text, code, all_code }
    }

    pub(crate) fn under(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    /// Complains about each occurrence of `word` in `code` that is a word of its own.
    pub(crate) fn forbid(&self, code: &str, word: &str, why: &str, complaints: &mut Vec<String>) {
        for (number, line) in code.lines().enumerate() {
            if has_word(line, word) {
                complaints.push(format!("{}:{}: `{word}` {why}", self.path, number + 1));
            }
        }
    }
}

pub(crate) fn has_word(line: &str, word: &str) -> bool {
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

/// Whether a file below src/ is all tests, or what tests are made of.
fn is_test_module(path: &str) -> bool {
    const MODULES: [&str; 3] = ["tests", "testing", "proptest_inputs"];
    let module = |part: &str| MODULES.contains(&part.trim_end_matches(".rs"));
    path.split_once("src/").is_some_and(|(_, inner)| inner.split('/').any(module))
}
