//! The table of access, held against k8s/rbac.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::*;
use crate::testing::{EVERY_PATH, laid_out};

/// By kind of role and namespace, and by group and resource: the verbs.
type Granted = BTreeMap<(String, String, String), BTreeSet<String>>;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(text).collect()
}

fn granted(roles: &[Value]) -> Granted {
    let mut granted = Granted::new();
    for role in roles {
        let place = format!("{} {}", text(&role["kind"]), text(&role["metadata"]["namespace"]));
        for rule in role["rules"].as_array().unwrap() {
            for group in strings(&rule["apiGroups"]) {
                for resource in strings(&rule["resources"]) {
                    let key = (place.clone(), group.clone(), resource);
                    granted.entry(key).or_default().extend(strings(&rule["verbs"]));
                }
            }
        }
    }
    granted
}

fn roles_below(folder: &Path, found: &mut Vec<Value>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            roles_below(&path, found);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let role = |object: &Value| object["kind"] == "Role" || object["kind"] == "ClusterRole";
        found.extend(objects.into_iter().filter(role));
    }
}

#[test]
fn what_plan_shows_is_what_k8s_rbac_grants() {
    let (_, layout) = laid_out(&format!("{EVERY_PATH} --policies 2 --services 2"));
    let mut files = Vec::new();
    roles_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../k8s/rbac"), &mut files);
    assert_eq!(granted(&roles("podperf", &layout)), granted(&files));
}

#[test]
fn no_more_is_shown_than_the_run_needs() {
    let resources = |line: &str| -> BTreeSet<String> {
        let (_, layout) = laid_out(line);
        granted(&roles("net", &layout)[..1]).into_keys().map(|(.., resource)| resource).collect()
    };
    let base = ["jobs", "pods", "pods/log", "events", "endpointslices"];
    let with = |more: &[&str]| -> BTreeSet<String> {
        base.iter().chain(more).map(|name| (*name).to_owned()).collect()
    };
    assert_eq!(resources("--scenarios host,pod"), with(&[]));
    assert_eq!(resources("--scenarios clusterip"), with(&["services", "endpoints"]));
    assert_eq!(resources("--scenarios pod --services 1"), with(&["services", "endpoints"]));
    assert_eq!(resources("--scenarios policies"), with(&["networkpolicies"]));
    assert_eq!(resources("--scenarios pod --idle-policies 1"), with(&["networkpolicies"]));
    let (_, layout) = laid_out("--scenarios pod");
    assert_eq!(roles("net", &layout)[0]["metadata"]["namespace"], "net");
}
