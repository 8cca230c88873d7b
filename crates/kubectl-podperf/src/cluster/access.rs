//! Asks the API server whether this account has the access that a run needs.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};

use crate::cluster::api::Cluster;
use crate::cluster::failure::{ApiFailure, DuringRequest as _};
use crate::plan::layout::RunLayout;
use crate::plan::rbac::{AccessRule, RULES};
use podperf_model::error::{Code, Error, Kind, Result};

/// Asks whether everything is granted that this run cannot do without.
///
/// # Errors
/// Naming all that is not.
pub(crate) async fn check(cluster: &Cluster, layout: &RunLayout) -> Result<()> {
    let questions = RULES
        .iter()
        .filter(|rule| rule.is_needed(layout))
        .flat_map(|rule| rule.verbs.iter().map(move |verb| (rule, *verb)));
    let asked = questions.map(|(rule, verb)| async move {
        let allowed = allowed(cluster, rule, verb, Some(&cluster.namespace)).await?;
        Ok((!allowed).then(|| format!("{verb} {}", rule.resource)))
    });
    let answers =
        futures::future::try_join_all(asked).await.during("ask what this account may do")?;
    let missing: Vec<String> = answers.into_iter().flatten().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let cause = format!("this account may not: {}", missing.join(", "));
    let remedy = "have the Role of `kubectl podperf plan` bound to it (k8s/rbac has it)";
    Err(Error::new(Kind::Unmeasured, "create objects in namespace", cause)
        .with_code(Code::Unauthorized)
        .with_peer(&cluster.namespace)
        .with_remedy(remedy))
}

/// Asks about one verb of one rule.
pub(crate) async fn allowed(
    cluster: &Cluster,
    rule: &AccessRule,
    verb: &str,
    namespace: Option<&str>,
) -> Result<bool, ApiFailure> {
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

#[cfg(test)]
mod tests;
