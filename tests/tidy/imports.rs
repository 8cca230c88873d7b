//! The paths by which a file names what stands elsewhere in its crate.

/// What a file imports, and every other path of its crate that it names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Imports {
    /// Name in this file, and the path it stands for, of each `use`.
    pub(crate) named: Vec<(String, Vec<String>)>,
    /// Paths in the code that begin with `crate`, `self` or `super`.
    pub(crate) paths: Vec<Vec<String>>,
}

impl Imports {
    /// Of `code` without comments and literals. What is compiled for tests alone is left out.
    pub(crate) fn of(code: &str) -> Self {
        let mut imports = Self::default();
        let mut rest = code;
        while let Some(at) = starts(rest) {
            let (before, found) = rest.split_at(at);
            let Some(tree) = found.strip_prefix("use ") else {
                let end = found.find(|char| !path_char(char)).unwrap_or(found.len());
                imports.paths.push(segments(&found[..end]));
                rest = &found[end..];
                continue;
            };
            let end = tree.find(';').unwrap_or(tree.len());
            if !for_tests(before) {
                expand(&[], &tree[..end], &mut imports.named);
            }
            rest = &tree[end..];
        }
        imports
    }
}

/// Where the next import or path of this crate begins.
fn starts(code: &str) -> Option<usize> {
    let begins = |word: &str| {
        let mut found = code.match_indices(word).map(|(at, _)| at);
        found.find(|at| !code[..*at].ends_with(|char| path_char(char) || char == '$'))
    };
    ["use ", "crate::", "self::", "super::"].into_iter().filter_map(begins).min()
}

fn path_char(char: char) -> bool {
    char.is_alphanumeric() || char == '_' || char == ':'
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Whether the item after `before` has an attribute that keeps it to tests.
fn for_tests(before: &str) -> bool {
    let start = before.rfind([';', '}', '{']).map_or(0, |at| at + 1);
    before[start..].contains("cfg(") && before[start..].contains("test")
}

/// Adds every name that `tree`, the rest of a `use` after `prefix`, imports.
fn expand(prefix: &[String], tree: &str, found: &mut Vec<(String, Vec<String>)>) {
    let tree = tree.trim();
    if let Some((path, list)) = tree.split_once('{') {
        let prefix = [prefix, &segments(path)].concat();
        let list = list.trim_end().trim_end_matches('}');
        let (mut depth, mut start) = (0_usize, 0);
        for (at, char) in list.char_indices().chain([(list.len(), ',')]) {
            match char {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    expand(&prefix, &list[start..at], found);
                    start = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let (path, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
    let mut path = [prefix, &segments(path)].concat();
    if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
        path.pop();
    }
    let Some(last) = path.last().filter(|_| !tree.is_empty()) else { return };
    let name = if alias.trim().is_empty() { last.clone() } else { alias.trim().to_owned() };
    found.push((name, path));
}
