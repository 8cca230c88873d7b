//! Checks that try whether the kernel grants something: options, rings, limits.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::{DoctorCheck, DoctorInput};
use crate::metrics::flow;
use crate::metrics::uring_diagnostics::{self, UringRefusal};
use podperf_sys::ethtool::Ethtool;
use podperf_sys::{netlink, option, uring};

/// Descriptors that a run needs beside its streams.
const OTHER_OPEN_FILES: u64 = 64;

pub(super) fn tcp_info(_: &DoctorInput<'_>) -> DoctorCheck {
    const NAME: &str = "tcp_info";
    let made = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
    match made.map(|socket| flow::read(socket.as_fd())) {
        Ok(Some(_)) => DoctorCheck::ok(NAME, "TCP_INFO is readable"),
        Ok(None) => DoctorCheck::fail(
            NAME,
            "TCP_INFO is refused: retransmits, round-trip times and limits will be null",
            "permit getsockopt TCP_INFO (seccomp, sandbox)",
        ),
        Err(errno) => DoctorCheck::unknown(NAME, format!("socket: {errno}")),
    }
}

pub(super) fn zerocopy(_: &DoctorInput<'_>) -> DoctorCheck {
    const NAME: &str = "zerocopy";
    let refused =
        |finding: String| DoctorCheck::warn(NAME, finding, "needs Linux 4.14 without a sandbox");
    match option::probe_zerocopy() {
        Ok(true) => DoctorCheck::ok(
            NAME,
            "SO_ZEROCOPY is granted. To a peer on this machine (loopback, veth) the kernel copies \
             all the same",
        ),
        Ok(false) => refused("SO_ZEROCOPY is taken but not in force".to_owned()),
        Err(error) => refused(format!("SO_ZEROCOPY: {error}")),
    }
}

pub(super) fn io_uring(machine: &DoctorInput<'_>) -> DoctorCheck {
    const NAME: &str = "io_uring";
    let Err(error) = uring::set_up(2, 4) else {
        return DoctorCheck::ok(NAME, "a ring can be set up");
    };
    let UringRefusal { cause, remedy } = uring_diagnostics::diagnose(&error, machine.roots);
    DoctorCheck::warn(NAME, format!("io_uring_setup: {error}: {cause}"), remedy)
}

pub(super) fn open_files(_: &DoctorInput<'_>) -> DoctorCheck {
    const NAME: &str = "open_files";
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Err(errno) => DoctorCheck::unknown(NAME, format!("getrlimit: {errno}")),
        Ok((limit, most)) => judge_open_files(limit, most),
    }
}

fn judge_open_files(limit: u64, most: u64) -> DoctorCheck {
    const NAME: &str = "open_files";
    if limit == RLIM_INFINITY {
        return DoctorCheck::ok(NAME, "no limit of open files");
    }
    let streams = limit.saturating_sub(OTHER_OPEN_FILES);
    let finding = format!(
        "{limit} open files (hard limit {}): up to {streams} streams, half of that with both ends \
         in one process",
        amount(most)
    );
    if streams >= 1_000 {
        return DoctorCheck::ok(NAME, finding);
    }
    DoctorCheck::warn(NAME, finding, "ulimit -n 65536")
}

pub(super) fn locked_memory(_: &DoctorInput<'_>) -> DoctorCheck {
    const NAME: &str = "locked_memory";
    match getrlimit(Resource::RLIMIT_MEMLOCK) {
        Err(errno) => DoctorCheck::unknown(NAME, format!("getrlimit: {errno}")),
        Ok((limit, _)) => judge_locked_memory(limit),
    }
}

fn judge_locked_memory(limit: u64) -> DoctorCheck {
    const NAME: &str = "locked_memory";
    // The kernel's default since Linux 5.16; before, 64 KiB.
    const ENOUGH_BYTES: u64 = 8 << 20;
    if limit == RLIM_INFINITY {
        return DoctorCheck::ok(NAME, "no limit of locked memory");
    }
    let finding = format!(
        "{} KiB of locked memory, which bounds MSG_ZEROCOPY data in flight and io_uring's \
         registered buffers of an unprivileged process",
        limit / 1_024
    );
    if limit >= ENOUGH_BYTES {
        return DoctorCheck::ok(NAME, finding);
    }
    DoctorCheck::warn(NAME, finding, "ulimit -l unlimited")
}

fn amount(limit: u64) -> String {
    if limit == RLIM_INFINITY { "none".to_owned() } else { limit.to_string() }
}

pub(super) fn routes(_: &DoctorInput<'_>) -> DoctorCheck {
    const NAME: &str = "routes";
    match netlink::route_device(IpAddr::from(Ipv4Addr::LOCALHOST), None).and_then(netlink::link) {
        Ok(_) => DoctorCheck::ok(NAME, "netlink answers: the device to a peer will be named"),
        Err(error) => device_unknown(NAME, "netlink", &error),
    }
}

pub(super) fn offloads(_: &DoctorInput<'_>) -> DoctorCheck {
    const NAME: &str = "offloads";
    let known =
        Ethtool::open("lo").and_then(|ethtool| ethtool.offloads().map(|(_, s)| s).collect());
    match known {
        Ok::<Vec<bool>, _>(_) => DoctorCheck::ok(NAME, "ethtool answers: offloads will be told"),
        Err(error) => device_unknown(NAME, "ethtool", &error),
    }
}

fn device_unknown(name: &'static str, what: &str, error: &io::Error) -> DoctorCheck {
    DoctorCheck::warn(
        name,
        format!("{what}: {error}: the device's facts will be null"),
        format!("permit {what} queries (they need no privilege, but a sandbox may refuse them)"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::CheckStatus;
    use super::super::tests::on;
    use super::*;

    #[test]
    fn limits_in_their_units() {
        let few = judge_open_files(256, 4_096);
        assert_eq!(few.status, CheckStatus::Warn);
        assert!(few.finding.contains("up to 192 streams") && few.finding.contains("4096"));
        assert_eq!(judge_open_files(20_000, RLIM_INFINITY).status, CheckStatus::Ok);
        assert_eq!(judge_open_files(RLIM_INFINITY, RLIM_INFINITY).status, CheckStatus::Ok);
        let little = judge_locked_memory(65_536);
        assert_eq!(
            (little.status, little.finding.starts_with("64 KiB")),
            (CheckStatus::Warn, true)
        );
        assert_eq!(judge_locked_memory(8 << 20).status, CheckStatus::Ok);
    }

    #[test]
    fn what_is_tried_is_tried_for_real() {
        assert_eq!(on("tcp_info", &[]).status, CheckStatus::Ok);
        assert_eq!(on("routes", &[]).status, CheckStatus::Ok);
        let ring = on("io_uring", &[]);
        assert_eq!(ring.status == CheckStatus::Ok, io_uring::IoUring::new(2).is_ok(), "{ring:?}");
    }
}
