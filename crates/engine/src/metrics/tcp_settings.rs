//! The sysctls that bear on TCP, in this network namespace (ip-sysctl, net sysctls).
//!
//! Enters: /proc/sys/net. Leaves: [`TcpSettings`], and which congestion controls are anybody's.

use crate::metrics::roots::Roots;
use crate::metrics::source::{Unknown, number, numbers, text};
use podperf_model::facts::TcpSettings;

/// Lists the congestion controls that a process without CAP_NET_ADMIN may choose.
pub const PERMITTED: &str = "net.ipv4.tcp_allowed_congestion_control";

/// Whether anybody may choose this congestion control. A process with CAP_NET_ADMIN could choose
/// any, and have the kernel load it; a list that cannot be read leaves the choice to the kernel.
#[must_use]
pub fn is_permitted(congestion_control: &str) -> bool {
    let path = Roots::default().sysctl("net/ipv4/tcp_allowed_congestion_control");
    let Ok(names) = text(&path) else { return true };
    names.split_whitespace().any(|name| name == congestion_control)
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
        let mut unknown = Unknown::default();
        let settings = read(&roots, &mut unknown);
        assert_eq!(settings.rmem_bytes, Some([4_096, 131_072, 33_554_432]));
        assert_eq!(settings.available_congestion_controls, ["reno", "bbr", "cubic"]);
        assert_eq!((settings.wmem_bytes, settings.core_rmem_max_bytes), (None, None));
        assert!(unknown.0["tcp.wmem_bytes"].contains("is not 3 numbers"), "{unknown:?}");
        assert!(unknown.0["tcp.congestion_control"].contains("No such file"), "{unknown:?}");
    }
}
