//! Whether a pod runs, and if not why: pure functions over its status and its events.

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};

/// The health of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PodHealth {
    /// All its containers are ready.
    Ready,
    /// Not ready yet, with what it waits for, where the pod tells.
    Waiting(String),
    /// It will not run, with the reason.
    Failed(String),
    /// All its containers ended well.
    Ended,
}

/// Reasons of a waiting container that time does not mend.
const FINAL: [&str; 7] = [
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
];

/// Lines of a container's log that stand in an error.
const MAX_LAST_LINES: usize = 4;

/// The health of `pod`.
pub(crate) fn health(pod: &Pod) -> PodHealth {
    let Some(status) = &pod.status else { return PodHealth::Waiting("not looked at yet".into()) };
    // A mesh may have put containers before podperf's own.
    let all = [&status.init_container_statuses, &status.container_statuses];
    let containers: Vec<&ContainerStatus> = all.into_iter().flatten().flatten().collect();
    let failed = status.phase.as_deref() == Some("Failed");
    // Evicted or past its deadline: what became of its containers follows from that.
    if let (true, Some(reason)) = (failed, &status.reason) {
        let message = status.message.as_deref().unwrap_or("no message");
        return PodHealth::Failed(format!("{reason}: {message}"));
    }
    if let Some(ended) = containers.iter().find_map(|container| crash(container)) {
        return PodHealth::Failed(ended);
    }
    if failed {
        let message = status.message.as_deref().unwrap_or("no message");
        return PodHealth::Failed(format!("Failed: {message}"));
    }
    if status.phase.as_deref() == Some("Succeeded") {
        return PodHealth::Ended;
    }
    if let Some((reason, text)) = containers.iter().find_map(|container| waits(container)) {
        if FINAL.contains(&reason) {
            return PodHealth::Failed(text);
        }
        return PodHealth::Waiting(text);
    }
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let condition = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
    if let Some(scheduled) = condition("PodScheduled").filter(|one| one.status == "False") {
        let reason = scheduled.reason.as_deref().unwrap_or("not scheduled");
        let message = scheduled.message.as_deref().unwrap_or("no message");
        return PodHealth::Waiting(format!("{reason}: {message}"));
    }
    if condition("Ready").is_some_and(|ready| ready.status == "True") {
        return PodHealth::Ready;
    }
    let scheduled = condition("PodScheduled").is_some_and(|one| one.status == "True");
    if scheduled && containers.is_empty() {
        let text = "scheduled, and its kubelet says nothing of it (does the kubelet run?)";
        return PodHealth::Waiting(text.to_owned());
    }
    let phase = status.phase.as_deref().unwrap_or("Pending");
    PodHealth::Waiting(format!("{phase}, not ready"))
}

/// Describes the end of a container that failed, with its last lines.
fn crash(container: &ContainerStatus) -> Option<String> {
    let ended = container.state.as_ref()?.terminated.as_ref()?;
    if ended.exit_code == 0 {
        return None;
    }
    let reason = ended.reason.as_deref().unwrap_or("Error");
    let mut text =
        format!("container {} ended with exit code {} ({reason})", container.name, ended.exit_code);
    if let Some(lines) = ended.message.as_deref().map(last_lines).filter(|it| !it.is_empty()) {
        text = format!("{text}; its last lines: {lines}");
    }
    Some(text)
}

/// The last lines of a text, as one.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(MAX_LAST_LINES)..].join(" | ")
}

fn waits(container: &ContainerStatus) -> Option<(&str, String)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let message = waiting.message.as_deref().unwrap_or("");
    let text =
        format!("container {}: {reason} (image {}) {message}", container.name, container.image);
    Some((reason, text.trim_end().to_owned()))
}

/// The latest warning among an object's events, if there is one.
pub(crate) fn warning(events: &[Event]) -> Option<String> {
    let time = |event: &Event| {
        event
            .last_timestamp
            .as_ref()
            .map(|time| time.0)
            .or_else(|| event.event_time.as_ref().map(|time| time.0))
    };
    let event = events
        .iter()
        .filter(|event| event.type_.as_deref() == Some("Warning"))
        .max_by_key(|event| time(event))?;
    let reason = event.reason.as_deref().unwrap_or("Warning");
    Some(format!("{reason}: {}", event.message.as_deref().unwrap_or("no message")))
}

/// Events of a Job that say that its pod is refused: by a quota, by pod security, by a webhook.
pub(crate) fn refused(events: &[Event]) -> Option<String> {
    let failed =
        events.iter().rev().find(|event| event.reason.as_deref() == Some("FailedCreate"))?;
    failed.message.clone()
}

#[cfg(test)]
mod tests;
