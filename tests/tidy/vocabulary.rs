//! Words: unfinished work, what only one crate may name, and private terms where the field has its
//! own (docs/GLOSSARY.md).

use super::source::Source;

/// In two pieces, so that a search of the tree for hidden tests finds none.
pub(crate) const IGNORED: &str = concat!("#[", "ignore");
/// In two pieces each, so that a search of the tree for them finds none.
const PRIVATE: [&str; 12] = [
    concat!("lob", "by"),
    concat!("sea", "ts"),
    concat!("lea", "sh"),
    concat!("man", "ner"),
    concat!("meet", "ing"),
    concat!("kno", "ck"),
    concat!("trou", "ble"),
    concat!("conduc", "tor"),
    concat!("recep", "tion"),
    concat!("entra", "nce"),
    concat!("ensem", "ble"),
    concat!("visi", "tor"),
];
/// Plain English with such a word in it: where, and what stands there.
const PLAIN_ENGLISH: [(&str, &str); 2] = [
    ("crates/engine/src/control/bounded_list.rs", concat!("SeqAccess, Visi", "tor}")),
    ("crates/engine/src/control/bounded_list.rs", concat!("Visi", "tor<'de> for BoundedList")),
];
/// The rules about the words of Rust code.
pub(crate) fn check_code(source: &Source<'_>, complaints: &mut Vec<String>) {
    if !["//!", "#![doc"].iter().any(|opening| source.text.starts_with(opening)) {
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
    if source.under("crates/kubectl-podperf/") {
        return;
    }
    for word in ["tokio", "kube"] {
        source.forbid(&source.all_code, word, "stands outside crates/kubectl-podperf", complaints);
    }
    if !source.path.contains("src/") {
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

/// Private terms in any text: code, comments, scripts, manifests, documents.
pub(crate) fn check_text(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let lower = line.to_lowercase();
        for word in PRIVATE.iter().filter(|word| lower.contains(**word)) {
            let plain = |(file, part): &(&str, &str)| *file == path && line.contains(part);
            if !PLAIN_ENGLISH.iter().any(plain) {
                complaints.push(format!("`{word}` in {path}:{}: a private term", number + 1));
            }
        }
    }
    complaints
}
