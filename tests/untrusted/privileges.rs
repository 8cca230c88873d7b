//! Clients of a server that runs as root: they get nothing of what root may and they may not.

use podperf_netperf::wire::ask::OmniRequest;

use crate::support::netserver::{Netserver, stream};
use crate::support::process::{Server, podperf_json};
use crate::support::root;

/// A congestion control that this kernel has and only a privileged process may choose, if any.
fn reserved() -> Option<String> {
    let read = |name: &str| {
        let path = format!("/proc/sys/net/ipv4/tcp_{name}_congestion_control");
        std::fs::read_to_string(path).unwrap_or_default()
    };
    let (available, allowed) = (read("available"), read("allowed"));
    let is_allowed = |name: &&str| allowed.split_whitespace().any(|other| other == *name);
    available.split_whitespace().find(|name| !is_allowed(name)).map(str::to_owned)
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
    let name = reserved().unwrap_or_else(|| "lp".to_owned());
    let request = OmniRequest { congestion_control: name.clone(), ..stream(4) };
    let (_, data) = client.begin(&request);
    let results = client.finish(data);
    assert_ne!(results.congestion_control, name);
    server.wait_for_log("is ignored: not in net.ipv4.tcp_allowed_congestion_control");
    server.assert_serves();
}

#[test]
fn a_server_as_root_takes_the_congestion_controls_that_anybody_may_choose() {
    let test = "a_server_as_root_takes_the_congestion_controls_that_anybody_may_choose";
    if !root(test) {
        return;
    }
    let server = Server::start(&[]);
    let run = |name: &str| podperf_json(&["stream", &server.target(), "-t", "0.2", "-C", name]);
    if let Some(name) = reserved() {
        run(&name).assert_failed(3, &["--congestion", "tcp_allowed_congestion_control"]);
    } else {
        eprintln!("{test}: skipped in part: this kernel reserves no congestion control");
    }
    let allowed = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_allowed_congestion_control");
    let allowed = allowed.expect("it is Linux");
    assert_eq!(run(allowed.split_whitespace().next().expect("one")).status, 0);
}
