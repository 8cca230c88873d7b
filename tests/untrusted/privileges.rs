//! Clients of a server that runs as root: they get nothing of what root may and they may not.

use podperf_netperf::wire::ask::OmniRequest;
use serde_json::json;

use crate::support::netserver::{Netserver, stream};
use crate::support::process::{Server, podperf_json};
use crate::support::root;
use crate::support::wire::{WireClient, plan};

fn loaded() -> Vec<String> {
    let path = "/proc/sys/net/ipv4/tcp_available_congestion_control";
    let names = std::fs::read_to_string(path).expect("it is Linux");
    names.split_whitespace().map(str::to_owned).collect()
}

/// One that the kernel would have to load.
fn not_loaded() -> &'static str {
    let loaded = loaded();
    let mut names = ["lp", "vegas", "westwood", "nosuch"].into_iter();
    names.find(|name| !loaded.iter().any(|other| other == name)).expect("there is no 'nosuch'")
}

#[test]
fn netserver_as_root_grants_what_anybody_may_have() {
    if !root("netserver_as_root_grants_what_anybody_may_have") {
        return;
    }
    let server = Netserver::start(&[]);
    for (asked, granted) in [(6, Some(6)), (7, None), (4_000_000, None)] {
        let mut client = server.client();
        let request = OmniRequest { priority: Some(asked), ..stream(4) };
        let (response, data) = client.begin(&request);
        assert_eq!(response.priority.filter(|&priority| priority > 0), granted, "{asked}");
        client.finish(data);
    }
    server.wait_for_log("the priority 7 is ignored");
    let mut client = server.client();
    let name = not_loaded();
    let request = OmniRequest { congestion_control: name.to_owned(), ..stream(4) };
    let (_, data) = client.begin(&request);
    let results = client.finish(data);
    assert_ne!(results.congestion_control, name);
    server.wait_for_log(&format!("'{name}' is ignored; allowed: those that the kernel has loaded"));
    server.assert_serves();
}

#[test]
fn a_server_has_no_congestion_control_loaded_for_a_client() {
    let server = Server::start(&[]);
    let name = not_loaded();
    let mut asked = plan();
    asked["socket"]["congestion_control"] = json!(name);
    let mut client = WireClient::welcome(server.port);
    client.send(&json!({"prepare": {"plan": asked}}));
    let refused = client.receive().to_string();
    for part in ["refused", name, "--congestion", "kernel has loaded", &loaded()[0]] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    drop(client);
    let is_root = root("a_server_has_no_congestion_control_loaded_for_a_client");
    for name in loaded().iter().filter(|_| is_root) {
        let run = podperf_json(&["stream", &server.target(), "-t", "0.2", "-C", name]);
        assert_eq!(run.status, 0, "{name}: {run:#?}");
    }
}
