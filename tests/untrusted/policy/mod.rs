//! Servers under a policy: each limit reached by a real client, what it was told, and that the
//! client of the next rule was untouched.

mod limits;
mod netserver;
mod queue;
mod reload;
mod tokens;

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::support::TIMEOUT;
use crate::support::process::{Client, Outcome, Server, podperf, podperf_json};

/// A folder with a policy in it.
struct PolicyFolder(tempfile::TempDir);

/// Whoever comes from 127.0.0.1 may do all, whatever others have used up.
const UNTOUCHED: &str =
    "[[rule]]\nname = \"untouched\"\naddresses = [\"127.0.0.1\"]\nanonymous = true\n";

impl PolicyFolder {
    /// With these rules, and one of clients that nothing is to touch.
    fn new(rules: &str) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.write(&format!("{rules}\n{UNTOUCHED}"));
        folder
    }

    fn write(&self, text: &str) {
        std::fs::write(self.file(), text).expect("it is written");
    }

    fn file(&self) -> PathBuf {
        self.path("policy.toml")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A server under it.
    fn serve(&self, args: &[&str]) -> Server {
        Server::start(&[&["--policy", text(&self.file())], args].concat())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The same rule for clients at 127.0.0.`host`, of this name and with these lines.
fn rule(name: &str, host: u8, lines: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\naddresses = [\"127.0.0.{host}\"]\n{lines}\n")
}

fn anonymous(name: &str, host: u8, lines: &str) -> String {
    rule(name, host, &format!("anonymous = true\n{lines}"))
}

/// A client at 127.0.0.`host` with these words.
fn start_from(server: &Server, host: u8, words: &str) -> Client {
    let (target, own) = (server.target(), format!("127.0.0.{host}"));
    let mut words = words.split_whitespace();
    let workload = words.next().expect("a workload");
    let options: Vec<&str> = words.collect();
    Client::start(&[&[workload, &target, "--bind", &own, "-J"], options.as_slice()].concat())
}

fn run_from(server: &Server, host: u8, words: &str) -> Outcome {
    start_from(server, host, words).wait(3 * TIMEOUT)
}

/// It was refused before anything was measured, and told why.
fn assert_refused(outcome: &Outcome, parts: &[&str]) {
    outcome.assert_failed(3, parts);
}

#[test]
fn the_example_is_a_policy_and_is_told_in_words() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples/policy.toml");
    let told = podperf_json(&["serve", "--check", example]);
    assert_eq!(told.status, 0, "{told:#?}");
    for part in [
        "rule 'laboratory': clients at 10.0.0.0/8, 2001:db8:1::/48",
        "rule 'guests': clients at any\n  need no token",
        "each run: 16 streams; 30s long; UDP allowed; UDP at 100 Mbit/s each way",
    ] {
        assert!(told.stdout.contains(part), "no '{part}' in {}", told.stdout);
    }
    assert!(!told.stdout.contains("replace me"), "{}", told.stdout);
}

#[test]
fn a_broken_policy_is_told_with_its_place_and_no_server_starts_with_it() {
    let folder = PolicyFolder::new("");
    for (broken, parts) in [
        ("[[rule]\n", &["line 1, column "][..]),
        (
            "[[rule]]\nname = \"a\"\naddresses = [\"any\"]\nanonymous = true\n\nstreems = 3\n",
            &["line 6, column 1, rule[1].streems: there is no such key", "streams"],
        ),
        (
            "[[rule]]\nname = \"a\"\naddresses = [\"10.0.0.0/40\"]\nanonymous = true\n",
            &["line 3, column 14, rule[1].addresses: '10.0.0.0/40': allowed: any"],
        ),
    ] {
        folder.write(broken);
        let file = folder.file();
        for option in ["--check", "--policy"] {
            let told = podperf_json(&["serve", option, text(&file)]);
            told.assert_failed(2, parts);
            told.assert_says(&["policy.toml: line "]);
        }
    }
    let missing = folder.path("nosuch.toml");
    podperf_json(&["serve", "--check", text(&missing)]).assert_failed(2, &["nosuch.toml: No such"]);
    let mut with_token = podperf(None);
    with_token.env("PODPERF_TOKEN", "correct horse");
    folder.write(UNTOUCHED);
    let file = folder.file();
    let both = Client::launch(with_token, &["serve", "--policy", text(&file)]).wait(TIMEOUT);
    both.assert_failed(2, &["with PODPERF_TOKEN unset"]);
}

/// Sends SIGHUP, and waits until the log says `part` of it.
fn reload(server: &Server, part: &str) {
    let seen = server.log().iter().filter(|line| line.contains(part)).count();
    server.signal(Signal::SIGHUP);
    let told = crate::support::eventually(TIMEOUT, || {
        server.log().iter().filter(|line| line.contains(part)).count() > seen
    });
    assert!(told, "no '{part}' in {:#?}", server.log());
}
