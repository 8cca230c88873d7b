//! Ceilings that were asked for or are known: pacing, offered rate, line rate, the generator's own.

use super::{bound, cpu};
use crate::plan::Direction;
use crate::result::run::{Bound, Run, Verdict};
use crate::result::span::float;
use crate::units::rate_text;

/// A rate asked for counts as reached within this share of it.
const REACHED_SHARE: f64 = 0.05;
/// Late sends that a kept schedule may have.
const LATE_SHARE: f64 = 0.01;
/// Share of the line rate's payload from which on the line bound the run.
const LINE_SHARE: f64 = 0.9;
/// How near to podperf's own ceiling a run is bound by it, and how far beyond it the comparison
/// still holds between two machines: a share of the ceiling.
const NEAR_SHARE: f64 = 0.1;
/// What Ethernet adds to a packet on the wire, in bytes: header 14, check sequence 4, preamble 8,
/// gap 12 (IEEE 802.3).
const ETHERNET_BYTES: f64 = 38.0;
/// IPv4 and TCP headers with timestamps, in bytes, where the MSS is not known.
const HEADERS_BYTES: f64 = 52.0;

/// Pacing asked for on every stream, and the goodput as high as that.
pub(super) fn pacing(run: &Run) -> Option<Verdict> {
    let pacing = run.plan.socket.pacing_bits_per_second;
    let rate = run.plan.workload.datagram_rate().or(pacing).filter(|rate| rate.0 > 0)?;
    let ways = if run.plan.workload.direction()? == Direction::Both { 2.0 } else { 1.0 };
    let asked = float(rate.0) * f64::from(run.plan.flows) * ways;
    let goodput = run.throughput.as_ref()?.bits_per_second;
    let by = if run.plan.socket.policy_bits_per_second.is_some() {
        "that the server's policy allows the run"
    } else {
        "asked for by pacing"
    };
    ((goodput - asked).abs() <= REACHED_SHARE * asked).then(|| {
        bound(Bound::Pacing, format!("goodput {} of {} {by}", rate_text(goodput), rate_text(asked)))
    })
}

/// An open loop whose schedule was kept and answered.
pub(super) fn offered_rate(run: &Run) -> Option<Verdict> {
    let asked = run.plan.workload.rate_per_second().filter(|rate| *rate > 0.0)?;
    let done = run.transactions.as_ref()?.per_second;
    let schedule = run.schedule.clone().unwrap_or_default();
    let in_time = float(schedule.late) <= LATE_SHARE * float(schedule.due);
    (in_time && (done - asked).abs() <= REACHED_SHARE * asked).then(|| {
        bound(
            Bound::OfferedRate,
            format!("{done:.0} of {asked:.0} transactions/s asked for, the schedule was kept"),
        )
    })
}

/// The slower device's line rate less headers, and goodput one way near it. Links are taken as full
/// duplex.
pub(super) fn link(run: &Run) -> Option<Verdict> {
    let devices = run.host.named().into_iter().filter_map(|(end, host)| {
        let device = host.as_ref()?.device.as_ref()?;
        let speed = device.speed_bits_per_second.filter(|speed| *speed > 0)?;
        Some((end, device, speed))
    });
    let (end, device, speed) = devices.min_by_key(|(_, _, speed)| *speed)?;
    let throughput = run.throughput.as_ref()?;
    let goodput = throughput.up_bits_per_second.into_iter().chain(throughput.down_bits_per_second);
    let goodput = goodput.reduce(f64::max)?;
    let mtu = f64::from(device.mtu_bytes?);
    let segments = run.streams.iter().flat_map(|stream| stream.tcp.named());
    let mss = segments.filter_map(|(_, tcp)| tcp.as_ref()).map(|tcp| f64::from(tcp.mss_bytes));
    let payload = mss.reduce(f64::max).unwrap_or(mtu - HEADERS_BYTES).clamp(0.0, mtu);
    let capacity = float(speed) * payload / (mtu + ETHERNET_BYTES);
    (goodput >= LINE_SHARE * capacity && capacity > 0.0).then(|| {
        bound(
            Bound::Link,
            format!(
                "goodput {} is {:.0} % of the {} payload that {end}'s {} can carry at {}",
                rate_text(goodput),
                100.0 * goodput / capacity,
                rate_text(capacity),
                device.name,
                rate_text(float(speed))
            ),
        )
    })
}

/// As fast as podperf is over loopback. Beyond that, between two machines, loopback tells nothing:
/// there each end has CPUs of its own.
pub(super) fn generator(run: &Run) -> Option<Verdict> {
    let ceiling = run.ceiling.as_ref()?;
    let most = if run.same_machine() { f64::INFINITY } else { 1.0 + NEAR_SHARE };
    if !(1.0 - NEAR_SHARE..=most).contains(&ceiling.share) {
        return None;
    }
    let share = 100.0 * ceiling.share;
    let figure = match (ceiling.bits_per_second, ceiling.latency_p50_ns) {
        (Some(rate), _) => {
            let goodput = rate_text(run.throughput.as_ref()?.bits_per_second);
            format!("goodput {goodput} is {share:.0} % of the {} over loopback", rate_text(rate))
        }
        (_, Some(floor_ns)) => {
            let p50_us = float(run.latency.as_ref()?.p50?) / 1e3;
            format!(
                "median latency {p50_us:.1} µs; the {:.1} µs over loopback are {share:.0} % of it",
                float(floor_ns) / 1e3
            )
        }
        _ => return None,
    };
    let basis = format!("{}, calibrated {}", ceiling.figure, ceiling.taken_at);
    let mut verdict = bound(Bound::Generator, format!("{figure} ({basis})"));
    verdict.evidence.extend(cpu::spare(run));
    Some(verdict)
}
