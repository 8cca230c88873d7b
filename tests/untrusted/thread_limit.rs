//! A server at the limit of its threads: whoever finds no place is told why, nothing ends, and when
//! others have left it serves again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use podperf_netperf::wire::WireMessage;
use podperf_netperf::wire::native::ClientMessage;

use crate::support::netserver::{Netserver, netserver, transactions};
use crate::support::process::{Server, podperf_json, program};
use crate::support::wire::{ReadyClient, WireClient, plan};
use crate::support::{TIMEOUT, eventually};

/// A cgroup with a limit on threads; removed when dropped.
struct ThreadsCgroup(PathBuf);

impl ThreadsCgroup {
    /// Absent, and said so, where none can be made.
    fn make(test: &str) -> Option<Self> {
        let name = format!("podperf-test-threads-{}-{}", std::process::id(), test.len());
        for top in ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"] {
            let group = Path::new(top).join(&name);
            if std::fs::create_dir(&group).is_err() {
                continue;
            }
            let group = Self(group);
            if group.0.join("pids.max").exists() {
                return Some(group);
            }
        }
        eprintln!("{test}: skipped: needs root and a cgroup hierarchy that limits threads");
        None
    }

    /// `program` inside of it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""]).arg(&self.0);
        command.arg(program).env_remove("PODPERF_TOKEN");
        command
    }

    /// Leaves it room for so many threads more than it has now.
    fn leave(&self, more: usize) {
        let now = std::fs::read_to_string(self.0.join("pids.current")).expect("a number");
        let most = now.trim().parse::<usize>().expect("a number") + more;
        std::fs::write(self.0.join("pids.max"), most.to_string()).expect("it is ours");
    }
}

impl Drop for ThreadsCgroup {
    fn drop(&mut self) {
        // Not before its last process is gone.
        eventually(TIMEOUT, || std::fs::remove_dir(&self.0).is_ok());
    }
}

#[test]
fn clients_of_a_server_without_threads_are_told_why() {
    let test = "clients_of_a_server_without_threads_are_told_why";
    let Some(group) = ThreadsCgroup::make(test) else { return };
    let server = Server::launch(group.command(&program()), &[]);
    server.assert_serves();
    server.assert_all_freed(TIMEOUT);
    // None for the session, one and two for its link, and for none or some of its workers.
    for more in [0, 1, 2, 3, 5] {
        group.leave(more);
        let outcome = podperf_json(&["rr", &server.target(), "-P", "3", "-n", "30"]);
        outcome.assert_failed(3, &["Resource temporarily unavailable", "raise"]);
        group.leave(100);
        server.assert_all_freed(TIMEOUT);
        server.assert_serves();
    }
    // Those that have a place keep it, and give it to the next.
    let ReadyClient { client, data, .. } = WireClient::ready(server.port, &plan());
    group.leave(0);
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
    let Some(group) = ThreadsCgroup::make("netserver_without_threads_answers_so") else { return };
    let named = netserver();
    let mut command = group.command("bash");
    command.args(["-c", "exec -a netserver \"$0\" \"$@\""]).arg(named.get_program());
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let server = Netserver::launch(command, &[]).measured();
    server.assert_serves();
    server.assert_all_freed();
    group.leave(0);
    let answer = |message: &WireMessage| server.client().ask(message).errno();
    assert_eq!(answer(&ClientMessage::Probe.write()), libc::EAGAIN);
    assert_eq!(answer(&transactions(1, 1).write()), libc::EAGAIN);
    server.wait_for_log("Resource temporarily unavailable");
    group.leave(100);
    server.assert_all_freed();
    server.assert_serves();
}
