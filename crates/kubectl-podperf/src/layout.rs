//! Which objects a run needs: servers, clients, Services and policies, by the paths that are
//! measured. Pure: the manifests are made of it, and later the addresses.

use std::collections::BTreeSet;

use super::options::Settings;
use super::scenario::{Client, Scenario, Server, Way};
use super::trial::{self, TestKind};

/// Port of control and data of a server in a pod.
pub(super) const PORT: u16 = 5210;
/// Port of connections that do not last.
pub(super) const DATA_PORT: u16 = 5211;
/// Port of a policed server that no policy lets anybody in by.
pub(super) const DENIED_PORT: u16 = 5219;
/// Port of the coordinator.
pub(super) const COORDINATOR_PORT: u16 = 5209;
/// Name of the probe that policies have to stop.
pub(super) const DENIED_PATH: &str = "policies (a port that no policy admits)";

/// One server or client and the number of its pair, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seat<R> {
    pub(super) role: R,
    pub(super) pair: u32,
}

/// Everything that will be there.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) servers: Vec<Seat<Server>>,
    pub(super) clients: Vec<Seat<Client>>,
    /// Servers that have a Service.
    pub(super) services: Vec<Seat<Server>>,
    pub(super) node_ports: bool,
    pub(super) data_port: bool,
    pub(super) datagrams: bool,
    pub(super) policies: u32,
    pub(super) idle_policies: u32,
    pub(super) background: u32,
}

impl Layout {
    pub(super) fn new(settings: &Settings) -> Self {
        let scenarios = &settings.scenarios;
        let pairs = settings.measure.pairs;
        let background = settings.measure.services;
        let mut servers: BTreeSet<Server> = scenarios.iter().map(|path| path.server()).collect();
        if background > 0 {
            // Background Services need an endpoint, or the node has nothing to translate.
            servers.insert(Server::Pod);
        }
        let clients: BTreeSet<Client> = scenarios.iter().map(|path| path.client()).collect();
        let behind_service: BTreeSet<Server> = scenarios
            .iter()
            .filter(|path| path.way() != Way::Direct)
            .map(|path| path.server())
            .collect();
        let node_ports =
            scenarios.iter().any(|path| matches!(path.way(), Way::NodePort | Way::NodePortOther));
        Self {
            servers: seats(&servers, pairs),
            clients: seats(&clients, pairs),
            services: seats(&behind_service, pairs),
            node_ports,
            data_port: settings.tests.contains(&TestKind::TcpCrr),
            datagrams: settings
                .tests
                .iter()
                .any(|test| matches!(test, TestKind::UdpStream | TestKind::UdpRr)),
            policies: if scenarios.contains(&Scenario::Policies) { settings.policies } else { 0 },
            idle_policies: settings.measure.idle_policies,
            background,
        }
    }

    /// The agents of one row's steps: a client a pair.
    pub(super) fn agents(&self, row: trial::Row) -> Vec<String> {
        let role = row.path.scenario.client();
        let seats = self.clients.iter().filter(|seat| seat.role == role);
        seats.map(|seat| seat.agent()).collect()
    }

    /// Some pod uses its node's own network.
    pub(super) fn host_network(&self) -> bool {
        self.servers.iter().any(|seat| seat.role == Server::Host)
            || self.clients.iter().any(|seat| seat.role == Client::Host)
    }

    /// Pods that are made beside the coordinator's.
    pub(super) fn pods(&self) -> usize {
        let own = self.clients.iter().filter(|seat| seat.role != Client::Hairpin).count();
        self.servers.len() + own
    }
}

fn seats<R: Copy>(roles: &BTreeSet<R>, pairs: u32) -> Vec<Seat<R>> {
    roles.iter().flat_map(|&role| (0..pairs).map(move |pair| Seat { role, pair })).collect()
}

impl Seat<Client> {
    /// Name of the agent in schedules.
    pub(super) fn agent(self) -> String {
        format!("{}-{}", self.role.role(), self.pair)
    }

    /// Name of its pod.
    pub(super) fn pod(self, run_id: &str) -> String {
        format!("podperf-{run_id}-{}", self.agent())
    }
}

impl Seat<Server> {
    /// Name of its pod, and of its Service.
    pub(super) fn pod(self, run_id: &str) -> String {
        format!("podperf-{run_id}-{}-{}", self.role.role(), self.pair)
    }

    /// Port of control and data.
    pub(super) fn port(self, settings: &Settings) -> u16 {
        if self.role == Server::Host { self.host_port(settings) } else { PORT }
    }

    /// Port of connections that do not last.
    pub(super) fn data_port(self, settings: &Settings) -> u16 {
        if self.role == Server::Host { self.host_port(settings) + 1 } else { DATA_PORT }
    }

    /// Pairs on one node's network need ports of their own.
    fn host_port(self, settings: &Settings) -> u16 {
        let offset = u16::try_from(2 * self.pair).unwrap_or(0);
        settings.pods.host_port + offset
    }
}

#[cfg(test)]
mod tests;
