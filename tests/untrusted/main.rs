//! Untrusted peers: whoever connects to a port without being a client, or as a client that breaks
//! the protocol, disturbs no run and leaves nothing behind.

#[expect(dead_code, reason = "each test binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod budget;
mod control;
mod crr;
mod guesses;
mod link_local;
mod log;
mod lying_server;
mod netperf;
mod netserver;
mod placement;
mod places;
mod policy;
mod privileges;
mod queues;
mod reflection;
mod scrapes;
mod silence;
mod slow_netperf;
mod thread_limit;
mod udp;
mod unproved;
mod unread;
