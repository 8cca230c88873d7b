//! A server at the limit of its threads: whoever finds no place is told why, nothing ends, and when
//! others have left it serves again.

use std::time::Duration;

use podperf_netperf::wire::WireMessage;
use podperf_netperf::wire::native::ClientMessage;

use crate::support::netserver::{Netserver, netserver, transactions};
use crate::support::process::{Server, podperf_json, program};
use crate::support::sandbox::TaskCgroup;
use crate::support::wire::{ReadyClient, WireClient, plan};
use crate::support::{TIMEOUT, eventually};

#[test]
fn clients_of_a_server_without_threads_are_told_why() {
    let test = "clients_of_a_server_without_threads_are_told_why";
    let Some(group) = TaskCgroup::make(test) else { return };
    let server = Server::launch(group.command(program()), &[]);
    server.assert_serves();
    server.assert_all_freed(TIMEOUT);
    // None for the session, one and two for its link, and for none or some of its workers.
    for more in [0, 1, 2, 3, 5] {
        group.allow_more(more);
        let outcome = podperf_json(&["rr", &server.target(), "-P", "3", "-n", "30"]);
        outcome.assert_failed(3, &["Resource temporarily unavailable", "raise"]);
        group.allow_more(100);
        server.assert_all_freed(TIMEOUT);
        server.assert_serves();
    }
    // Those that have a place keep it, and give it to the next.
    let ReadyClient { client, data, .. } = WireClient::ready(server.port, &plan());
    group.allow_more(0);
    podperf_json(&["rr", &server.target(), "-n", "30"])
        .assert_failed(3, &["Resource temporarily unavailable"]);
    drop((client, data));
    assert!(eventually(TIMEOUT, || {
        let outcome = podperf_json(&["rr", &server.target(), "-n", "30"]);
        std::thread::sleep(Duration::from_millis(100));
        outcome.status == 0
    }));
}

#[test]
fn netserver_without_threads_answers_so() {
    let Some(group) = TaskCgroup::make("netserver_without_threads_answers_so") else { return };
    let named = netserver();
    let mut command = group.command("bash");
    command.args(["-c", "exec -a netserver \"$0\" \"$@\""]).arg(named.get_program());
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let server = Netserver::launch(command, &[]).measured();
    server.assert_serves();
    server.assert_all_freed();
    group.allow_more(0);
    let answer = |message: &WireMessage| server.client().ask(message).errno();
    assert_eq!(answer(&ClientMessage::Probe.write()), libc::EAGAIN);
    assert_eq!(answer(&transactions(1, 1).write()), libc::EAGAIN);
    server.wait_for_log("Resource temporarily unavailable");
    group.allow_more(100);
    server.assert_all_freed();
    server.assert_serves();
}
