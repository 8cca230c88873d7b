//! Which objects the paths need.

use super::*;
use crate::testing::{EVERY_PATH, laid_out};

fn roles(line: &str) -> (String, String, String) {
    let (_, layout) = laid_out(line);
    let servers = |replicas: &[Replica<ServerRole>]| {
        let names: Vec<String> = replicas
            .iter()
            .map(|replica| format!("{}-{}", replica.role.role(), replica.pair))
            .collect();
        names.join(" ")
    };
    let clients: Vec<String> = layout.clients.iter().map(|replica| replica.agent()).collect();
    (clients.join(" "), servers(&layout.servers), servers(&layout.services))
}

#[test]
fn each_path_brings_its_client_its_server_and_its_service() {
    for (line, clients, servers, services) in [
        ("--scenarios host", "client-host-0", "server-host-0", ""),
        ("--scenarios pod", "client-0", "server-0", ""),
        ("--scenarios same-node", "client-0", "server-near-0", ""),
        ("--scenarios clusterip", "client-0", "server-0", "server-0"),
        ("--scenarios nodeport", "client-0", "server-0", "server-0"),
        ("--scenarios nodeport-other", "client-0", "server-0", "server-0"),
        ("--scenarios pod-host", "client-0", "server-host-0", ""),
        ("--scenarios host-pod", "client-host-0", "server-0", ""),
        ("--scenarios hairpin", "hairpin-0", "hairpin-0", "hairpin-0"),
        ("--scenarios policies", "client-0", "server-policed-0", ""),
        ("--scenarios via --via a.example:1", "client-0", "server-0", "server-0"),
        (
            "--scenarios pod --pairs 3",
            "client-0 client-1 client-2",
            "server-0 server-1 server-2",
            "",
        ),
        ("--scenarios host --services 2", "client-host-0", "server-host-0 server-0", ""),
    ] {
        let (found, mut found_servers, found_services) = roles(line);
        let mut wanted: Vec<&str> = servers.split(' ').collect();
        let mut sorted: Vec<&str> = found_servers.split(' ').collect();
        wanted.sort_unstable();
        sorted.sort_unstable();
        found_servers = sorted.join(" ");
        assert_eq!((&*found, &*found_services), (clients, services), "{line}");
        assert_eq!(found_servers, wanted.join(" "), "{line}");
    }
}

#[test]
fn ports_and_pods_follow_from_tests_and_paths() {
    let (_, plain) = laid_out("--scenarios pod,clusterip");
    assert_eq!((plain.node_ports, plain.data_port, plain.datagrams), (false, false, false));
    assert!(!plain.host_network());
    assert_eq!(plain.pods(), 2);
    let (_, full) = laid_out(&format!("{EVERY_PATH} --tests tcp_crr,udp_rr --pairs 2"));
    assert_eq!((full.node_ports, full.data_port, full.datagrams), (true, true, true));
    assert!(full.host_network());
    // Five servers and two clients that are not servers too, each twice.
    assert_eq!(full.pods(), 14);
    let (_, datagrams) = laid_out("--tests udp_stream -P 1");
    assert!(datagrams.datagrams && !datagrams.data_port);
    for (line, host) in [("host-pod", true), ("pod-host", true), ("hairpin,policies", false)] {
        assert_eq!(laid_out(&format!("--scenarios {line}")).1.host_network(), host, "{line}");
    }
}

#[test]
fn agents_of_a_step_are_the_clients_of_its_path() {
    let (settings, layout) = laid_out("--scenarios host,pod,hairpin --pairs 2 -P 1");
    for row in test_plan::rows(&settings) {
        let wanted = match row.path.network_path {
            NetworkPath::Host => ["client-host-0", "client-host-1"],
            NetworkPath::Hairpin => ["hairpin-0", "hairpin-1"],
            _ => ["client-0", "client-1"],
        };
        assert_eq!(layout.agents(row), wanted, "{}", row.id());
    }
}

#[test]
fn pairs_on_one_nodes_network_have_ports_of_their_own() {
    let (settings, layout) = laid_out("--scenarios host,pod --pairs 32 --host-port 60000");
    let mut taken = BTreeSet::new();
    for replica in layout.servers.iter().filter(|replica| replica.role == ServerRole::Host) {
        assert!(taken.insert(replica.port(&settings)), "{}", replica.port(&settings));
        assert!(taken.insert(replica.data_port(&settings)), "{}", replica.data_port(&settings));
    }
    assert_eq!((taken.len(), taken.first(), taken.last()), (64, Some(&60_000), Some(&60_063)));
    let pod = Replica { role: ServerRole::Pod, pair: 31 };
    assert_eq!((pod.port(&settings), pod.data_port(&settings)), (PORT, DATA_PORT));
}

#[test]
fn policies_are_there_with_their_path_alone() {
    assert_eq!(laid_out("--preset policies").1.policies, 100);
    assert_eq!(laid_out("--preset policies --scenarios pod").1.policies, 0);
    let (_, idle) = laid_out("--scenarios pod --idle-policies 4 --services 5");
    assert_eq!((idle.policies, idle.idle_policies, idle.background), (0, 4, 5));
}
