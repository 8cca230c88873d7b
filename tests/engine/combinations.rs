//! Every workload × send × receive × wait over loopback: each run ends well, every byte arrives or
//! is counted as lost, and the document names the ways that were asked for. And every kind of run
//! ends when its server dies, or falls silent while it is waited for.

use nix::sys::signal::Signal;

use crate::support::combinations::{self, WAITS};
use crate::support::mixed_runs::{self, MixedRuns};
use crate::support::path::Path;
use crate::support::{TIMEOUT, root};

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

#[test]
fn a_killed_server_ends_runs_of_every_kind() {
    let mut path = Path::loopback();
    let mixed_runs = MixedRuns::start(&path, mixed_runs::all());
    path.server.signal(Signal::SIGKILL);
    mixed_runs.assert_ended(4, &["podperf: error: ", "127.0.0.1:"], |_, _| {});
    path.server.kill();
}

#[test]
fn a_server_that_falls_silent_is_given_up_by_runs_of_every_kind() {
    let path = Path::loopback();
    let mixed_runs = MixedRuns::start(&path, mixed_runs::all());
    path.server.signal(Signal::SIGSTOP);
    mixed_runs.assert_ended(4, &["silent for 3.0 s", &path.target], |_, _| {});
    path.server.signal(Signal::SIGCONT);
    path.server.assert_all_freed(TIMEOUT);
    path.server.assert_serves();
}
