//! Circles: no two folders or files side by side, within a crate, that need each other.
//!
//! A file needs what it names, also where a parent passes it on. What a child takes of its parent
//! itself, and a parent of its children, is no circle.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::Imports;
use super::source::Source;

/// A module's path within its crate.
type Module = Vec<String>;

/// Files by module, of one crate.
struct Crate<'a> {
    root: &'a str,
    files: BTreeMap<Module, Imports>,
}

/// Which of the modules right below one need which others.
type Needs = BTreeMap<String, BTreeSet<String>>;

/// Complains about each circle in each crate.
pub(crate) fn check(sources: &[Source<'_>]) -> Vec<String> {
    let mut crates: BTreeMap<&str, Crate<'_>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.code.is_empty()) {
        let Some((root, file)) = source.path.split_once("src/") else { continue };
        let files = BTreeMap::new();
        let own = crates.entry(root).or_insert(Crate { root, files });
        // The root of a library and that of a program beside it are one.
        let file = own.files.entry(module(file)).or_default();
        let imports = Imports::of(&source.code);
        file.named.extend(imports.named);
        file.paths.extend(imports.paths);
    }
    crates.values().flat_map(Crate::circles).collect()
}

/// The module of a file below src/.
fn module(file: &str) -> Module {
    let path = file.trim_end_matches(".rs");
    let mut parts: Module = path.split('/').map(str::to_owned).collect();
    if ["mod", "lib", "main"].contains(&parts.last().map_or("", String::as_str)) {
        parts.pop();
    }
    parts
}

impl Crate<'_> {
    fn circles(&self) -> Vec<String> {
        let mut levels: BTreeMap<&[String], Needs> = BTreeMap::new();
        for (own, imports) in &self.files {
            let named = imports.named.iter().map(|(_, path)| path);
            for target in named.chain(&imports.paths).filter_map(|path| self.find(own, path, 0)) {
                let shared = own.iter().zip(&target).take_while(|(a, b)| a == b).count();
                if let (Some(from), Some(to)) = (own.get(shared), target.get(shared)) {
                    let needs = levels.entry(&own[..shared]).or_default();
                    needs.entry(from.clone()).or_default().insert(to.clone());
                }
            }
        }
        let complaint = |(level, needs): (&[String], Needs)| {
            let folder = format!("{}src/{}", self.root, level.join("/"));
            let circles = circles_of(&needs).into_iter();
            circles.map(|names| format!("circle in {folder}: {names}")).collect::<Vec<_>>()
        };
        levels.into_iter().flat_map(complaint).collect()
    }

    /// The module in which what `path` names in `own` stands; none for another crate's.
    fn find(&self, own: &Module, path: &[String], depth: usize) -> Option<Module> {
        let mut place = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => own.clone(),
            child if self.is_module(&[own, &[child.to_owned()][..]].concat()) => own.clone(),
            _ => return None,
        };
        for (number, name) in path.iter().enumerate() {
            match name.as_str() {
                "crate" | "self" => continue,
                "super" => {
                    place.pop()?;
                    continue;
                }
                _ => {}
            }
            place.push(name.clone());
            if self.is_module(&place) {
                continue;
            }
            place.pop();
            // An item of `place`, or something that it imports.
            let imports = self.files.get(&place);
            let named = imports.and_then(|file| file.named.iter().find(|(own, _)| own == name));
            return match named {
                Some((_, passed)) if depth < 8 && *passed != path[..=number] => {
                    Some(self.find(&place, passed, depth + 1).unwrap_or(place))
                }
                _ => Some(place),
            };
        }
        Some(place)
    }

    fn is_module(&self, path: &[String]) -> bool {
        self.files.keys().any(|module| module.starts_with(path))
    }
}

/// The groups of names that need each other, each as one line.
fn circles_of(needs: &Needs) -> Vec<String> {
    let reach = |from: &String| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&String> = vec![from];
        while let Some(name) = next.pop() {
            for other in needs.get(name).into_iter().flatten() {
                if seen.insert(other) {
                    next.push(other);
                }
            }
        }
        seen
    };
    let mut circles = BTreeSet::new();
    for name in needs.keys() {
        let others = reach(name);
        if others.contains(name) {
            let circle = others.iter().filter(|other| reach(other).contains(name));
            let names: Vec<&str> = circle.map(|other| other.as_str()).collect();
            circles.insert(names.join(" <> "));
        }
    }
    circles.into_iter().collect()
}
