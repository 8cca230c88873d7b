//! netperf to an address that is one only on its link (`fe80::…%zone`): control and data go to it.

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::namespaces::{LinkedHosts, within};
use crate::support::netserver::Netserver;
use crate::support::process::program;
use crate::support::root;

/// podperf in a network namespace, found by one of netperf's names.
fn called(name: &str, names: &TempDir, place: &str) -> Command {
    let path = names.path().join(name);
    if !path.exists() {
        symlink(std::path::absolute(program()).expect("a path"), &path).expect("a link");
    }
    within(Some(place), path.to_str().expect("a path in UTF-8"))
}

#[test]
fn every_test_runs_to_an_address_on_a_link() {
    if !root("every_test_runs_to_an_address_on_a_link") {
        return;
    }
    let (hosts, names) = (LinkedHosts::up("l"), TempDir::new().expect("a directory"));
    let [here, there] = hosts.places();
    // On all its addresses, and on the one alone.
    for address in ["::", "fe80::2%wire"] {
        let mut netserver = called("netserver", &names, there);
        netserver.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let server = Netserver::launch(netserver, &["-L", address]);
        let port = server.port.to_string();
        for words in [
            "-t TCP_STREAM -l -100000",
            "-t TCP_STREAM -l -100000 --streams 3",
            "-t TCP_STREAM -l -100000 --native off",
            "-t TCP_MAERTS -l -100000 --native off",
            "-t TCP_RR -l -20 -L fe80::1%wire",
            "-t TCP_RR -l -20 -L fe80::1 --native off",
            "-t TCP_CRR -l -20",
            "-t TCP_CRR -l -20 -L fe80::1",
            "-t UDP_STREAM -l -100000",
            "-t UDP_RR -l -20",
            "-t UDP_RR -l -20 -L fe80::1%wire",
            "-t TCP_RR -l -20 -- -H fe80::2%wire",
            "-t UDP_RR -l -20 -- -H fe80::2",
        ] {
            let mut netperf = called("netperf", &names, here);
            netperf.args(["-H", "fe80::2%wire", "-p", &port]).args(words.split(' '));
            let run = netperf.output().expect("netperf starts");
            assert!(run.status.success() && run.stderr.is_empty(), "{words}: {run:?}");
        }
        server.assert_no_panic();
    }
}
