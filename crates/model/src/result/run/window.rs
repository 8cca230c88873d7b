//! When a run was measured: that part of the result.

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::result::run::Run;

/// The measured window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Window {
    /// Its length by the client's clock, in seconds (by the server's when the client has no two
    /// readings).
    pub seconds: f64,
    /// Its length by the server's clock, in seconds; null when the server was lost.
    pub server_seconds: Option<f64>,
    /// Between the first and the last flow's first payload, on the end that starts them, in
    /// microseconds (the larger of the two when both directions run).
    pub start_skew_us: Option<f64>,
    /// Length of the warm-up before it, in seconds.
    pub warm_up_seconds: f64,
    /// When it opened, by the client's wall clock (RFC 3339, UTC); null: not known.
    #[serde(default)]
    pub opened_at: Option<String>,
}

/// What is known of a run from when its window opens on, as its document will say it.
#[derive(Debug, Clone, Copy)]
pub struct OpenedRun<'a> {
    /// `.started_at`.
    pub started_at: &'a str,
    /// `.window.opened_at`.
    pub opened_at: Option<&'a str>,
    /// `.target`.
    pub target: &'a str,
    /// `.plan`.
    pub plan: &'a Plan,
    /// `.host.client.hostname`.
    pub hostname: Option<&'a str>,
}

impl<'a> OpenedRun<'a> {
    /// That of a finished run.
    #[must_use]
    pub fn of(run: &'a Run) -> Self {
        Self {
            started_at: &run.started_at,
            opened_at: run.window.as_ref().and_then(|window| window.opened_at.as_deref()),
            target: &run.target,
            plan: &run.plan,
            hostname: run.host.client.as_ref().and_then(|host| host.hostname.as_deref()),
        }
    }
}
