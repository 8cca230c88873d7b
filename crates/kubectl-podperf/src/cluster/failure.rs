//! Why a request to the API server had no success, and what helps.

use std::time::Duration;

use podperf_model::error::{Code, Error, Kind, Result};

/// Why a request had no success.
#[derive(Debug, Clone)]
pub(crate) enum ApiFailure {
    /// The API server's answer.
    Refused { code: u16, reason: String, message: String },
    /// No answer for as long as requests were repeated.
    Unreachable { cause: String, retry_time: Duration },
}

impl ApiFailure {
    pub(crate) const fn has_status(&self, wanted: u16) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }

    /// Turns it into an error of `operation`.
    pub(crate) fn during(self, operation: impl Into<String>) -> Error {
        match self {
            Self::Refused { message, reason, code } => {
                let denied = matches!(code, 401 | 403);
                let error = Error::new(Kind::Unmeasured, operation, &message)
                    .with_code(if denied { Code::Unauthorized } else { Code::Refused });
                match remedy(code, &reason, &message) {
                    Some(remedy) => error.with_remedy(remedy),
                    None => error,
                }
            }
            Self::Unreachable { cause, retry_time } => {
                let retry_time = humantime::format_duration(retry_time);
                let cause = format!("the API server has not answered for {retry_time}: {cause}");
                Error::new(Kind::Unmeasured, operation, cause)
                    .with_code(Code::Unreachable)
                    .with_remedy("check the kubeconfig, or raise --api-timeout")
            }
        }
    }
}

/// Names the operation during which a request failed.
pub(crate) trait DuringRequest<T> {
    /// The failure as an error of `operation`.
    fn during(self, operation: impl Into<String>) -> Result<T>;
}

impl<T> DuringRequest<T> for Result<T, ApiFailure> {
    fn during(self, operation: impl Into<String>) -> Result<T> {
        self.map_err(|failure| failure.during(operation))
    }
}

/// Suggests what helps against a refusal.
fn remedy(code: u16, reason: &str, message: &str) -> Option<&'static str> {
    if message.contains("exceeded quota") {
        return Some("raise the namespace's ResourceQuota, or measure in another with -n");
    }
    if message.contains("PodSecurity") || message.contains("PodSecurityPolicy") {
        return Some(
            "paths over the nodes' own network (host, pod-host, host-pod) need a namespace \
             labelled pod-security.kubernetes.io/enforce=privileged; all others are admitted by \
             the restricted level",
        );
    }
    match (code, reason) {
        (401, _) => Some("log in again, or name another user with --context"),
        (403, _) => Some("grant the access that `kubectl podperf plan` lists (k8s/rbac has it)"),
        _ => None,
    }
}

/// An error with what caused it: the outermost alone rarely says why.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
