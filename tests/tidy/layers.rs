//! Layers: what each crate may depend on, and each part of the engine import.
//!
//! The compiler holds the first once a Cargo.toml names a dependency; this holds the Cargo.toml.

use super::source::Source;

/// Each crate with those of the workspace it may depend on.
const CRATES: [(&str, &[&str]); 9] = [
    ("podperf-sys", &[]),
    ("podperf-model", &[]),
    ("podperf-report", &["podperf-model"]),
    ("podperf-sink", &["podperf-model"]),
    ("podperf-engine", &["podperf-model", "podperf-sys"]),
    ("podperf-netperf", &["podperf-engine", "podperf-model", "podperf-sys"]),
    (
        "podperf",
        &[
            "podperf-engine",
            "podperf-model",
            "podperf-netperf",
            "podperf-report",
            "podperf-sink",
            "podperf-sys",
        ],
    ),
    ("kubectl-podperf", &["podperf", "podperf-model", "podperf-report"]),
    (
        "podperf-fuzz",
        &[
            "podperf",
            "podperf-engine",
            "podperf-model",
            "podperf-netperf",
            "podperf-report",
            "podperf-sink",
        ],
    ),
];
/// The engine's parts; each imports only from those before it.
const PARTS: [&str; 8] =
    ["transport", "workload", "engine", "net", "policy", "control", "calibration", "coordination"];
/// Read the machine beside the engine, and know no other part.
const BESIDE: &str = "metrics";
const ENGINE: &str = "crates/engine/src/";

/// Complains about each dependency of a Cargo.toml that no layer allows.
pub(crate) fn check_manifest(path: &str, manifest: &str) -> Vec<String> {
    let section = |wanted: &'static str| {
        let lines = manifest.lines().skip_while(move |line| *line != wanted).skip(1);
        lines.take_while(|line| !line.starts_with('['))
    };
    let name = section("[package]").find_map(|line| line.strip_prefix("name = "));
    let name = name.unwrap_or_default().trim_matches('"');
    let Some((_, allowed)) = CRATES.iter().find(|(own, _)| *own == name) else {
        return vec![format!("{path}: crate `{name}` is in no layer of tests/tidy/layers.rs")];
    };
    let dependencies = section("[dependencies]").filter_map(|line| line.split(['.', ' ']).next());
    let own = dependencies.filter(|name| CRATES.iter().any(|(own, _)| own == name));
    own.filter(|dependency| !allowed.contains(dependency))
        .map(|dependency| format!("{path}: `{name}` depends on `{dependency}`, a higher crate"))
        .collect()
}

/// Complains about each import of a higher part within the engine, and of what is not the part that
/// netperf may use.
pub(crate) fn check_imports(source: &Source<'_>, complaints: &mut Vec<String>) {
    if source.under("crates/netperf/") {
        for part in ["calibration", "control", "coordination"] {
            let import = format!("podperf_engine::{part}");
            source.forbid(&source.code, &import, "is beside netperf", complaints);
        }
    }
    let Some(inner) = source.path.strip_prefix(ENGINE) else { return };
    let Some((part, _)) = inner.split_once('/') else { return };
    let higher: &[&str] = if part == BESIDE {
        &PARTS
    } else if let Some(own) = PARTS.iter().position(|known| *known == part) {
        &PARTS[own + 1..]
    } else {
        complaints.push(format!("{ENGINE}{part}: is in no layer of tests/tidy/layers.rs"));
        return;
    };
    for higher in higher {
        let import = format!("crate::{higher}");
        source.forbid(&source.code, &import, "is a higher part", complaints);
    }
}
