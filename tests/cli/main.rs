//! What needs no measurement: command lines, the rules of plans, the published schema, manifests.

#[cfg(feature = "documents")]
mod compare;
mod documents;
mod manifests;
mod plan;
#[cfg(feature = "documents")]
mod report;
#[path = "../support/restricted.rs"]
mod restricted;
mod schema;
mod sinks;
mod usage;
