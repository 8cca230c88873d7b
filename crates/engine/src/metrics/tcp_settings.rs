//! The sysctls that bear on TCP, in this network namespace (ip-sysctl, net sysctls).
//!
//! Enters: /proc/sys/net. Leaves: [`TcpSettings`], and which congestion controls a client may have.

use crate::metrics::roots::Roots;
use crate::metrics::source::{Unknown, number, numbers, text};
use podperf_model::facts::TcpSettings;

/// Lists the congestion controls that the kernel has now.
const LOADED: &str = "net/ipv4/tcp_available_congestion_control";

/// Says why a client of this process may not have a congestion control: the kernel would have to
/// load it, as it does on demand for a process with CAP_NET_ADMIN (tcp_ca_find_autoload in
/// net/ipv4/tcp_cong.c). A list that cannot be read leaves the choice to the kernel.
#[must_use]
pub fn why_not_loaded(congestion_control: &str) -> Option<String> {
    not_loaded(&Roots::default(), congestion_control)
}

fn not_loaded(roots: &Roots, name: &str) -> Option<String> {
    let loaded = text(&roots.sysctl(LOADED)).ok()?;
    let loaded: Vec<_> = loaded.split_whitespace().collect();
    let is_missing = !loaded.contains(&name);
    is_missing.then(|| format!("those that the kernel has loaded: {}", loaded.join(", ")))
}

/// Reads them; the reason of each that is absent goes to `unknown` as `tcp.NAME`.
pub(super) fn read(roots: &Roots, unknown: &mut Unknown) -> TcpSettings {
    let ipv4 = |name: &str| roots.sysctl("net/ipv4").join(name);
    let core = |name: &str| roots.sysctl("net/core").join(name);
    let available = unknown
        .note("tcp.available_congestion_controls", text(&ipv4("tcp_available_congestion_control")));
    TcpSettings {
        congestion_control: unknown
            .note("tcp.congestion_control", text(&ipv4("tcp_congestion_control"))),
        available_congestion_controls: available
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        rmem_bytes: unknown.note("tcp.rmem_bytes", numbers(&ipv4("tcp_rmem"))),
        wmem_bytes: unknown.note("tcp.wmem_bytes", numbers(&ipv4("tcp_wmem"))),
        core_rmem_max_bytes: unknown.note("tcp.core_rmem_max_bytes", number(&core("rmem_max"))),
        core_wmem_max_bytes: unknown.note("tcp.core_wmem_max_bytes", number(&core("wmem_max"))),
        default_qdisc: unknown.note("tcp.default_qdisc", text(&core("default_qdisc"))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn settings_with_their_units_and_reasons() {
        let tree = tempfile::tempdir().unwrap();
        let roots = Roots::below(tree.path());
        let write = |path: &str, text: &str| {
            let path = roots.sysctl(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("net/ipv4/tcp_rmem", "4096\t131072\t33554432\n");
        write("net/ipv4/tcp_wmem", "4096\t16384\n");
        write("net/ipv4/tcp_available_congestion_control", "reno bbr cubic\n");
        write("net/core/rmem_max", "-1\n");
        for (name, is_refused) in [("cubic", false), ("reno", false), ("cub", true), ("lp", true)] {
            let why = not_loaded(&roots, name);
            assert_eq!(why.is_some(), is_refused, "{name}");
            assert!(why.is_none_or(|why| why.ends_with("reno, bbr, cubic")), "{name}");
        }
        assert_eq!(not_loaded(&Roots::below(Path::new("/nowhere")), "lp"), None);
        let mut unknown = Unknown::default();
        let settings = read(&roots, &mut unknown);
        assert_eq!(settings.rmem_bytes, Some([4_096, 131_072, 33_554_432]));
        assert_eq!(settings.available_congestion_controls, ["reno", "bbr", "cubic"]);
        assert_eq!((settings.wmem_bytes, settings.core_rmem_max_bytes), (None, None));
        assert!(unknown.0["tcp.wmem_bytes"].contains("is not 3 numbers"), "{unknown:?}");
        assert!(unknown.0["tcp.congestion_control"].contains("No such file"), "{unknown:?}");
    }
}
