//! Two hosts and their pods in network namespaces; needs root.

#[expect(dead_code, reason = "each test binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod agreement;
mod combinations;
mod faults;
mod weather;
