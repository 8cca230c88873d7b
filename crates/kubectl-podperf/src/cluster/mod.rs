//! What talks to the cluster's API server, with a deadline each.
//!
//! Enters: what was planned. Leaves: objects in the cluster and their end, and as plain data what
//! was read: pods, the coordinator's log, the configuration of the network.

pub(crate) mod access;
pub(crate) mod api;
pub(crate) mod cleanup;
pub(crate) mod deploy;
mod endpoints;
pub(crate) mod failure;
pub(crate) mod follow;
mod kubeconfig;
pub(crate) mod log_state;
pub(crate) mod namespace;
mod pod_health;
mod ready;
pub(crate) mod stored_run;
pub(crate) mod system_objects;
pub(crate) mod verify;
