//! What comes of a run: one document out of what was read, its exit status, and its files.
//!
//! Enters: a plan, pods, the state of the coordinator's log. Leaves: a
//! [`ClusterRun`](podperf_model::result::cluster::ClusterRun), tables, a directory.

pub(crate) mod assemble;
pub(crate) mod document;
pub(crate) mod fingerprint;
pub(crate) mod results;
