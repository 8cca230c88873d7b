//! Where a run goes: over loopback, or from one place of the testbed to a server in another.

use super::namespaces::TwoHosts;
use super::process::{Client, Server, podperf};

/// The other end may choose how the server's workers wait, and where.
const ALLOWING: [&str; 2] = ["--allow-client-affinity", "--allow-client-spin"];

/// A place for clients and the server they measure with.
#[derive(Debug)]
pub(crate) struct Path {
    /// Network namespace of the clients; absent: this process's own.
    pub(crate) place: Option<String>,
    /// Network namespace of the server.
    pub(crate) server_place: Option<String>,
    pub(crate) server: Server,
    pub(crate) target: String,
}

impl Path {
    pub(crate) fn loopback() -> Self {
        let server = Server::start(&[]);
        let target = server.target();
        Self { place: None, server_place: None, server, target }
    }

    /// From host to host.
    pub(crate) fn hosts(hosts: &TwoHosts) -> Self {
        Self::between(hosts, ["hostA", "hostB"], "192.0.2.2")
    }

    /// From pod to pod, over VXLAN.
    pub(crate) fn pods(hosts: &TwoHosts) -> Self {
        Self::between(hosts, ["podA", "podB"], "10.244.1.2")
    }

    fn between(hosts: &TwoHosts, places: [&str; 2], address: &str) -> Self {
        let [place, server_place] = places.map(|name| hosts.place(name));
        let server = Server::in_namespace(&server_place, &ALLOWING);
        let target = format!("{address}:{}", server.port);
        Self { place: Some(place), server_place: Some(server_place), server, target }
    }

    /// `WORKLOAD OPTIONS...`, the target put between them, with a document.
    pub(crate) fn args<'a>(&'a self, options: &'a str) -> Vec<&'a str> {
        let mut args: Vec<&str> = options.split_whitespace().collect();
        args.insert(1, &self.target);
        args.push("-J");
        args
    }

    pub(crate) fn start(&self, options: &str) -> Client {
        Client::launch(podperf(self.place.as_deref()), &self.args(options))
    }
}
