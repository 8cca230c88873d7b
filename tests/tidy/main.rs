//! House rules that no compiler checks, held against the sources of the workspace.
//!
//! Enters: the files below src/, crates/, tests/ and benches/, scripts and documents. Leaves: one
//! complaint a broken rule, with file and line. Each rule is tried on a small bad sample first, so
//! that silence is a good sign.

mod circles;
mod constants;
mod imports;
mod layers;
mod samples;
mod size;
mod source;
mod types;
mod vocabulary;

use std::fs;
use std::path::{Path, PathBuf};

use source::Source;

/// Folders that are not podperf's text: what is built, and the repository itself.
const FOREIGN: [&str; 2] = ["target", ".git"];

/// Complaints about files one by one.
fn complaints_about(source: &Source<'_>) -> Vec<String> {
    let mut complaints = Vec::new();
    size::check(source, &mut complaints);
    vocabulary::check_code(source, &mut complaints);
    constants::check(source, &mut complaints);
    layers::check_imports(source, &mut complaints);
    complaints
}

/// Every text file with one of `endings` below `folder`.
fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !FOREIGN.contains(&name) {
            files(&path, endings, found);
        } else if endings.iter().any(|ending| name.ends_with(ending)) && path.is_file() {
            found.push(path);
        }
    }
}

/// Path below the workspace's root and content of each such file.
fn texts(folder: &str, endings: &[&str]) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    files(&root.join(folder), endings, &mut found);
    found.sort();
    let relative = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    found.iter().map(|path| (relative(path), fs::read_to_string(path).unwrap())).collect()
}

/// Everything that is wrong with the tree.
fn complaints() -> Vec<String> {
    let rust = ["src", "crates", "tests", "benches"].map(|folder| texts(folder, &[".rs"])).concat();
    assert!(rust.len() > 100, "only {} files found", rust.len());
    let sources: Vec<Source<'_>> =
        rust.iter().map(|(path, text)| Source::new(path, text)).collect();
    let mut complaints: Vec<String> = sources.iter().flat_map(complaints_about).collect();
    complaints.extend(types::check(&sources));
    complaints.extend(circles::check(&sources));
    let manifests = texts("", &["Cargo.toml"]);
    assert!(manifests.len() > 5, "only {} manifests found", manifests.len());
    for (path, text) in &manifests {
        complaints.extend(layers::check_manifest(path, text));
    }
    for (path, text) in texts("", &[".rs", ".py", ".sh", ".md", ".yaml"]) {
        complaints.extend(vocabulary::check_text(&path, &text));
    }
    complaints
}

#[test]
fn the_tree_keeps_the_house_rules() {
    let complaints = complaints();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
