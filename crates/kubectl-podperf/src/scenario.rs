//! The paths that can be measured: whose client, whose server, by which address.

use clap::ValueEnum;

/// A path through the cluster's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
#[value(rename_all = "kebab-case")]
pub(super) enum Scenario {
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

/// What a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Client {
    /// In a pod on the clients' node.
    Pod,
    /// On the network of the clients' node.
    Host,
    /// In the pod of its own server.
    Hairpin,
}

/// What a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Server {
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

/// By which address a client reaches its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The server's own.
    Direct,
    /// Its Service's.
    ClusterIp,
    /// A port of the server's node.
    NodePort,
    /// The same port of another node.
    NodePortOther,
    /// One that the user gave.
    Given,
}

impl Scenario {
    /// Its name, as typed.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(super) const fn client(self) -> Client {
        match self {
            Self::Host | Self::HostPod => Client::Host,
            Self::Hairpin => Client::Hairpin,
            _ => Client::Pod,
        }
    }

    pub(super) const fn server(self) -> Server {
        match self {
            Self::Host | Self::PodHost => Server::Host,
            Self::SameNode => Server::Near,
            Self::Hairpin => Server::Hairpin,
            Self::Policies => Server::Policed,
            Self::Pod
            | Self::ClusterIp
            | Self::NodePort
            | Self::NodePortOther
            | Self::HostPod
            | Self::Via => Server::Pod,
        }
    }

    pub(super) const fn way(self) -> Way {
        match self {
            Self::ClusterIp | Self::Hairpin => Way::ClusterIp,
            Self::NodePort => Way::NodePort,
            Self::NodePortOther => Way::NodePortOther,
            Self::Via => Way::Given,
            _ => Way::Direct,
        }
    }
}

impl Client {
    pub(super) const fn role(self) -> &'static str {
        match self {
            Self::Pod => "client",
            Self::Host => "client-host",
            Self::Hairpin => "hairpin",
        }
    }
}

impl Server {
    pub(super) const fn role(self) -> &'static str {
        match self {
            Self::Pod => "server",
            Self::Host => "server-host",
            Self::Near => "server-near",
            Self::Policed => "server-policed",
            Self::Hairpin => "hairpin",
        }
    }

    /// It runs on the clients' node.
    pub(super) const fn on_client_node(self) -> bool {
        matches!(self, Self::Near | Self::Hairpin)
    }
}
