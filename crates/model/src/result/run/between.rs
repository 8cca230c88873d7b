//! What stands between the ends, and which packets get through: those parts of the result.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What both ends see of the control connection, and what stands between them by that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Between {
    /// What it is.
    pub kind: Intermediary,
    /// The client's own address and port.
    pub client_address: String,
    /// The address and port that the client connected to.
    pub dialed_address: String,
    /// The server's own address and port.
    pub server_address: String,
    /// The address and port from which the client came, as the server sees it.
    pub seen_client_address: String,
}

/// What changes addresses between two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Intermediary {
    /// Nothing that shows: both ends see the same addresses, of one TCP connection.
    Direct,
    /// Addresses are translated on one TCP connection: a Service, a load balancer, a gateway that
    /// masquerades.
    Nat,
    /// Something ends the client's TCP connection and opens another to the server.
    Proxy,
    /// Addresses are changed, and nothing tells by which of both.
    NatOrProxy,
}

/// The control connection as both ends see it.
#[derive(Debug, Clone, Copy)]
pub struct SeenAddresses {
    /// The client's own.
    pub client: SocketAddr,
    /// What it connected to.
    pub dialed: SocketAddr,
    /// The server's own.
    pub server: SocketAddr,
    /// The server's peer.
    pub seen_client: SocketAddr,
}

impl Between {
    /// Judges by the addresses; `one_connection`: the SYN that the server got was the client's own
    /// (absent: not known).
    #[must_use]
    pub fn of(seen: SeenAddresses, one_connection: Option<bool>) -> Self {
        let SeenAddresses { client, dialed, server, seen_client } = seen;
        let same = |a: SocketAddr, b: SocketAddr| plain(a) == plain(b);
        let (source, destination) = (same(client, seen_client), same(dialed, server));
        let kind = match one_connection {
            Some(false) => Intermediary::Proxy,
            _ if source && destination => Intermediary::Direct,
            Some(true) => Intermediary::Nat,
            // A proxy would have come from an address and a port of its own.
            None if source => Intermediary::Nat,
            None => Intermediary::NatOrProxy,
        };
        Self {
            kind,
            client_address: plain(client),
            dialed_address: plain(dialed),
            server_address: plain(server),
            seen_client_address: plain(seen_client),
        }
    }

    /// The client did not connect to an address of the server itself, so that several may stand
    /// behind the one that it named.
    #[must_use]
    pub fn is_redirected(&self) -> bool {
        self.dialed_address != self.server_address
    }

    /// What was changed, in words; absent: nothing shows.
    #[must_use]
    pub fn changes(&self) -> Option<String> {
        let what = match self.kind {
            Intermediary::Direct => return None,
            Intermediary::Nat => "address translation",
            Intermediary::Proxy => "a proxy",
            Intermediary::NatOrProxy => "address translation or a proxy",
        };
        let Self { client_address, dialed_address, server_address, seen_client_address, .. } = self;
        let destination =
            self.is_redirected().then(|| format!("{dialed_address} is {server_address} there"));
        let source = (client_address != seen_client_address)
            .then(|| format!("the client {client_address} is seen as {seen_client_address}"));
        let changes: Vec<String> = destination.into_iter().chain(source).collect();
        Some(if changes.is_empty() {
            format!("{what} that keeps both addresses")
        } else {
            format!("{what}: {}", changes.join("; "))
        })
    }
}

/// An address without what it means on one host alone: its scope, and that an IPv4 one is mapped.
fn plain(address: SocketAddr) -> String {
    SocketAddr::new(address.ip().to_canonical(), address.port()).to_string()
}

/// Sizes of packets that a probe tried between the ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PathMtu {
    /// From client to server.
    pub up: Option<PacketSizes>,
    /// From server to client; null: the other end answers no probe.
    pub down: Option<PacketSizes>,
}

/// Sizes of packets one way, IP and TCP headers included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PacketSizes {
    /// Largest packet that got through, in bytes.
    pub passed_bytes: u32,
    /// Smallest that did not, in bytes; null: all sizes got through.
    pub lost_bytes: Option<u32>,
    /// Packet of a full segment of the connection, in bytes.
    pub full_bytes: u32,
}

/// IP header without options and TCP header: what TCP_MAXSEG leaves out of a packet.
const HEADER_BYTES: [u32; 2] = [40, 60];

impl PathMtu {
    /// Says which packets are lost for their size; absent: none.
    #[must_use]
    pub fn finding(&self) -> Option<String> {
        let ways = [("to the server", self.up), ("from the server", self.down)];
        let lost = ways.into_iter().filter_map(|(way, sizes)| {
            let PacketSizes { passed_bytes, lost_bytes, full_bytes } = sizes?;
            Some(format!(
                "{way} packets of {passed_bytes} bytes pass and those of {} bytes do not (a full \
                 segment makes {full_bytes} bytes)",
                lost_bytes?
            ))
        });
        let lost: Vec<String> = lost.collect();
        (!lost.is_empty())
            .then(|| format!("path MTU: {}, and no router tells the sender so", lost.join(" and ")))
    }

    /// What helps: `ipv6`, the packets are.
    #[must_use]
    pub fn remedy(&self, ipv6: bool) -> String {
        let lossy = |sizes: &PacketSizes| sizes.lost_bytes.is_some();
        let ways = [self.up, self.down].into_iter().flatten().filter(lossy);
        let passed_bytes = ways.map(|sizes| sizes.passed_bytes).min().unwrap_or_default();
        let mss_bytes = passed_bytes.saturating_sub(HEADER_BYTES[usize::from(ipv6)]);
        format!(
            "set the MTU of both ends' interfaces to {passed_bytes} or raise that on the way, and \
             let ICMP \"fragmentation needed\" through; -M {mss_bytes} measures what passes"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "10.0.0.1:40000";
    const SERVER: &str = "10.0.0.2:5210";
    const SERVICE: &str = "10.96.0.1:5210";
    const GATEWAY: &str = "192.0.2.1:40000";

    fn between(addresses: [&str; 4], one_connection: Option<bool>) -> Between {
        let [client, dialed, server, seen_client] =
            addresses.map(|address| address.parse().unwrap());
        Between::of(SeenAddresses { client, dialed, server, seen_client }, one_connection)
    }

    #[test]
    fn what_stands_between_is_told_by_addresses_and_by_the_connection() {
        use Intermediary::{Direct, Nat, NatOrProxy, Proxy};
        let mapped = "[::ffff:10.0.0.2]:5210";
        for (dialed, server, seen, one_connection, kind) in [
            (SERVER, SERVER, CLIENT, Some(true), Direct),
            (SERVER, mapped, CLIENT, None, Direct),
            (SERVER, SERVER, CLIENT, Some(false), Proxy),
            (SERVICE, SERVER, CLIENT, Some(true), Nat),
            (SERVICE, SERVER, CLIENT, None, Nat),
            (SERVER, SERVER, GATEWAY, Some(true), Nat),
            (SERVER, SERVER, GATEWAY, None, NatOrProxy),
            (SERVICE, SERVER, GATEWAY, Some(false), Proxy),
        ] {
            let found = between([CLIENT, dialed, server, seen], one_connection);
            assert_eq!(found.kind, kind, "{found:?}");
            assert_eq!(found.changes().is_none(), kind == Direct);
            assert_eq!(found.is_redirected(), dialed == SERVICE);
        }
    }

    #[test]
    fn what_was_changed_is_named() {
        let found = between([CLIENT, SERVICE, SERVER, GATEWAY], Some(true));
        assert_eq!(
            found.changes().unwrap(),
            "address translation: 10.96.0.1:5210 is 10.0.0.2:5210 there; the client \
             10.0.0.1:40000 is seen as 192.0.2.1:40000"
        );
        let found = between([CLIENT, SERVER, SERVER, CLIENT], Some(false));
        assert_eq!(found.changes().unwrap(), "a proxy that keeps both addresses");
    }

    #[test]
    fn sizes_are_named_each_way_and_what_passes_can_be_measured() {
        let sizes = |passed_bytes, lost_bytes| {
            Some(PacketSizes { passed_bytes, lost_bytes, full_bytes: 1500 })
        };
        let whole = PathMtu { up: sizes(1500, None), down: None };
        assert_eq!(whole.finding(), None);
        let narrow = PathMtu { up: sizes(1300, Some(1301)), down: sizes(1500, None) };
        assert_eq!(
            narrow.finding().unwrap(),
            "path MTU: to the server packets of 1300 bytes pass and those of 1301 bytes do not \
             (a full segment makes 1500 bytes), and no router tells the sender so"
        );
        assert!(narrow.remedy(false).contains("-M 1260 "), "{}", narrow.remedy(false));
        assert!(narrow.remedy(true).contains("-M 1240 "), "{}", narrow.remedy(true));
        let both = PathMtu { up: sizes(1300, Some(1301)), down: sizes(1280, Some(1281)) };
        assert!(both.finding().unwrap().contains(" and from the server packets of 1280 bytes"));
        assert!(both.remedy(false).contains("interfaces to 1280"), "{}", both.remedy(false));
    }
}
