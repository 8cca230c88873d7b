//! How a worker with many request/response flows waits for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::choice::choice;

/// What moves and waits for the flows of a worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

choice!(Backend {
    Auto = "auto",
        "Blocking calls for one flow a worker with one request in flight; for several flows \
          what is faster for their number, and epoll where the kernel refuses io_uring";
    Epoll = "epoll", "epoll(7) and a system call a step";
    Uring = "uring",
        "io_uring: received by multishot requests, all sends of a round handed over at once";
});
