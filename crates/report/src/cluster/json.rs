//! The launcher's document as JSON, schema `podperf.cluster/v1`.

use crate::json::document;
use podperf_model::result::cluster::ClusterRun;

/// One document, indented, with a newline at its end. Figures that are not numbers are null.
#[must_use]
pub fn render(run: &ClusterRun) -> String {
    document(run)
}
