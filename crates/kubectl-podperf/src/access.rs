//! The access that the launcher needs, in one table: asked of the API server before anything is
//! created, shown by `plan` as a Role.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use serde_json::{Value, json};

use super::api::Cluster;
use super::layout::Layout;
use podperf_model::error::{Error, Kind, Result};

/// One rule of a Role.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) group: &'static str,
    pub(super) resource: &'static str,
    pub(super) verbs: &'static [&'static str],
    /// Not for a run without this.
    pub(super) when: When,
}

/// What a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    Services,
    Policies,
    /// Of use, but a run does without.
    Optional,
}

const fn rule(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    when: When,
) -> Rule {
    Rule { group, resource, verbs, when }
}

/// Within the namespace.
pub(super) const RULES: [Rule; 8] = [
    rule("batch", "jobs", &["create", "get", "list", "delete"], When::Always),
    rule("", "pods", &["create", "get", "list", "delete"], When::Always),
    rule("", "pods/log", &["get"], When::Always),
    rule("", "events", &["list"], When::Optional),
    rule("", "services", &["create", "get", "list", "delete"], When::Services),
    rule("", "endpoints", &["get", "list"], When::Services),
    rule("discovery.k8s.io", "endpointslices", &["get", "list"], When::Optional),
    rule(
        "networking.k8s.io",
        "networkpolicies",
        &["create", "get", "list", "delete", "deletecollection"],
        When::Policies,
    ),
];

/// In the whole cluster: all of it can be done without, by naming nodes and a namespace that is
/// there.
pub(super) const CLUSTER_RULES: [Rule; 2] = [
    rule("", "nodes", &["get", "list"], When::Optional),
    rule("", "namespaces", &["create", "get", "delete"], When::Optional),
];

/// In the system's namespace: which network plugin and which kube-proxy there is.
pub(super) const SYSTEM_RULES: [Rule; 2] = [
    rule("apps", "daemonsets", &["list"], When::Optional),
    rule("", "configmaps", &["list"], When::Optional),
];
/// The system's namespace.
pub(super) const SYSTEM: &str = "kube-system";

fn needed(rule: &Rule, layout: &Layout) -> bool {
    match rule.when {
        When::Always => true,
        When::Services => !layout.services.is_empty() || layout.background > 0,
        When::Policies => layout.policies + layout.idle_policies > 0,
        When::Optional => false,
    }
}

/// Asks whether everything is granted that this run cannot do without.
///
/// # Errors
/// Naming all that is not.
pub(super) async fn check(cluster: &Cluster, layout: &Layout) -> Result<()> {
    let questions = RULES
        .iter()
        .filter(|rule| needed(rule, layout))
        .flat_map(|rule| rule.verbs.iter().map(move |verb| (rule, *verb)));
    let asked = questions.map(|(rule, verb)| async move {
        let allowed = allowed(cluster, rule, verb, Some(&cluster.namespace)).await?;
        Ok((!allowed).then(|| format!("{verb} {}", rule.resource)))
    });
    let answers = futures::future::try_join_all(asked)
        .await
        .map_err(|failure: super::api::Failure| failure.of("ask what this account may do"))?;
    let missing: Vec<String> = answers.into_iter().flatten().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let cause = format!("this account may not: {}", missing.join(", "));
    let remedy = "have the Role of `kubectl podperf plan` bound to it (k8s/rbac has it)";
    Err(Error::new(Kind::Unmeasured, "create objects in namespace", cause)
        .with_peer(&cluster.namespace)
        .with_remedy(remedy))
}

/// One question.
pub(super) async fn allowed(
    cluster: &Cluster,
    rule: &Rule,
    verb: &str,
    namespace: Option<&str>,
) -> Result<bool, super::api::Failure> {
    let (resource, subresource) = match rule.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource)),
        None => (rule.resource, None),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(rule.group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: subresource.map(str::to_owned),
                verb: Some(verb.to_owned()),
                namespace: namespace.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = cluster.ask(&review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// The Role, and what is of use beyond it: a ClusterRole, and a Role in the system's namespace.
pub(super) fn roles(namespace: &str, layout: &Layout) -> [Value; 3] {
    let rules = |rules: &[Rule], all: bool| -> Vec<Value> {
        rules
            .iter()
            .filter(|rule| all || needed(rule, layout) || rule.when == When::Optional)
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
        role("Role", "podperf-launcher-network-facts", Some(SYSTEM), rules(&SYSTEM_RULES, true)),
    ]
}

#[cfg(test)]
mod tests;
