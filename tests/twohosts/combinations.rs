//! Every workload × send × receive × wait between two hosts, and a selection of each between their
//! pods over VXLAN: the tables that tests/engine/combinations.rs goes over on loopback.

use crate::support::combinations::{self, Row, WAITS};
use crate::support::namespaces::TwoHosts;
use crate::support::path::Path;
use crate::support::root;

/// All of `rows` from host to host, and from pod to pod each `step`th of them.
fn go_over<R: Iterator<Item = Row>>(hosts: &TwoHosts, step: usize, rows: impl Fn() -> R) {
    Path::hosts(hosts).go_over(rows());
    Path::pods(hosts).go_over(rows().step_by(step));
}

#[test]
fn streams_by_every_pair_of_methods_lose_nothing() {
    if !root("streams_by_every_pair_of_methods_lose_nothing") {
        return;
    }
    let hosts = TwoHosts::up("mxs");
    // Six layouts of each pair of methods: no pair is left out between the pods, and no layout.
    go_over(&hosts, 5, combinations::streams);
    // Three of them.
    go_over(&hosts, 2, combinations::one_byte_streams);
}

#[test]
fn transactions_by_every_way_of_waiting_are_counted_once() {
    if !root("transactions_by_every_way_of_waiting_are_counted_once") {
        return;
    }
    let hosts = TwoHosts::up("mxt");
    // Nine pairs of ways of waiting for each backend and layout, or way of closing and layout.
    go_over(&hosts, 7, || combinations::exchanges(&WAITS));
    go_over(&hosts, 7, || combinations::connections(&WAITS));
    go_over(&hosts, 2, combinations::loads);
}

#[test]
fn datagrams_by_every_use_of_offloads_are_received_or_lost() {
    if !root("datagrams_by_every_use_of_offloads_are_received_or_lost") {
        return;
    }
    let hosts = TwoHosts::up("mxu");
    go_over(&hosts, 2, combinations::datagrams);
    go_over(&hosts, 2, combinations::datagram_exchanges);
}
