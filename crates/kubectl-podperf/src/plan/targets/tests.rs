//! Where each path leads, and what is said where it leads nowhere.

use super::*;
use crate::testing::{EVERY_PATH, laid_out, strings};

/// A cluster in which everything has the given addresses; `{}` is the number of the pair.
fn addresses(
    layout: &RunLayout,
    pods: &[&str],
    hosts: &[&str],
    services: &[&str],
) -> KnownAddresses {
    let mut known = KnownAddresses {
        other_node: strings(&["192.0.2.3", "2001:db8::3"]),
        ..KnownAddresses::default()
    };
    let of = |addresses: &[&str], pair: u32| -> Vec<String> {
        addresses.iter().map(|text| text.replace("{}", &pair.to_string())).collect()
    };
    for replica in &layout.servers {
        let pod = PodAddresses {
            addresses: if replica.role == ServerRole::Host {
                of(hosts, 0)
            } else {
                of(pods, replica.pair)
            },
            host_addresses: of(hosts, 0),
        };
        known.pods.insert(replica.pod("r1"), pod);
    }
    for replica in &layout.services {
        for (family, six) in
            [(None, false), (Some(AddressFamily::V4), false), (Some(AddressFamily::V6), true)]
        {
            let addresses = of(services, replica.pair);
            let own =
                addresses.into_iter().filter(|it| family.is_none() || it.contains(':') == six);
            let port = 30_000 + u16::try_from(replica.pair).unwrap();
            let service = ServiceAddresses { addresses: own.collect(), node_port: Some(port) };
            known.services.insert(service_name("r1", *replica, family), service);
        }
    }
    known
}

fn dual(layout: &RunLayout) -> KnownAddresses {
    let pods = ["10.1.0.{}", "fd00:1::{}"];
    addresses(layout, &pods, &["192.0.2.2", "2001:db8::2"], &["10.96.0.{}", "fd00:96::{}"])
}

/// The address of each path that a client of any role measures, and what is missing.
fn targets(line: &str, pair: u32) -> (BTreeMap<String, String>, Vec<MissingPath>) {
    let (settings, layout) = laid_out(line);
    let known = dual(&layout);
    let (mut found, mut missing) = (BTreeMap::new(), Vec::new());
    for replica in layout.clients.iter().filter(|replica| replica.pair == pair) {
        let (config, without) = agent_config(&settings, &layout, &known, *replica);
        found.extend(config.probes.into_iter().map(|probe| (probe.path, probe.address)));
        missing.extend(without);
    }
    (found, missing)
}

#[test]
fn each_path_leads_to_its_servers_address() {
    for (pair, wanted) in [
        (
            0,
            [
                ("host", "192.0.2.2:5210"),
                ("pod", "10.1.0.0:5210"),
                ("same-node", "10.1.0.0:5210"),
                ("clusterip", "10.96.0.0:5210"),
                ("nodeport", "192.0.2.2:30000"),
                ("nodeport-other", "192.0.2.3:30000"),
                ("pod-host", "192.0.2.2:5210"),
                ("host-pod", "10.1.0.0:5210"),
                ("hairpin", "10.96.0.0:5210"),
                ("policies", "10.1.0.0:5210"),
                (DENIED_PATH, "10.1.0.0:5219"),
                ("via", "203.0.113.9:443"),
            ],
        ),
        (
            1,
            [
                ("host", "192.0.2.2:5212"),
                ("pod", "10.1.0.1:5210"),
                ("same-node", "10.1.0.1:5210"),
                ("clusterip", "10.96.0.1:5210"),
                ("nodeport", "192.0.2.2:30001"),
                ("nodeport-other", "192.0.2.3:30001"),
                ("pod-host", "192.0.2.2:5212"),
                ("host-pod", "10.1.0.1:5210"),
                ("hairpin", "10.96.0.1:5210"),
                ("policies", "10.1.0.1:5210"),
                (DENIED_PATH, "10.1.0.1:5219"),
                ("via", "203.0.113.9:443"),
            ],
        ),
    ] {
        let (found, missing) = targets(&format!("{EVERY_PATH} --pairs 2 -P 1"), pair);
        let wanted: BTreeMap<String, String> =
            wanted.map(|(path, at)| (path.to_owned(), at.to_owned())).into();
        assert_eq!((found, missing), (wanted, Vec::new()));
    }
}

#[test]
fn the_other_family_gets_brackets_and_paths_of_its_own() {
    let line = "--scenarios host,pod,clusterip,nodeport,nodeport-other,policies";
    let (six, missing) = targets(&format!("{line} --ip-family 6 -P 1"), 0);
    for (path, address) in [
        ("host-v6", "[2001:db8::2]:5210"),
        ("pod-v6", "[fd00:1::0]:5210"),
        ("clusterip-v6", "[fd00:96::0]:5210"),
        ("nodeport-v6", "[2001:db8::2]:30000"),
        ("nodeport-other-v6", "[2001:db8::3]:30000"),
        ("policies-v6", "[fd00:1::0]:5210"),
        (DENIED_PATH, "[fd00:1::0]:5219"),
    ] {
        assert_eq!(six.get(path).map(String::as_str), Some(address), "{path}");
    }
    assert_eq!((six.len(), missing.len()), (7, 0));
    let (both, _) = targets("--scenarios pod --ip-family both", 0);
    assert_eq!(both.values().collect::<Vec<_>>(), ["10.1.0.0:5210", "[fd00:1::0]:5210"]);
}

#[test]
fn a_path_without_an_address_is_left_out_and_says_why() {
    let line = "--scenarios host,pod,clusterip,nodeport,nodeport-other --ip-family 6 -P 1";
    let (settings, layout) = laid_out(line);
    let mut four = addresses(&layout, &["10.1.0.{}"], &["192.0.2.2"], &["10.96.0.{}"]);
    four.other_node = strings(&["192.0.2.3"]);
    let mut missing = Vec::new();
    for replica in &layout.clients {
        let (config, without) = agent_config(&settings, &layout, &four, *replica);
        assert!(config.probes.is_empty() && config.tests.is_empty());
        missing.extend(without);
    }
    let why: BTreeMap<String, String> = missing.into_iter().collect();
    for (path, reason) in [
        ("host-v6", "the server's node has no IPv6 address (it has 192.0.2.2)"),
        ("pod-v6", "podperf-r1-server-0 has no IPv6 address (it has 10.1.0.0)"),
        ("clusterip-v6", "podperf-r1-server-0-v6 has no IPv6 address (it has none)"),
        ("nodeport-v6", "the server's node has no IPv6 address (it has 192.0.2.2)"),
        ("nodeport-other-v6", "the other node has no IPv6 address (it has 192.0.2.3)"),
    ] {
        assert_eq!(why.get(path).map(String::as_str), Some(reason), "{path}");
    }
    assert_eq!(why.len(), 5);
}

#[test]
fn what_is_not_there_is_named() {
    let (settings, layout) = laid_out("--scenarios pod,nodeport,nodeport-other -P 1");
    let reasons = |known: &KnownAddresses| -> Vec<String> {
        let (_, missing) = agent_config(&settings, &layout, known, layout.clients[0]);
        missing.into_iter().map(|(_, why)| why).collect()
    };
    let nothing = reasons(&KnownAddresses::default());
    assert_eq!(nothing[0], "there is no pod podperf-r1-server-0");
    assert_eq!(nothing[2], "there is no Service podperf-r1-server-0");
    let mut known = dual(&layout);
    known.services.values_mut().for_each(|service| service.node_port = None);
    known.other_node.clear();
    assert_eq!(reasons(&known)[0], "the Service has no node port");
    let mut known = dual(&layout);
    known.other_node.clear();
    assert_eq!(reasons(&known), ["the other node has no address (it has none)"]);
}

#[test]
fn probes_come_before_the_tests_that_depend_on_them() {
    let (settings, layout) = laid_out("--scenarios pod,policies --tests tcp_rr --rr-flows 1,2");
    let (config, _) = agent_config(&settings, &layout, &dual(&layout), layout.clients[0]);
    let probes: Vec<_> =
        config.probes.iter().map(|probe| (&*probe.path, probe.expect, probe.tests.len())).collect();
    let wanted = [
        ("pod", Expect::Answer, 2),
        ("policies", Expect::Answer, 2),
        // Whether it is denied decides nothing but what the path is worth.
        (DENIED_PATH, Expect::NoAnswer, 0),
    ];
    assert_eq!(probes, wanted);
    let named: Vec<&String> = config.probes.iter().flat_map(|probe| &probe.tests).collect();
    assert!(named.iter().all(|test| config.tests.contains_key(*test)), "{named:?}");
    assert_eq!(config.tests.len(), 4);
    assert_eq!(config.tests["tcp_rr.2@pod"][..2], strings(&["rr", "10.1.0.0:5210"]));
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(AgentConfig::read(&json).unwrap(), config);
}

#[test]
fn a_probe_has_half_the_time_that_pods_have_within_bounds() {
    for (line, seconds) in [("1s", 5), ("60s", 30), ("120s", 60), ("1h", 60)] {
        let (settings, layout) = laid_out(&format!("--ready-timeout {line}"));
        let (config, _) = agent_config(&settings, &layout, &dual(&layout), layout.clients[0]);
        assert_eq!(config.probe_seconds, seconds, "{line}");
    }
}
