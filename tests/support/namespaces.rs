//! The two-host testbed of scripts/twohosts: built with a prefix of its own, taken away when
//! dropped.

use std::process::Command;

/// Two hosts with a pod each; see scripts/twohosts.
#[derive(Debug)]
pub(crate) struct TwoHosts {
    prefix: String,
}

impl TwoHosts {
    pub(crate) fn up(name: &str) -> Self {
        let bed = Self { prefix: format!("ppt{}{name}", std::process::id()) };
        let output = bed.script("up");
        assert!(
            output.status.success(),
            "scripts/twohosts up: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        bed
    }

    /// The network namespace of `hostA`, `hostB`, `podA` or `podB`.
    pub(crate) fn place(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
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
