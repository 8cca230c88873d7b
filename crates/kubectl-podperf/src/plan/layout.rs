//! Which objects a run needs: servers, clients, Services and policies, by the paths that are
//! measured. Pure: the manifests are made of it, and later the addresses.

use std::collections::BTreeSet;

use crate::plan::path::{AddressKind, ClientRole, NetworkPath, ServerRole};
use crate::plan::settings::Settings;
use crate::plan::test_kind::TestKind;
use crate::plan::test_plan;

/// Port of control and data of a server in a pod.
pub(crate) const PORT: u16 = 5210;
/// Port of connections that do not last.
pub(crate) const DATA_PORT: u16 = 5211;
/// Port of a policed server that no policy lets anybody in by.
pub(crate) const DENIED_PORT: u16 = 5219;
/// Port of the coordinator.
pub(crate) const COORDINATOR_PORT: u16 = 5209;
/// Name of the probe that policies have to stop.
pub(crate) const DENIED_PATH: &str = "policies (a port that no policy admits)";

/// One server or client and the number of its pair, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Replica<R> {
    pub(crate) role: R,
    pub(crate) pair: u32,
}

/// The objects of a run: servers, clients, Services and policies.
#[derive(Debug, Clone)]
pub(crate) struct RunLayout {
    pub(crate) servers: Vec<Replica<ServerRole>>,
    pub(crate) clients: Vec<Replica<ClientRole>>,
    /// Servers that have a Service.
    pub(crate) services: Vec<Replica<ServerRole>>,
    pub(crate) node_ports: bool,
    pub(crate) data_port: bool,
    pub(crate) datagrams: bool,
    pub(crate) policies: u32,
    pub(crate) idle_policies: u32,
    pub(crate) background: u32,
}

impl RunLayout {
    pub(crate) fn new(settings: &Settings) -> Self {
        let paths = &settings.paths;
        let pairs = settings.measure.pairs;
        let background = settings.measure.services;
        let mut servers: BTreeSet<ServerRole> = paths.iter().map(|path| path.server()).collect();
        if background > 0 {
            // Background Services need an endpoint, or the node has nothing to translate.
            servers.insert(ServerRole::Pod);
        }
        let clients: BTreeSet<ClientRole> = paths.iter().map(|path| path.client()).collect();
        let behind_service: BTreeSet<ServerRole> = paths
            .iter()
            .filter(|path| path.address_kind() != AddressKind::Direct)
            .map(|path| path.server())
            .collect();
        let node_ports = paths.iter().any(|path| {
            matches!(path.address_kind(), AddressKind::NodePort | AddressKind::NodePortOther)
        });
        Self {
            servers: replicas(&servers, pairs),
            clients: replicas(&clients, pairs),
            services: replicas(&behind_service, pairs),
            node_ports,
            data_port: settings.tests.contains(&TestKind::TcpCrr),
            datagrams: settings
                .tests
                .iter()
                .any(|test| matches!(test, TestKind::UdpStream | TestKind::UdpRr)),
            policies: if paths.contains(&NetworkPath::Policies) { settings.policies } else { 0 },
            idle_policies: settings.measure.idle_policies,
            background,
        }
    }

    /// The agents of one row's steps: a client a pair.
    pub(crate) fn agents(&self, row: test_plan::TestRow) -> Vec<String> {
        let role = row.path.network_path.client();
        let replicas = self.clients.iter().filter(|replica| replica.role == role);
        replicas.map(|replica| replica.agent()).collect()
    }

    /// Whether some pod uses its node's own network.
    pub(crate) fn host_network(&self) -> bool {
        self.servers.iter().any(|replica| replica.role == ServerRole::Host)
            || self.clients.iter().any(|replica| replica.role == ClientRole::Host)
    }

    /// The servers that have pods of their own: that of a hairpin comes with its client.
    pub(crate) fn own_servers(&self) -> impl Iterator<Item = Replica<ServerRole>> {
        self.servers.iter().copied().filter(|replica| replica.role != ServerRole::Hairpin)
    }

    /// Pods that are made beside the coordinator's.
    pub(crate) fn pods(&self) -> usize {
        let own = self.clients.iter().filter(|replica| replica.role != ClientRole::Hairpin).count();
        self.servers.len() + own
    }
}

fn replicas<R: Copy>(roles: &BTreeSet<R>, pairs: u32) -> Vec<Replica<R>> {
    roles.iter().flat_map(|&role| (0..pairs).map(move |pair| Replica { role, pair })).collect()
}

impl Replica<ClientRole> {
    /// Name of the agent in schedules.
    pub(crate) fn agent(self) -> String {
        format!("{}-{}", self.role.role(), self.pair)
    }

    /// Name of its pod.
    pub(crate) fn pod(self, run_id: &str) -> String {
        format!("podperf-{run_id}-{}", self.agent())
    }
}

impl Replica<ServerRole> {
    /// Name of its pod, and of its Service.
    pub(crate) fn pod(self, run_id: &str) -> String {
        format!("podperf-{run_id}-{}-{}", self.role.role(), self.pair)
    }

    /// Port of control and data.
    pub(crate) fn port(self, settings: &Settings) -> u16 {
        if self.role == ServerRole::Host { self.host_port(settings) } else { PORT }
    }

    /// Port of connections that do not last.
    pub(crate) fn data_port(self, settings: &Settings) -> u16 {
        if self.role == ServerRole::Host { self.host_port(settings) + 1 } else { DATA_PORT }
    }

    /// Pairs on one node's network need ports of their own.
    fn host_port(self, settings: &Settings) -> u16 {
        let offset = u16::try_from(2 * self.pair).unwrap_or(0);
        settings.pods.host_port + offset
    }
}

#[cfg(test)]
mod tests;
