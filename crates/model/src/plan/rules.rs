//! Every rule about what a plan may ask, apart from what only the local system knows (which CPUs,
//! which congestion controls).
//!
//! Enters: a plan, made from a command line or received from a peer. Leaves: acceptance, or an
//! error that names the option, its value and what is allowed. Applied by the constructor of
//! `CheckedPlan`: on the client before any network traffic, and on the server to what it received.
//! No I/O here.

mod udp;

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use humantime::format_duration;

use crate::error::{Error, Result};
use crate::plan::limits::Limits;
use crate::plan::{
    CrrPlan, Direction, EndPlan, LoadPlan, MAX_BUSY_POLL_US, Pin, Plan, ReceiveMethod, RrPlan,
    SocketPlan, StopCondition, StreamPlan, Wait, Workload,
};
use crate::units::{BitRate, Bytes};

/// Shortest time between two readings.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// As long as a run may last at the most.
const MAX_STALL_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Bounds of TCP_MAXSEG: TCP_MIN_MSS (include/net/tcp.h) and MAX_TCP_WINDOW, beyond which
/// setsockopt answers EINVAL (net/ipv4/tcp.c).
const MSS_BYTES: RangeInclusive<u32> = 88..=32_767;
/// SO_SNDBUF and SO_RCVBUF are doubled into an int (net/core/sock.c).
const MAX_BUFFER_BYTES: Bytes = Bytes((1 << 30) - 1);
/// TCP_CA_NAME_MAX without its terminating zero (include/net/tcp.h).
const MAX_CONGESTION_CONTROL_CHARS: usize = 15;
/// Code points have six bits (RFC 2474).
const MAX_DSCP: u8 = 63;
/// CPU ids that a fixed-size cpu_set_t can name (CPU_SETSIZE, sched_setaffinity(2)).
pub const MAX_CPUS: u32 = 1024;
/// The smallest page of any architecture; TCP_ZEROCOPY_RECEIVE maps nothing smaller.
const PAGE_BYTES: Bytes = Bytes(4096);
const MAX_RATE_PER_SECOND: f64 = 1e9;
/// SO_MAX_PACING_RATE counts whole bytes per second; zero would stop the stream.
pub(super) const MIN_PACING_RATE: BitRate = BitRate(8);

/// Accepts a plan, or names the option, its value and what is allowed.
///
/// # Errors
/// A usage error on the first rule that is broken.
pub(super) fn check(plan: &Plan, limits: &Limits) -> Result<()> {
    check_flows(plan, limits)?;
    match &plan.workload {
        Workload::Stream(stream) => check_stream(stream, limits)?,
        Workload::Rr(rr) => check_rr(rr, limits)?,
        Workload::Crr(crr) => check_crr(crr, limits)?,
        Workload::Udp(stream) => udp::check_stream(stream)?,
        Workload::UdpRr(rr) => udp::check_rr(rr)?,
    }
    if plan.workload.is_udp() {
        udp::check_socket(&plan.socket)?;
    }
    check_stop_condition(plan)?;
    check_times(plan, limits)?;
    let connections = plan.connections();
    check_end(&plan.client, ["--workers", "--pin"], connections, limits)?;
    check_end(&plan.server, ["--server-workers", "--server-pin"], connections, limits)?;
    check_wait("--wait", plan.client.wait, plan)?;
    check_wait("--server-wait", plan.server.wait, plan)?;
    check_socket(&plan.socket)?;
    check_options(plan)
}

fn check_flows(plan: &Plan, limits: &Limits) -> Result<()> {
    match plan.workload.direction() {
        Some(Direction::Both) => {
            let (flows, all) = (plan.flows, limits.connections);
            if flows == 0 || flows > all / 2 {
                let most = all / 2;
                let allowed = format!("allowed: 1 to {most} (two connections each, {all} in all)");
                return Err(Error::usage("--streams", flows, allowed));
            }
            Ok(())
        }
        _ => {
            let tcp_flows = plan.workload.transacts() && !plan.workload.is_udp();
            let option = if tcp_flows { "--flows" } else { "--streams" };
            within(option, plan.flows, 1..=limits.connections)?;
            plan.load().map_or(Ok(()), |load| check_load(load, plan, limits))
        }
    }
}

/// Load goes on until it is told to stop, which a run by count never says.
fn check_load(load: &LoadPlan, plan: &Plan, limits: &Limits) -> Result<()> {
    let most = (limits.connections - plan.flows) / load.stream.direction.ways();
    if load.streams == 0 || load.streams > most {
        let (flows, all) = (plan.flows, limits.connections);
        let allowed =
            format!("allowed: 1 to {most} beside {flows} flows ({all} connections in all)");
        return Err(Error::usage("--load", load.streams, allowed));
    }
    if !matches!(plan.stop_condition, StopCondition::Time { .. }) {
        return Err(Error::usage("--load", load.streams, "allowed: with --time only"));
    }
    within("--load-length", load.stream.message_bytes, Bytes(1)..=limits.message)
}

fn check_stream(stream: &StreamPlan, limits: &Limits) -> Result<()> {
    within("--length", stream.message_bytes, Bytes(1)..=limits.message)?;
    if stream.receive == ReceiveMethod::Mmap && stream.message_bytes < PAGE_BYTES {
        let allowed =
            format!("allowed: --length {PAGE_BYTES} or more, since whole pages are mapped");
        return Err(Error::usage("--recv", "mmap", allowed));
    }
    Ok(())
}

fn check_rr(rr: &RrPlan, limits: &Limits) -> Result<()> {
    within("--request", rr.request_bytes, Bytes(1)..=limits.message)?;
    within("--response", rr.response_bytes, Bytes(1)..=limits.message)?;
    within("--burst", rr.burst, 1..=limits.burst)?;
    let Some(rate) = rr.rate_per_second else { return Ok(()) };
    check_rate(rate)?;
    if rr.burst != 1 {
        let allowed = "allowed: 1 together with --rate, which keeps as many requests in flight as \
                       its schedule asks for";
        return Err(Error::usage("--burst", rr.burst, allowed));
    }
    Ok(())
}

fn check_crr(crr: &CrrPlan, limits: &Limits) -> Result<()> {
    within("--request", crr.request_bytes, Bytes(1)..=limits.message)?;
    within("--response", crr.response_bytes, Bytes(1)..=limits.message)?;
    crr.rate_per_second.map_or(Ok(()), check_rate)
}

fn check_rate(rate: f64) -> Result<()> {
    if rate > 0.0 && rate <= MAX_RATE_PER_SECOND {
        return Ok(());
    }
    let allowed = "allowed: more than 0 and at most 1000000000 requests per second";
    Err(Error::usage("--rate", rate, allowed))
}

/// Streams wait for room as much as for data, and a sender that spins for room moves nothing more.
/// Datagrams have timeouts.
fn check_wait(option: &str, wait: Wait, plan: &Plan) -> Result<()> {
    let waits = plan.workload.transacts() && !plan.workload.is_udp();
    if wait != Wait::Block && !waits {
        return Err(Error::usage(option, wait, "allowed: with request/response by TCP only"));
    }
    wait.busy_poll_us().map_or(Ok(()), |us| within(option, us, 1..=MAX_BUSY_POLL_US))
}

/// Options of sockets that suit some workloads only.
fn check_options(plan: &Plan) -> Result<()> {
    if let Some(pacing) = plan.pacing.filter(|_| !plan.workload.is_scheduled()) {
        let allowed = "allowed: with a rate to keep (--rate, or udp -b)";
        return Err(Error::usage("--pacing", pacing.name(), allowed));
    }
    let refuse = |option, allowed| Err(Error::usage(option, "on", allowed));
    let SocketPlan { cork, no_delay, quick_ack, .. } = plan.socket;
    if cork && plan.workload.transacts() {
        return refuse("--cork", "allowed: with streams only, a response would wait 200 ms");
    }
    if cork && no_delay {
        return refuse("--cork", "allowed: without --no-delay, which asks for the opposite");
    }
    if quick_ack && plan.workload.short_lived().is_some() {
        let allowed = "allowed: with connections that last; a new one acknowledges quickly anyway";
        return refuse("--quick-ack", allowed);
    }
    Ok(())
}

/// The extent fits the workload and is not empty. A flow that has nothing to do would never start,
/// so a count is at least one a flow.
fn check_stop_condition(plan: &Plan) -> Result<()> {
    let stream = !plan.workload.transacts();
    match plan.stop_condition {
        StopCondition::Time { .. } => Ok(()),
        StopCondition::Bytes { total_bytes } if stream => {
            at_least("--bytes", total_bytes, Bytes(plan.flows.into()))
        }
        StopCondition::Bytes { total_bytes } => {
            Err(Error::usage("--bytes", total_bytes, "allowed: with streams only"))
        }
        StopCondition::Transactions { total } if !stream => {
            at_least("--transactions", total, plan.flows.into())
        }
        StopCondition::Transactions { total } => {
            Err(Error::usage("--transactions", total, "allowed: with request/response only"))
        }
    }
}

/// Warm-up, window and interval. A window that ends by count has no length yet; it is held to the
/// limits while it runs.
fn check_times(plan: &Plan, limits: &Limits) -> Result<()> {
    let refuse = |option, value, allowed: fmt::Arguments<'_>| {
        Err(Error::usage(option, format_duration(value), format!("allowed: {allowed}")))
    };
    let most = format_duration(limits.duration);
    if plan.warm_up > limits.duration {
        return refuse("--omit", plan.warm_up, format_args!("0s to {most}"));
    }
    let longest = limits.duration - plan.warm_up;
    let window = match plan.stop_condition {
        StopCondition::Time { window } if window.is_zero() || window > longest => {
            let most = format_duration(longest);
            return refuse("--time", window, format_args!("more than 0s, at most {most}"));
        }
        StopCondition::Time { window } => window,
        StopCondition::Bytes { .. } | StopCondition::Transactions { .. } => Duration::ZERO,
    };
    if plan.stall_timeout.is_zero() || plan.stall_timeout > MAX_STALL_TIMEOUT {
        let most = format_duration(MAX_STALL_TIMEOUT);
        let allowed = format_args!("more than 0s, at most {most}");
        return refuse("--stall-timeout", plan.stall_timeout, allowed);
    }
    if plan.interval.is_zero() {
        return Ok(());
    }
    if plan.interval < MIN_INTERVAL || plan.interval > limits.duration {
        let least = format_duration(MIN_INTERVAL);
        return refuse("--interval", plan.interval, format_args!("0 (none), {least} to {most}"));
    }
    if window.as_nanos().div_ceil(plan.interval.as_nanos()) > u128::from(limits.intervals) {
        let (count, window) = (limits.intervals, format_duration(window));
        let allowed = format_args!("at most {count} intervals in a window of {window}");
        return refuse("--interval", plan.interval, allowed);
    }
    Ok(())
}

fn check_end(
    end: &EndPlan,
    [workers_option, pin_option]: [&str; 2],
    connections: u32,
    limits: &Limits,
) -> Result<()> {
    if let Some(workers) = end.workers {
        let most = limits.workers.min(connections);
        if !(1..=most).contains(&workers) {
            let allowed = format!("allowed: 1 to {most} (no more workers than connections)");
            return Err(Error::usage(workers_option, workers, allowed));
        }
    }
    let Pin::List(cpus) = &end.pin else { return Ok(()) };
    if cpus.is_empty() {
        return Err(Error::usage(pin_option, "", "allowed: at least one CPU"));
    }
    // A bit a CPU, so that a list from a peer costs the same whatever its length.
    let mut seen = [false; MAX_CPUS as usize];
    for &cpu in cpus {
        within(pin_option, cpu, 0..=MAX_CPUS - 1)?;
        if std::mem::replace(&mut seen[cpu as usize], true) {
            return Err(Error::usage(pin_option, cpu, "allowed: each CPU once"));
        }
    }
    Ok(())
}

fn check_socket(socket: &SocketPlan) -> Result<()> {
    if let Some(name) = &socket.congestion_control {
        let chars =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        if !(1..=MAX_CONGESTION_CONTROL_CHARS).contains(&name.len()) || !name.bytes().all(chars) {
            let allowed = "allowed: a name of 1 to 15 characters out of a-z, 0-9, _ and -";
            return Err(Error::usage("--congestion", name.escape_debug(), allowed));
        }
    }
    if let Some(bytes) = socket.buffer_bytes {
        within("--window", bytes, Bytes(1)..=MAX_BUFFER_BYTES)?;
    }
    if let Some(mss) = socket.mss_bytes {
        within("--mss", mss, MSS_BYTES)?;
    }
    if let Some(rate) = socket.pacing_bits_per_second {
        at_least("--bitrate", rate, MIN_PACING_RATE)?;
    }
    if let Some(dscp) = socket.dscp {
        within("--dscp", dscp, 0..=MAX_DSCP)?;
    }
    Ok(())
}

fn within<T: PartialOrd + fmt::Display>(
    option: &str,
    value: T,
    allowed: RangeInclusive<T>,
) -> Result<()> {
    if allowed.contains(&value) {
        return Ok(());
    }
    let allowed = format!("allowed: {} to {}", allowed.start(), allowed.end());
    Err(Error::usage(option, value, allowed))
}

fn at_least<T: PartialOrd + fmt::Display>(option: &str, value: T, least: T) -> Result<()> {
    if value >= least {
        return Ok(());
    }
    Err(Error::usage(option, value, format!("allowed: at least {least}")))
}
