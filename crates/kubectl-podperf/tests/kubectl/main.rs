//! The launcher from outside, as far as no cluster is needed: usage errors before any network
//! traffic, help and version, what it says where there is no kubeconfig or nobody answers, and what
//! it asks of an API server that a test plays ([`played`]).

mod played;

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::assert::OutputAssertExt as _;
use predicates::prelude::*;
use predicates::str::contains;
use tempfile::TempDir;

const SUBCOMMANDS: [&str; 6] = ["run", "plan", "preflight", "deploy", "collect", "destroy"];

/// The launcher in an empty folder, with nothing of this machine's in its environment.
fn launcher(line: &str, folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-podperf"));
    command.args(line.split_whitespace()).current_dir(folder).env("HOME", folder);
    for variable in
        ["KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "PODPERF_IMAGE"]
    {
        command.env_remove(variable);
    }
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(proxy).env_remove(proxy.to_lowercase());
    }
    command.stdin(Stdio::null());
    command
}

/// A kubeconfig whose API server is at `address`.
fn config(folder: &Path, address: &str) -> PathBuf {
    let path = folder.join("config.yaml");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters:\n- name: c\n  cluster:\n    server: http://{address}\n\
         users:\n- name: u\n  user: {{}}\n\
         contexts:\n- name: c\n  context:\n    cluster: c\n    user: u\n"
    );
    fs::write(&path, text).unwrap();
    path
}

/// A folder with a kubeconfig, and an API server that notes whether anybody came.
struct Untouched {
    folder: TempDir,
    server: TcpListener,
    config: PathBuf,
}

impl Untouched {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        server.set_nonblocking(true).unwrap();
        let config = config(folder.path(), &server.local_addr().unwrap().to_string());
        Self { folder, server, config }
    }

    /// Runs `line`; nobody may come, and nothing may be left.
    fn run(&self, line: &str) -> Output {
        let mut command = launcher(line, self.folder.path());
        let output = command.env("KUBECONFIG", &self.config).output().unwrap();
        let nobody = self.server.accept().expect_err("usage errors come before any traffic");
        assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
        let left = fs::read_dir(self.folder.path()).unwrap().count();
        assert_eq!(left, 1, "{line}: nothing but the kubeconfig is in the folder");
        output
    }
}

/// An address where nobody listens.
fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn usage_errors_name_option_value_and_what_is_allowed_before_any_traffic() {
    let cluster = Untouched::new();
    for (line, option, value, allowed) in [
        ("run --scenarios nosuch", "--scenarios", "nosuch", "nodeport-other"),
        ("run --scenarios via", "--scenarios", "via", "--via HOST:PORT"),
        ("run --via nowhere", "--via", "nowhere", "HOST:PORT"),
        ("plan --scenarios policies --policies 0", "--policies", "0", "at least 1"),
        ("run --client-node a --server-node a", "--server-node", "a", "two different nodes"),
        ("preflight --samples 0", "--samples", "0", "1 to 1000"),
        ("run --tolerance 101", "--tolerance", "101", "0 to below 100"),
        ("run --max-slowdown x", "--max-slowdown", "x", "0 percent or more"),
        ("deploy --run-id Big", "--run-id", "Big", "at most 24 characters"),
        ("run --label x", "--label", "x", "a key, '=', and a value"),
        ("run -P 0", "--streams", "0", "1 to 16384"),
        ("run -t 0", "--time", "0s", "more than 0"),
        ("run --ready-timeout 0", "--ready-timeout", "0s", "1s or more"),
        ("collect r1 --timeout soon", "--timeout", "soon", "a time such as"),
        ("destroy -a", "-a", "", ""),
        ("destroy Big", "RUN", "Big", "a to z"),
    ] {
        cluster
            .run(line)
            .assert()
            .code(2)
            .stdout("")
            .stderr(predicate::str::starts_with("kubectl-podperf: error: "))
            .stderr(contains(option).and(contains(value)).and(contains(allowed)));
    }
    for (line, cause) in [
        ("run --samples 1000", "samples, at most 2000"),
        ("run --engine-options -J", "no -J"),
        ("run nosuch", "nosuch"),
        ("nosuch", "nosuch"),
        ("collect", "<RUN>"),
        ("destroy r1 --all", "cannot be used with"),
    ] {
        let error = predicate::str::starts_with("kubectl-podperf: error: ").and(contains(cause));
        cluster.run(line).assert().code(2).stdout("").stderr(error);
    }
    // The whole help is no sentence to be prefixed.
    let help = contains("Usage: kubectl podperf").and(contains("kubectl-podperf:").not());
    cluster.run("").assert().code(2).stdout("").stderr(help);
}

#[test]
fn help_and_version_are_results() {
    let cluster = Untouched::new();
    let version = contains(env!("CARGO_PKG_VERSION"));
    cluster.run("--version").assert().code(0).stdout(version).stderr("");
    let help = cluster.run("--help").assert().code(0).stderr("");
    SUBCOMMANDS
        .iter()
        .fold(help, |help, name| help.stdout(contains(format!("\n  {name}"))))
        .stdout(contains("Examples:").and(contains("Exit status: 0")));
    for name in SUBCOMMANDS {
        let narrow =
            predicate::function(|text: &str| text.lines().all(|line| line.chars().count() <= 100));
        let usage = contains(format!("Usage: kubectl podperf {name}"));
        let options = ["--kubeconfig <FILE>", "--context <NAME>", "--namespace <NAME>"];
        let help = cluster.run(&format!("{name} --help"));
        let help = help.assert().code(0).stderr("").stdout(usage.and(narrow));
        options.iter().fold(help, |help, option| help.stdout(contains(*option)));
    }
}

#[test]
fn help_lists_every_option_of_a_run_with_its_default() {
    let cluster = Untouched::new();
    let everywhere = [
        "-n, --namespace",
        "--client-node",
        "--server-node",
        "--client-selector",
        "--server-selector",
        "--toleration",
        "--across-zones",
        "--scenarios",
        "--tests",
        "-P, --streams",
        "-t, --duration",
        "-O, --warmup",
        "--samples",
        "--seed",
        "--msg-size",
        "--req-size",
        "--resp-size",
        "--rr-rate",
        "--cpus",
        "--guaranteed",
        "--policies",
        "--idle-policies",
        "--services",
        "--ip-family",
        "--image",
        "--pull-policy",
        "--pull-secret",
        "--tolerance",
        "--timeout",
        "--ready-timeout",
        "--label",
        "--annotation",
        "--preset",
        "1,2,4,8,16,32",
        "[default: 120s]",
        "[default: IfNotPresent]",
    ];
    for name in ["run", "plan", "preflight", "deploy"] {
        let help = cluster.run(&format!("{name} --help"));
        let help = String::from_utf8(help.stdout).unwrap();
        let flat = help.split_whitespace().collect::<Vec<_>>().join(" ");
        everywhere.iter().for_each(|it| assert!(flat.contains(it), "{name}: no {it}"));
        for option in ["-o, --output", "--out-dir", "--keep", "--max-slowdown"] {
            assert_eq!(flat.contains(option), name != "deploy", "{name}: {option}");
        }
    }
    for preset in ["quick", "default", "paper", "saturate", "services", "policies"] {
        cluster.run("run --help").assert().stdout(contains(format!("- {preset}")));
    }
}

#[test]
fn without_a_kubeconfig_nothing_can_be_measured_and_it_says_so() {
    for name in ["run", "plan", "preflight", "deploy", "collect r1", "destroy"] {
        let folder = tempfile::tempdir().unwrap();
        launcher(name, folder.path())
            .output()
            .unwrap()
            .assert()
            .code(3)
            .stdout("")
            .stderr(contains("read the kubeconfig").and(contains("--kubeconfig or KUBECONFIG")));
        let missing =
            launcher(&format!("{name} --kubeconfig no/such/file"), folder.path()).output();
        missing.unwrap().assert().code(3).stderr(contains("no/such/file"));
        let named = config(folder.path(), "127.0.0.1:1");
        let line = format!("{name} --context nosuch --kubeconfig {}", named.display());
        let unknown = launcher(&line, folder.path()).output().unwrap();
        unknown.assert().code(3).stderr(contains("read the kubeconfig").and(contains("nosuch")));
    }
}

#[test]
fn an_api_server_that_does_not_answer_is_told_by_address_and_soon() {
    for name in ["run", "plan", "preflight", "deploy", "collect r1", "destroy"] {
        let folder = tempfile::tempdir().unwrap();
        let address = closed();
        let named = config(folder.path(), &address);
        let line = format!("{name} --api-timeout 1 --kubeconfig {}", named.display());
        let begun = Instant::now();
        let output = launcher(&line, folder.path()).output().unwrap();
        let elapsed = begun.elapsed();
        output
            .assert()
            .code(3)
            .stdout("")
            .stderr(contains("connect to the API server").and(contains(address)))
            .stderr(contains("Connection refused").and(contains("--api-timeout")));
        assert!(elapsed < Duration::from_secs(10), "{name}: {elapsed:?}");
    }
}
