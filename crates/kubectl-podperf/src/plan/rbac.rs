//! The access that the launcher needs, in one table: `plan` shows it as Roles, and it is asked of
//! the API server before anything is created.

use serde_json::{Value, json};

use crate::plan::layout::RunLayout;

/// One rule of a Role.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessRule {
    pub(crate) group: &'static str,
    pub(crate) resource: &'static str,
    pub(crate) verbs: &'static [&'static str],
    /// Which runs need the rule.
    pub(crate) needed_for: NeededFor,
}

/// The runs that need a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NeededFor {
    Always,
    Services,
    Policies,
    /// No run needs it, but it is of use.
    Optional,
}

const fn rule(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    needed_for: NeededFor,
) -> AccessRule {
    AccessRule { group, resource, verbs, needed_for }
}

/// Rules within the namespace of the run.
pub(crate) const RULES: [AccessRule; 8] = [
    rule("batch", "jobs", &["create", "get", "list", "delete"], NeededFor::Always),
    rule("", "pods", &["create", "get", "list", "delete"], NeededFor::Always),
    rule("", "pods/log", &["get"], NeededFor::Always),
    rule("", "events", &["list"], NeededFor::Optional),
    rule("", "services", &["create", "get", "list", "delete"], NeededFor::Services),
    rule("", "endpoints", &["get", "list"], NeededFor::Services),
    rule("discovery.k8s.io", "endpointslices", &["get", "list"], NeededFor::Optional),
    rule(
        "networking.k8s.io",
        "networkpolicies",
        &["create", "get", "list", "delete", "deletecollection"],
        NeededFor::Policies,
    ),
];

/// Rules for the whole cluster: all of it can be done without, by naming nodes and a namespace that
/// is there.
pub(crate) const CLUSTER_RULES: [AccessRule; 2] = [
    rule("", "nodes", &["get", "list"], NeededFor::Optional),
    rule("", "namespaces", &["create", "get", "delete"], NeededFor::Optional),
];

/// Rules within the system's namespace: which network plugin and which kube-proxy there is.
pub(crate) const SYSTEM_RULES: [AccessRule; 2] = [
    rule("apps", "daemonsets", &["list"], NeededFor::Optional),
    rule("", "configmaps", &["list"], NeededFor::Optional),
];
/// The system's namespace.
pub(crate) const SYSTEM_NAMESPACE: &str = "kube-system";

impl AccessRule {
    /// Whether a run of this layout cannot do without it.
    pub(crate) fn is_needed(&self, layout: &RunLayout) -> bool {
        match self.needed_for {
            NeededFor::Always => true,
            NeededFor::Services => !layout.services.is_empty() || layout.background > 0,
            NeededFor::Policies => layout.policies + layout.idle_policies > 0,
            NeededFor::Optional => false,
        }
    }
}

/// The Role, and what is of use beyond it: a ClusterRole, and a Role in the system's namespace.
pub(crate) fn roles(namespace: &str, layout: &RunLayout) -> [Value; 3] {
    let rules = |rules: &[AccessRule], all: bool| -> Vec<Value> {
        rules
            .iter()
            .filter(|rule| all || rule.is_needed(layout) || rule.needed_for == NeededFor::Optional)
            .map(|rule| {
                json!({"apiGroups": [rule.group], "resources": [rule.resource],
                       "verbs": rule.verbs})
            })
            .collect()
    };
    let role = |kind: &str, name: &str, namespace: Option<&str>, rules: Vec<Value>| {
        let mut role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
                              "metadata": {"name": name}, "rules": rules});
        if let Some(namespace) = namespace {
            role["metadata"]["namespace"] = json!(namespace);
        }
        role
    };
    [
        role("Role", "podperf-launcher", Some(namespace), rules(&RULES, false)),
        role("ClusterRole", "podperf-launcher", None, rules(&CLUSTER_RULES, true)),
        role(
            "Role",
            "podperf-launcher-network-facts",
            Some(SYSTEM_NAMESPACE),
            rules(&SYSTEM_RULES, true),
        ),
    ]
}

#[cfg(test)]
mod tests;
