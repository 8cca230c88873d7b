//! The labels and annotations by which podperf finds its objects again.

use k8s_openapi::api::core::v1::Pod;

/// The program that the objects belong to.
pub(crate) const NAME: &str = "app.kubernetes.io/name";
/// The program that made the objects.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The run that an object belongs to.
pub(crate) const INSTANCE: &str = "app.kubernetes.io/instance";
/// The role of an object in its run.
pub(crate) const COMPONENT: &str = "app.kubernetes.io/component";
/// The number of the pair of client and server, from 0.
pub(crate) const PAIR: &str = "podperf/pair";
/// Annotation of the run's Job: its plan, for `collect`.
pub(crate) const PLAN: &str = "podperf/plan";
/// Annotation of a namespace that a run made.
pub(crate) const MADE_BY_RUN: &str = "podperf/made-by-run";

/// Whether podperf finds its objects by this key or keeps data in it, so that no user may set it.
pub(crate) fn is_reserved_key(key: &str) -> bool {
    let own = [NAME, MANAGED_BY, INSTANCE, COMPONENT];
    own.contains(&key) || key.starts_with("podperf/")
}

/// Selector of everything of one run.
pub(crate) fn selector(run_id: &str) -> String {
    format!("{MANAGED_BY}=podperf,{INSTANCE}={run_id}")
}

/// Name of a run's Job.
pub(crate) fn job_name(run_id: &str) -> String {
    format!("podperf-{run_id}")
}

/// Role of a pod in its run.
pub(crate) fn role(pod: &Pod) -> &str {
    let labels = pod.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(COMPONENT)).map_or("", String::as_str)
}
