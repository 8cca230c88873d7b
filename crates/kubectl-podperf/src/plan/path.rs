//! The paths that can be measured: whose client, whose server, by which address.

use clap::ValueEnum;

/// A path through the cluster's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
#[value(rename_all = "kebab-case")]
pub(crate) enum NetworkPath {
    /// Node to node on the nodes' own network: the baseline
    Host,
    /// Pod to pod on another node
    Pod,
    /// Pod to pod on the same node
    SameNode,
    /// Pod to a ClusterIP with its endpoint on another node
    #[value(name = "clusterip")]
    ClusterIp,
    /// Pod to a NodePort of the server's node
    #[value(name = "nodeport")]
    NodePort,
    /// Pod to a NodePort of another node than the server's
    #[value(name = "nodeport-other")]
    NodePortOther,
    /// Pod to the other node's own network
    PodHost,
    /// Node to a pod on another node
    HostPod,
    /// Pod to itself by its own Service
    Hairpin,
    /// Pod to a pod on another node that NetworkPolicies select (--policies)
    Policies,
    /// Pod to a given address (--via): ingress, Gateway, load balancer
    Via,
}

/// The role of a client: where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ClientRole {
    /// In a pod on the clients' node.
    Pod,
    /// On the network of the clients' node.
    Host,
    /// In the pod of its own server.
    Hairpin,
}

/// The role of a server: where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ServerRole {
    /// In a pod on the servers' node.
    Pod,
    /// On the network of the servers' node.
    Host,
    /// In a pod on the clients' node.
    Near,
    /// In a pod on the servers' node that policies select.
    Policed,
    /// In a pod on the clients' node that has a client as well.
    Hairpin,
}

/// The kind of address by which a client reaches its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressKind {
    /// The address of the server itself.
    Direct,
    /// The cluster IP of its Service.
    ClusterIp,
    /// A port of the server's node.
    NodePort,
    /// The same port of another node.
    NodePortOther,
    /// An address that the user gave.
    Given,
}

impl NetworkPath {
    /// Name on the command line and in documents.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(crate) const fn client(self) -> ClientRole {
        match self {
            Self::Host | Self::HostPod => ClientRole::Host,
            Self::Hairpin => ClientRole::Hairpin,
            _ => ClientRole::Pod,
        }
    }

    pub(crate) const fn server(self) -> ServerRole {
        match self {
            Self::Host | Self::PodHost => ServerRole::Host,
            Self::SameNode => ServerRole::Near,
            Self::Hairpin => ServerRole::Hairpin,
            Self::Policies => ServerRole::Policed,
            Self::Pod
            | Self::ClusterIp
            | Self::NodePort
            | Self::NodePortOther
            | Self::HostPod
            | Self::Via => ServerRole::Pod,
        }
    }

    pub(crate) const fn address_kind(self) -> AddressKind {
        match self {
            Self::ClusterIp | Self::Hairpin => AddressKind::ClusterIp,
            Self::NodePort => AddressKind::NodePort,
            Self::NodePortOther => AddressKind::NodePortOther,
            Self::Via => AddressKind::Given,
            _ => AddressKind::Direct,
        }
    }
}

impl ClientRole {
    pub(crate) const fn role(self) -> &'static str {
        match self {
            Self::Pod => "client",
            Self::Host => "client-host",
            Self::Hairpin => "hairpin",
        }
    }
}

impl ServerRole {
    pub(crate) const fn role(self) -> &'static str {
        match self {
            Self::Pod => "server",
            Self::Host => "server-host",
            Self::Near => "server-near",
            Self::Policed => "server-policed",
            Self::Hairpin => "hairpin",
        }
    }

    /// It runs on the clients' node.
    pub(crate) const fn on_client_node(self) -> bool {
        matches!(self, Self::Near | Self::Hairpin)
    }
}
