//! What became of the connections of a connect-request-response run: that part of the result.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Lifetime;
use crate::result::end_result::ConnectionUse;

/// The connections of both ends, over the run's whole life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Connections {
    /// Bytes sent and received over all connections, both ways; null when an end did not report.
    pub lifetime: Option<Lifetime>,
    /// Those that the client opened; null when it did not report.
    pub client: Option<ConnectionUse>,
    /// Those that the server accepted; null when it did not report.
    pub server: Option<ConnectionUse>,
}
