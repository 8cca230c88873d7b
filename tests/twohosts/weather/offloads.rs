//! An offload that is off, and whether it is told: by the packets and not by the setting.

use std::time::Duration;

use serde_json::Value;

use crate::support::namespaces::TwoHosts;
use crate::support::process::{Client, Server};
use crate::support::weather::offloads::{OffloadOff, ethtool};
use crate::support::{list, number, root, text};

/// For a run of a few seconds on a busy machine.
const RUN: Duration = Duration::from_secs(60);

/// A stream from host A to host B.
fn stream(hosts: &TwoHosts) -> Value {
    let server = Server::in_namespace(&hosts.place("hostB"), &[]);
    let target = format!("192.0.2.2:{}", server.port);
    let args = ["stream", &target, "-t", "1", "-J"];
    let outcome = Client::in_namespace(&hosts.place("hostA"), &args).wait(RUN);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    outcome.json
}

/// Text and remedy of the warning, if it is there.
fn told(json: &Value) -> Option<[&str; 2]> {
    let mut warnings = list(json, "/warnings").iter();
    let own = warnings.find(|warning| text(warning, "/code") == "offloads_off")?;
    Some(["/text", "/remedy"].map(|key| text(own, key)))
}

#[test]
fn a_veth_pair_as_it_comes_has_no_offload_to_warn_of() {
    if !root("a_veth_pair_as_it_comes_has_no_offload_to_warn_of") {
        return;
    }
    let hosts = TwoHosts::up("on");
    let json = stream(&hosts);
    assert_eq!(told(&json), None);
    for packets in
        ["/packets/client/mean_sent_packet_bytes", "/packets/server/mean_received_packet_bytes"]
    {
        assert!(number(&json, packets) > 3_000.0, "{:#}", json["packets"]);
    }
}

#[test]
fn a_sender_whose_device_makes_no_checksums_is_told() {
    let test = "a_sender_whose_device_makes_no_checksums_is_told";
    if !root(test) || !ethtool(test) {
        return;
    }
    let hosts = TwoHosts::up("off");
    let _off = OffloadOff::on(&hosts.place("hostA"), "wire", "tx");
    let json = stream(&hosts);
    let bytes = number(&json, "/packets/client/mean_sent_packet_bytes");
    assert!(bytes < 2_000.0, "{bytes}");
    let Some([text, remedy]) = told(&json) else { panic!("{:#}", json["warnings"]) };
    for part in [
        "client: wire (veth) sent packets of ",
        "checksums of sent packets (tx)",
        "TCP segmentation",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(remedy.starts_with("ethtool -K wire tx on "), "{remedy}");
}
