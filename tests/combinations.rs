//! Every workload × send × receive × wait over loopback: each run ends well, every byte arrives or
//! is counted as lost, and the document names the ways that were asked for.

#[expect(dead_code, reason = "each test binary uses a part of it")]
mod support;

use support::combinations::{self, WAITS};
use support::path::Path;
use support::root;

/// Ways of waiting that this user may ask for.
fn waits(test: &str) -> &'static [&'static str] {
    if root(test) { &WAITS } else { &WAITS[..2] }
}

#[test]
fn streams_by_every_pair_of_methods_lose_nothing() {
    Path::loopback().go_over(combinations::streams());
}

#[test]
fn one_byte_messages_arrive_by_every_pair_of_methods() {
    Path::loopback().go_over(combinations::one_byte_streams());
}

#[test]
fn exchanges_by_every_backend_and_way_of_waiting_are_counted_once() {
    let waits = waits("exchanges by busy polling");
    Path::loopback().go_over(combinations::exchanges(waits));
    Path::loopback().go_over(combinations::loads());
}

#[test]
fn connections_by_every_way_of_waiting_and_closing_are_counted_once() {
    let waits = waits("connections by busy polling");
    Path::loopback().go_over(combinations::connections(waits));
}

#[test]
fn datagrams_by_every_use_of_offloads_are_received_or_lost() {
    Path::loopback().go_over(combinations::datagrams());
    Path::loopback().go_over(combinations::datagram_exchanges());
}
