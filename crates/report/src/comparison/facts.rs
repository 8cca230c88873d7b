//! Facts as names and values, whatever they are facts of, and how two sides' differ.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The values that each fact has on a side: one, unless its documents differ among themselves.
pub(super) type FactSet = BTreeMap<String, BTreeSet<String>>;

/// Facts that differ between any two runs, or that others imply.
const PASSING: [&str; 9] = [
    "boot_id",
    "hostname",
    "clock_read_ns",
    "evidence",
    "index",
    "unknown",
    "addresses",
    "available_congestion_controls",
    "cpus_allowed",
];
/// Values of one fact that are shown.
const MAX_VALUES_SHOWN: usize = 4;

/// Adds every fact below `value`; null tells nothing.
pub(super) fn add(name: &str, value: &Value, facts: &mut FactSet) {
    let mut keep = |name: &str, value: String| {
        facts.entry(name.to_owned()).or_default().insert(value);
    };
    each(name, value, &mut keep);
}

/// Calls `keep` with the name and value of each fact below `value` that is not null.
pub(super) fn each(name: &str, value: &Value, keep: &mut dyn FnMut(&str, String)) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (field, value) in fields {
                if !PASSING.contains(&field.as_str()) {
                    let inner =
                        if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                    each(&inner, value, keep);
                }
            }
        }
        Value::Array(items) => keep(name, items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        other => keep(name, plain(other)),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Name, values in the one, values in the other, of each fact that differs. What a side does not
/// tell is no difference; but what a plan leaves out is the system's default.
pub(super) fn differences(one: &FactSet, other: &FactSet) -> Vec<(String, [String; 2])> {
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let values = |facts: &FactSet, name: &String| {
        let unset = || name.starts_with("plan.").then(|| BTreeSet::from(["default".to_owned()]));
        facts.get(name).cloned().or_else(unset)
    };
    let differing = |name: &String| {
        let (one, other) = (values(one, name)?, values(other, name)?);
        (one != other).then(|| (name.clone(), [shown(&one), shown(&other)]))
    };
    names.into_iter().filter_map(differing).collect()
}

fn shown(values: &BTreeSet<String>) -> String {
    let mut shown: Vec<&str> = values.iter().map(String::as_str).take(MAX_VALUES_SHOWN).collect();
    let more = format!("{} more", values.len().saturating_sub(MAX_VALUES_SHOWN));
    if values.len() > MAX_VALUES_SHOWN {
        shown.push(&more);
    }
    shown.join(" or ")
}
