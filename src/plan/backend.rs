//! How a worker with many request/response flows waits for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What moves and waits for the flows of a worker.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// Blocking calls for one flow a worker with one request in flight; for several flows what is
    /// faster for their number, and epoll where the kernel refuses io_uring.
    #[default]
    Auto,
    /// epoll(7) and a system call a step.
    Epoll,
    /// io_uring: received by multishot requests, all sends of a round handed over at once.
    Uring,
}
