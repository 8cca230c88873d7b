//! One name, one type: a struct, enum, trait or type alias is defined once in the workspace.

use std::collections::BTreeMap;

use super::source::Source;

/// Names that may stand for more than one type, and why.
const SHARED: [(&str, &str); 3] = [
    ("Args", "clap's customary name for the arguments of one subcommand"),
    ("Error", "the customary name of a crate's error"),
    ("Result", "the customary alias beside it"),
];

/// Complains about each name that is defined twice.
pub(crate) fn check(sources: &[Source<'_>]) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.path.contains("src/")) {
        for name in defined(&source.code) {
            places.entry(name).or_default().push(source.path);
        }
    }
    places.retain(|name, paths| paths.len() > 1 && !SHARED.iter().any(|(own, _)| own == name));
    let complaint = |(name, paths): (&str, Vec<&str>)| {
        format!("type `{name}` is defined {} times: {}", paths.len(), paths.join(", "))
    };
    places.into_iter().map(complaint).collect()
}

/// Every type that `code` defines; an alias within braces is one of a trait or an impl.
fn defined(code: &str) -> Vec<&str> {
    const KINDS: [&str; 4] = ["struct", "enum", "trait", "union"];
    let mut depth = 0_usize;
    let mut found = Vec::new();
    for line in code.lines() {
        let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
        let kind = words.find(|word| !word.starts_with("in") && *word != "unsafe");
        if kind.is_some_and(|kind| KINDS.contains(&kind) || (kind == "type" && depth == 0)) {
            let name = words.next().unwrap_or_default();
            let end = name.find(|char: char| !char.is_alphanumeric()).unwrap_or(name.len());
            found.push(&name[..end]);
        }
        depth = (depth + line.matches('{').count()).saturating_sub(line.matches('}').count());
    }
    found
}
