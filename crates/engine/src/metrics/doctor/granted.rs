//! Checks that try whether the kernel grants something: options, rings, limits.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::{Answer, DoctorInput, fail, ok, ok_if, warn};
use crate::metrics::flow;
use crate::metrics::source::FactResult;
use crate::metrics::uring_diagnostics::{self, UringRefusal};
use podperf_sys::ethtool::Ethtool;
use podperf_sys::{netlink, option, uring};

/// Descriptors that a run needs beside its streams.
const OTHER_OPEN_FILES: u64 = 64;

pub(super) fn tcp_info(_: &DoctorInput<'_>) -> Answer {
    let made = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
    let socket = made.map_err(|errno| format!("socket: {errno}"))?;
    if flow::read(socket.as_fd()).is_some() {
        return ok("TCP_INFO is readable");
    }
    fail(
        "TCP_INFO is refused: retransmits, round-trip times and limits will be null",
        "permit getsockopt TCP_INFO (seccomp, sandbox)",
    )
}

pub(super) fn zerocopy(_: &DoctorInput<'_>) -> Answer {
    let found = match option::probe_zerocopy() {
        Ok(true) => {
            return ok("SO_ZEROCOPY is granted. To a peer on this machine (loopback, veth) the \
                       kernel copies all the same");
        }
        Ok(false) => "SO_ZEROCOPY is taken but not in force".to_owned(),
        Err(error) => format!("SO_ZEROCOPY: {error}"),
    };
    warn(found, "needs Linux 4.14 without a sandbox")
}

pub(super) fn io_uring(machine: &DoctorInput<'_>) -> Answer {
    let Err(error) = uring::set_up(2, 4) else { return ok("a ring can be set up") };
    let UringRefusal { cause, remedy } = uring_diagnostics::diagnose(&error, machine.roots);
    warn(format!("io_uring_setup: {error}: {cause}"), remedy)
}

pub(super) fn open_files(_: &DoctorInput<'_>) -> Answer {
    let (limit, most) = limits(Resource::RLIMIT_NOFILE)?;
    judge_open_files(limit, most)
}

fn limits(resource: Resource) -> FactResult<(u64, u64)> {
    getrlimit(resource).map_err(|errno| format!("getrlimit: {errno}"))
}

fn judge_open_files(limit: u64, most: u64) -> Answer {
    if limit == RLIM_INFINITY {
        return ok("no limit of open files");
    }
    let most = if most == RLIM_INFINITY { "none".to_owned() } else { most.to_string() };
    let streams = limit.saturating_sub(OTHER_OPEN_FILES);
    let finding = format!(
        "{limit} open files (hard limit {most}): up to {streams} streams, half of that with both \
         ends in one process"
    );
    ok_if(streams >= 1_000, finding, "ulimit -n 65536")
}

pub(super) fn locked_memory(_: &DoctorInput<'_>) -> Answer {
    judge_locked_memory(limits(Resource::RLIMIT_MEMLOCK)?.0)
}

fn judge_locked_memory(limit: u64) -> Answer {
    // The kernel's default since Linux 5.16; before, 64 KiB.
    const ENOUGH_BYTES: u64 = 8 << 20;
    if limit == RLIM_INFINITY {
        return ok("no limit of locked memory");
    }
    let finding = format!(
        "{} KiB of locked memory, which bounds MSG_ZEROCOPY data in flight and io_uring's \
         registered buffers of an unprivileged process",
        limit / 1_024
    );
    ok_if(limit >= ENOUGH_BYTES, finding, "ulimit -l unlimited")
}

pub(super) fn routes(_: &DoctorInput<'_>) -> Answer {
    match netlink::route_device(IpAddr::from(Ipv4Addr::LOCALHOST), None).and_then(netlink::link) {
        Ok(_) => ok("netlink answers: the device to a peer will be named"),
        Err(error) => device_unknown("netlink", &error),
    }
}

pub(super) fn offloads(_: &DoctorInput<'_>) -> Answer {
    let known =
        Ethtool::open("lo").and_then(|ethtool| ethtool.offloads().map(|(_, s)| s).collect());
    match known {
        Ok::<Vec<bool>, _>(_) => ok("ethtool answers: offloads will be told"),
        Err(error) => device_unknown("ethtool", &error),
    }
}

fn device_unknown(what: &str, error: &io::Error) -> Answer {
    warn(
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
        let (status, few, _) = judge_open_files(256, 4_096).unwrap();
        assert_eq!(status, CheckStatus::Warn);
        assert!(few.contains("up to 192 streams") && few.contains("4096"));
        let status = |answer: Answer| answer.unwrap().0;
        assert_eq!(status(judge_open_files(20_000, RLIM_INFINITY)), CheckStatus::Ok);
        assert_eq!(status(judge_open_files(RLIM_INFINITY, RLIM_INFINITY)), CheckStatus::Ok);
        let (bad, little, _) = judge_locked_memory(65_536).unwrap();
        assert_eq!((bad, little.starts_with("64 KiB")), (CheckStatus::Warn, true));
        assert_eq!(status(judge_locked_memory(8 << 20)), CheckStatus::Ok);
    }

    #[test]
    fn what_is_tried_is_tried_for_real() {
        assert_eq!(on("tcp_info", &[]).status, CheckStatus::Ok);
        assert_eq!(on("routes", &[]).status, CheckStatus::Ok);
        let ring = on("io_uring", &[]);
        assert_eq!(ring.status == CheckStatus::Ok, io_uring::IoUring::new(2).is_ok(), "{ring:?}");
    }
}
