//! The two-host testbed of scripts/twohosts: built with a prefix of its own, taken away when
//! dropped; two hosts on one link; and what `ip`, `nft` and `ss` do and see in a namespace.

use std::process::Command;

/// Two hosts with a pod each; see scripts/twohosts.
#[derive(Debug)]
pub(crate) struct TwoHosts {
    prefix: String,
}

impl TwoHosts {
    pub(crate) fn up(name: &str) -> Self {
        let hosts = Self { prefix: format!("ppt{}{name}", std::process::id()) };
        let output = hosts.script("up");
        assert!(
            output.status.success(),
            "scripts/twohosts up: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        hosts
    }

    /// The network namespace of `hostA`, `hostB`, `podA` or `podB`.
    pub(crate) fn place(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// Runs nft in `place`; what it says.
    pub(crate) fn nft(&self, place: &str, command: &str) -> String {
        let output = within(Some(&self.place(place)), "nft").arg(command).output();
        let output = output.expect("ip runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "nft {command}: {error}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn script(&self, command: &str) -> std::process::Output {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/twohosts");
        Command::new(script)
            .args([command, "--prefix", &self.prefix])
            .output()
            .expect("scripts/twohosts runs")
    }
}

impl Drop for TwoHosts {
    fn drop(&mut self) {
        self.script("down");
    }
}

/// Two hosts on one link, `wire` in each, with the addresses `fe80::1` and `fe80::2` and no others;
/// taken away when dropped. It carries traffic as soon as it is there.
#[derive(Debug)]
pub(crate) struct LinkedHosts {
    names: [String; 2],
}

impl LinkedHosts {
    pub(crate) fn up(name: &str) -> Self {
        let prefix = format!("ppl{}{name}", std::process::id());
        let hosts = Self { names: ["a", "b"].map(|end| format!("{prefix}{end}")) };
        let [here, there] = &hosts.names;
        ip(&["netns", "add", here]);
        ip(&["netns", "add", there]);
        ip(&["-n", here, "link", "add", "wire", "type", "veth", "peer", "wire", "netns", there]);
        for (place, address) in [(here, "fe80::1/64"), (there, "fe80::2/64")] {
            ip(&["-n", place, "link", "set", "lo", "up"]);
            ip(&["-n", place, "link", "set", "wire", "addrgenmode", "none"]);
            ip(&["-n", place, "address", "add", address, "dev", "wire", "nodad"]);
            ip(&["-n", place, "link", "set", "wire", "up"]);
        }
        hosts
    }

    /// The network namespaces, that of `fe80::1` first.
    pub(crate) fn places(&self) -> [&str; 2] {
        [&self.names[0], &self.names[1]]
    }
}

impl Drop for LinkedHosts {
    fn drop(&mut self) {
        for name in &self.names {
            // One that was not made is not there.
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
        }
    }
}

fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().expect("ip runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {}: {error}", words.join(" "));
}

/// Ends the connections of the server's `port` in `place` with the clients' ports `with`, as if its
/// host had broken them off; false: this kernel destroys no sockets (CONFIG_INET_DIAG_DESTROY).
pub(crate) fn cut(place: Option<&str>, port: u16, with: &[String]) -> bool {
    let with: Vec<String> = with.iter().map(|local| format!("dport = :{local}")).collect();
    let filter = format!("sport = :{port} and ( {} )", with.join(" or "));
    let output = within(place, "ss").args(["-K", "-tnH"]).arg(filter).output().expect("ss runs");
    !output.stdout.is_empty()
}

/// Whether there is an nft. Where there is none, tests say so and return.
pub(crate) fn nft(test: &str) -> bool {
    let found = Command::new("nft").arg("--version").output().is_ok();
    if !found {
        eprintln!("{test}: skipped: needs nft");
    }
    found
}

/// `program` in the network namespace `place`, or in this process's own. What runs is the program
/// itself, with the process id of the command.
pub(crate) fn within(place: Option<&str>, program: &str) -> Command {
    let Some(place) = place else { return Command::new(program) };
    let mut command = Command::new("ip");
    command.args(["netns", "exec", place, program]);
    command
}

/// The connections in `place` to `port` that have carried more than a MiB either way, those of
/// data: how many bytes, and the local port. The busiest comes last.
pub(crate) fn busy_connections(place: Option<&str>, port: u16) -> Vec<(u64, String)> {
    let filter = format!("dport = :{port}");
    let output = within(place, "ss").args(["-tniHO", "state", "established"]).arg(filter).output();
    let table = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let of_line = |line: &str| {
        let bytes = |what: &str| -> Option<u64> {
            line.split(what).nth(1)?.split_whitespace().next()?.parse().ok()
        };
        let moved = bytes("bytes_acked:").max(bytes("bytes_received:"))?;
        // With a state to filter by, ss leaves its column out.
        let local = line.split_whitespace().nth(2)?.rsplit(':').next()?;
        (moved > 1 << 20).then(|| (moved, local.to_owned()))
    };
    let mut found: Vec<_> = table.unwrap_or_default().lines().filter_map(of_line).collect();
    found.sort();
    found
}
