//! A load balancer without affinity, as a Service of several pods is one: each new connection, and
//! each new flow of datagrams, goes to the next of two hosts.

use super::{set_up, undo};
use crate::support::namespaces::TwoHosts;

/// The address of the load balancer, which no host has.
pub(crate) const ADDRESS: &str = "198.51.100.1";
/// Its backends, in turn: `hostB` and `podB`.
const BACKENDS: [&str; 2] = ["192.0.2.2", "10.244.1.2"];

/// What chooses the backend of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// `hostB` first, then `podB`, and so on.
    InTurn,
    /// By lot, as kube-proxy does it.
    Random,
    /// Always `hostB`: what affinity by the client's address comes to for one client.
    Affinity,
}

/// The load balancer, at `hostB`; gone when dropped.
#[derive(Debug)]
pub(crate) struct LoadBalancer {
    client: String,
    place: String,
}

impl LoadBalancer {
    /// Takes what `hostA` sends to `ADDRESS` on `ports`, TCP and UDP.
    pub(crate) fn up(hosts: &TwoHosts, ports: &[u16], choice: Choice) -> Self {
        let [client, place] = ["hostA", "hostB"].map(|name| hosts.place(name));
        let [first, second] = BACKENDS;
        let backend = match choice {
            Choice::InTurn => format!("numgen inc mod 2 map {{ 0 : {first}, 1 : {second} }}"),
            Choice::Random => format!("numgen random mod 2 map {{ 0 : {first}, 1 : {second} }}"),
            Choice::Affinity => first.to_owned(),
        };
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let ports = ports.join(", ");
        set_up(
            &place,
            "nft",
            &format!(
                "table ip load_balancer {{
                     chain in {{
                         type nat hook prerouting priority -100;
                         ip daddr {ADDRESS} tcp dport {{ {ports} }} dnat to {backend};
                         ip daddr {ADDRESS} udp dport {{ {ports} }} dnat to {backend};
                     }};
                 }}"
            ),
        );
        set_up(&client, "ip", &format!("route add {ADDRESS} via {first}"));
        Self { client, place }
    }
}

impl Drop for LoadBalancer {
    fn drop(&mut self) {
        undo(&self.client, "ip", &format!("route del {ADDRESS}"));
        undo(&self.place, "nft", "delete table ip load_balancer");
    }
}
