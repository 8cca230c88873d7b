//! The tests: which workload of the engine a row runs.

use clap::ValueEnum;

use crate::plan::path::AddressKind;

/// The kind of a test: what is measured on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum TestKind {
    /// Throughput of bulk transfers
    TcpStream,
    /// Latency of requests and responses
    TcpRr,
    /// Latency of requests and responses with a connection each
    TcpCrr,
    /// Loss and jitter of datagrams at a rate (--udp-rate)
    UdpStream,
    /// Latency of datagrams
    UdpRr,
}

impl TestKind {
    /// Name on the command line and in documents.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(super) const fn transacts(self) -> bool {
        matches!(self, Self::TcpRr | Self::TcpCrr | Self::UdpRr)
    }

    /// Whether the test works by this kind of address. Short-lived connections and datagrams use
    /// the port number that the server has, which a NodePort or a given address does not.
    pub(super) const fn can_use(self, address_kind: AddressKind) -> bool {
        match self {
            Self::TcpStream | Self::TcpRr => true,
            Self::TcpCrr | Self::UdpStream | Self::UdpRr => {
                matches!(address_kind, AddressKind::Direct | AddressKind::ClusterIp)
            }
        }
    }
}
