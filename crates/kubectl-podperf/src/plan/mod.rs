//! What is decided without a cluster: pure functions, plain data.
//!
//! Enters: options, and nodes and addresses as the API server has them. Leaves: settings that hold
//! together, paths and tests, a layout, a placement, and objects as JSON.
//!
//! ```text
//! options ─ preset ─ settle ─▶ settings ─▶ test_plan ─▶ layout · placement · targets ─▶ manifest
//! ```

pub(crate) mod labels;
pub(crate) mod layout;
pub(crate) mod manifest;
pub(crate) mod node;
pub(crate) mod options;
pub(crate) mod path;
pub(crate) mod placement;
pub(crate) mod preset;
pub(crate) mod rbac;
pub(crate) mod settings;
pub(crate) mod settle;
pub(crate) mod targets;
pub(crate) mod test_kind;
pub(crate) mod test_plan;
mod values;
