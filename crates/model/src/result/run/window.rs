//! When a run was measured: that part of the result.

use serde::{Deserialize, Serialize};

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
