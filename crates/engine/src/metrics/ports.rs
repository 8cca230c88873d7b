//! Ports for outgoing connections, and how many are held back by TIME-WAIT, in this network
//! namespace.
//!
//! Enters: /proc. Leaves: counts; nothing where a file cannot be read.

use crate::metrics::roots::Roots;
use crate::metrics::source::{numbers, text};

/// Connections in TIME-WAIT, IPv4 and IPv6 together (/proc/net/sockstat, `tw`).
#[must_use]
pub fn time_wait(roots: &Roots) -> Option<u64> {
    let table = text(&roots.proc.join("net/sockstat")).ok()?;
    let line = table.lines().find_map(|line| line.strip_prefix("TCP: "))?;
    let mut words = line.split_whitespace();
    words.find(|word| *word == "tw")?;
    words.next()?.parse().ok()
}

/// How many ports net.ipv4.ip_local_port_range has, for IPv4 and IPv6 alike.
#[must_use]
pub fn local_ports(roots: &Roots) -> Option<u32> {
    let [first, last] = numbers::<2>(&roots.sysctl("net/ipv4/ip_local_port_range")).ok()?;
    u32::try_from(last.checked_sub(first)? + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_by_their_names() {
        let tree = tempfile::tempdir().unwrap();
        let roots = Roots::below(tree.path());
        let write = |path: std::path::PathBuf, text: &str| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert_eq!((time_wait(&roots), local_ports(&roots)), (None, None));
        let sockstat = "sockets: used 13\nTCP: inuse 1 orphan 0 tw 48 alloc 1 mem 134\nUDP: 0\n";
        write(roots.proc.join("net/sockstat"), sockstat);
        write(roots.sysctl("net/ipv4/ip_local_port_range"), "32768\t60999\n");
        assert_eq!((time_wait(&roots), local_ports(&roots)), (Some(48), Some(28_232)));
    }
}
