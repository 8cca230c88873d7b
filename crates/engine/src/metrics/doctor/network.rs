//! Checks of the kernel's network settings.

use super::{Answer, DoctorInput, ok, ok_if, warn};
use crate::metrics::source::{number, numbers};
use podperf_sys::option;

/// TCP_TIMEWAIT_LEN of the kernel, in seconds.
const TIME_WAIT_SECONDS: u64 = 60;

pub(super) fn congestion_control(machine: &DoctorInput<'_>) -> Answer {
    let tcp = &machine.facts.tcp;
    let default = machine.fact("tcp.congestion_control", &tcp.congestion_control)?;
    let available = tcp.available_congestion_controls.join(", ");
    let finding = format!("default {default}; available {available}");
    if !default.starts_with("bbr") {
        return ok(finding);
    }
    warn(
        format!("{finding}. {default} paces: it sends at the rate it estimates, not at the most"),
        "give -C cubic on both sides of a comparison",
    )
}

pub(super) fn pacing(_: &DoctorInput<'_>) -> Answer {
    // Any rate below the kernel's 32-bit bound will do.
    const BYTES_PER_SECOND: u32 = 125_000_000;
    let found = match option::probe_max_pacing_rate(BYTES_PER_SECOND) {
        Ok(BYTES_PER_SECOND) => return ok("SO_MAX_PACING_RATE is granted"),
        Ok(granted) => format!("{granted} bytes/s granted of {BYTES_PER_SECOND} bytes/s"),
        Err(error) => error.to_string(),
    };
    let remedy = "leave -b out, or shape the device with tc";
    warn(format!("SO_MAX_PACING_RATE: {found}"), remedy)
}

pub(super) fn receive_buffer(machine: &DoctorInput<'_>) -> Answer {
    let tcp = &machine.facts.tcp;
    buffer(machine, "rmem", tcp.core_rmem_max_bytes, tcp.rmem_bytes)
}

pub(super) fn send_buffer(machine: &DoctorInput<'_>) -> Answer {
    let tcp = &machine.facts.tcp;
    buffer(machine, "wmem", tcp.core_wmem_max_bytes, tcp.wmem_bytes)
}

/// An explicit size is capped by net.core.*_max, autotuning by net.ipv4.tcp_*mem: asking may give
/// less than leaving it be.
fn buffer(
    machine: &DoctorInput<'_>,
    memory: &str,
    explicit: Option<u64>,
    tuned: Option<[u64; 3]>,
) -> Answer {
    let [_, _, tuned] = *machine.fact(&format!("tcp.{memory}_bytes"), &tuned)?;
    let tuning = format!("autotuned up to {} KiB (net.ipv4.tcp_{memory})", tuned / 1_024);
    let explicit = *machine
        .fact(&format!("tcp.core_{memory}_max_bytes"), &explicit)
        .map_err(|reason| format!("{tuning}; cap on -w: {reason}"))?;
    let kib = explicit / 1_024;
    let finding = format!("{tuning}; -w is capped at {kib} KiB (net.core.{memory}_max)");
    let remedy = format!("leave -w out, or sysctl -w net.core.{memory}_max={tuned}");
    ok_if(explicit >= tuned, finding, &remedy)
}

pub(super) fn local_ports(machine: &DoctorInput<'_>) -> Answer {
    let [first, last] = numbers::<2>(&machine.roots.sysctl("net/ipv4/ip_local_port_range"))?;
    let ports = last.saturating_add(1).saturating_sub(first);
    let finding = format!(
        "{ports} local ports ({first} to {last}): {} new connections/s to one server port before \
         TIME_WAIT ({TIME_WAIT_SECONDS} s) holds them all",
        ports / TIME_WAIT_SECONDS
    );
    let remedy = "sysctl -w net.ipv4.ip_local_port_range='10000 65000'";
    ok_if(ports >= 16_384, finding, remedy)
}

pub(super) fn time_wait_reuse(machine: &DoctorInput<'_>) -> Answer {
    match number::<u8>(&machine.roots.sysctl("net/ipv4/tcp_tw_reuse"))? {
        0 => warn(
            "tcp_tw_reuse 0: ports in TIME_WAIT are not reused for new connections",
            "sysctl -w net.ipv4.tcp_tw_reuse=1 on the client, for connection rates",
        ),
        1 => ok("tcp_tw_reuse 1: ports in TIME_WAIT are reused after 1 s"),
        mode => ok(format!("tcp_tw_reuse {mode}: ports in TIME_WAIT are reused on loopback alone")),
    }
}

pub(super) fn optmem(machine: &DoctorInput<'_>) -> Answer {
    // The default since Linux 6.7; before, 20 KiB.
    const ENOUGH_BYTES: u64 = 128 << 10;
    let bytes: u64 = number(&machine.roots.sysctl("net/core/optmem_max"))?;
    let finding = format!(
        "net.core.optmem_max {} KiB a socket, which holds the notices of MSG_ZEROCOPY",
        bytes / 1_024
    );
    if bytes >= ENOUGH_BYTES {
        return ok(finding);
    }
    warn(
        format!("{finding}: sends with many notices pending fail with ENOBUFS"),
        format!("sysctl -w net.core.optmem_max={}", 1 << 20),
    )
}

#[cfg(test)]
mod tests {
    use super::super::CheckStatus;
    use super::super::tests::on;

    #[test]
    fn a_pacing_default_is_warned_of() {
        let with = |name| {
            let files = [
                ("proc/sys/net/ipv4/tcp_congestion_control", name),
                ("proc/sys/net/ipv4/tcp_available_congestion_control", "reno bbr cubic\n"),
            ];
            on("congestion_control", &files)
        };
        assert_eq!(with("cubic\n").status, CheckStatus::Ok);
        let bbr = with("bbr\n");
        assert_eq!(bbr.status, CheckStatus::Warn);
        assert!(bbr.finding.contains("available reno, bbr, cubic"), "{bbr:?}");
    }

    #[test]
    fn an_explicit_buffer_may_be_capped_below_autotuning() {
        let tcp = ("proc/sys/net/ipv4/tcp_rmem", "4096 131072 33554432\n");
        let capped = on("receive_buffer", &[tcp, ("proc/sys/net/core/rmem_max", "212992\n")]);
        assert_eq!(capped.status, CheckStatus::Warn);
        assert!(capped.finding.contains("32768 KiB") && capped.finding.contains("208 KiB"));
        let roomy = on("receive_buffer", &[tcp, ("proc/sys/net/core/rmem_max", "33554432\n")]);
        assert_eq!(roomy.status, CheckStatus::Ok);
        // Older kernels hide net.core from other network namespaces than the first.
        assert_eq!(on("receive_buffer", &[tcp]).status, CheckStatus::Unknown);
    }

    #[test]
    fn ports_bound_the_rate_of_connections() {
        let path = "proc/sys/net/ipv4/ip_local_port_range";
        let usual = on("local_ports", &[(path, "32768\t60999\n")]);
        assert_eq!(usual.status, CheckStatus::Ok);
        assert!(usual.finding.contains("28232 local ports"), "{usual:?}");
        assert!(usual.finding.contains("470 new connections/s"), "{usual:?}");
        assert_eq!(on("local_ports", &[(path, "60000 60999")]).status, CheckStatus::Warn);
        assert_eq!(on("local_ports", &[(path, "9 1")]).status, CheckStatus::Warn);
        assert_eq!(on("local_ports", &[(path, "many")]).status, CheckStatus::Unknown);
    }

    #[test]
    fn little_room_for_notices_is_warned_of() {
        let path = "proc/sys/net/core/optmem_max";
        assert_eq!(on("optmem", &[(path, "20480\n")]).status, CheckStatus::Warn);
        assert_eq!(on("optmem", &[(path, "131072\n")]).status, CheckStatus::Ok);
    }

    #[test]
    fn reuse_of_ports() {
        let path = "proc/sys/net/ipv4/tcp_tw_reuse";
        assert_eq!(on("time_wait_reuse", &[(path, "0\n")]).status, CheckStatus::Warn);
        assert!(on("time_wait_reuse", &[(path, "2\n")]).finding.contains("loopback alone"));
    }

    #[test]
    fn pacing_is_tried_on_a_real_socket() {
        assert_eq!(on("pacing", &[]).status, CheckStatus::Ok);
    }
}
