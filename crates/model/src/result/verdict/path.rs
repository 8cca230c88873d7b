//! What the path did: losses that kept TCP's congestion window small, a queue that stays filled, a
//! shaper, datagrams that were lost on the way.
//!
//! TCP says how long it was busy, and how long of that the receive window or the send buffer held
//! it back; the rest is the congestion window's time. What kept the window there is told by the
//! round trip: a standing queue raises it over its minimum, and then losses are that queue's
//! overflow; losses with no queue are the path's own.

use super::{bound, cpu, mean_limits};
use crate::facts::DeviceFacts;
use crate::plan::{Direction, Role};
use crate::reading::TcpInfo;
use crate::result::losses::{DatagramLosses, receiver};
use crate::result::run::{Bound, Run, Stream, StreamDirection, Verdict};
use crate::result::span::{ROLES, float};
use crate::result::wording::end_name;
use crate::units::{rate_text, time_text};

/// Share of the window that TCP must be busy, and share of that time that must be the congestion
/// window's.
const MIN_BUSY_SHARE: f64 = 0.5;
const MIN_WINDOW_SHARE: f64 = 0.5;
/// Retransmitted segments from which on losses hold a stream back, as a share of those sent.
const MIN_RETRANSMIT_SHARE: f64 = 0.002;
/// A queue stands where the round trip is so many times its minimum and so much longer.
const MIN_QUEUE_RATIO: f64 = 2.0;
const MIN_QUEUE_US: f64 = 1_000.0;
/// What waits in it at the least, in segments: a few are under way on any path, and late on a busy
/// machine.
const MIN_QUEUE_SEGMENTS: f64 = 4.0;
/// Goodput is flat where no interval has less than this share of the best. A wait that is longer
/// than a busy CPU makes one needs less of it, and one of a tenth of a second none: on a slow link
/// a segment that is sent again holds back the payload behind it for seconds.
const MIN_FLAT_SHARE: f64 = 0.85;
const LONG_QUEUE_US: f64 = 10_000.0;
const MIN_LONG_FLAT_SHARE: f64 = 0.5;
const LONGEST_QUEUE_US: f64 = 100_000.0;
/// With a queue before it the bottleneck is never idle, so goodput is near what TCP saw delivered
/// (tcpi_delivery_rate); after losses TCP waits, and goodput falls behind it.
const MIN_DELIVERED_SHARE: f64 = 0.5;
/// A shaper is reached from this share of its rate on.
const MIN_SHAPER_SHARE: f64 = 0.85;
/// Datagrams lost on the path that bound a run, as a share of those sent.
const MIN_PATH_LOSS_SHARE: f64 = 0.01;
/// sqrt(3/2), the constant of Mathis, Semke, Mahdavi and Ott (1997) without delayed
/// acknowledgements.
const MATHIS: f64 = 1.22;

/// What the senders' TCP tells of the path, over all streams.
struct SendersView {
    streams: f64,
    retransmits: f64,
    /// Segments sent, the retransmitted ones included.
    segments: f64,
    /// Means over the streams.
    rtt_us: f64,
    min_rtt_us: f64,
    mss_bytes: f64,
    /// Sums over the streams, in bits per second.
    goodput: f64,
    delivered: f64,
}

impl SendersView {
    /// Of streams that the congestion window held, on machines that have CPU left; absent for all
    /// others.
    fn of(run: &Run, cpu_left: fn(&Run) -> bool) -> Option<Self> {
        let limits = mean_limits(run)?;
        let window = limits.busy - limits.receive_window - limits.send_buffer;
        let held = limits.busy >= MIN_BUSY_SHARE && window >= MIN_WINDOW_SHARE * limits.busy;
        if run.plan.workload.transacts() || !held || !cpu_left(run) {
            return None;
        }
        let all: Vec<(&Stream, &TcpInfo)> = run.streams.iter().filter_map(sender).collect();
        if all.is_empty() {
            return None;
        }
        let streams = float(u64::try_from(all.len()).unwrap_or(u64::MAX));
        let sum = |of: fn(&Stream, &TcpInfo) -> f64| -> f64 {
            all.iter().map(|(stream, tcp)| of(stream, tcp)).sum()
        };
        let at_end_us = sum(|_, tcp| f64::from(tcp.rtt_us)) / streams;
        let retransmits = sum(|stream, _| float(stream.retransmits.unwrap_or(0)));
        let whole = sum(|stream, tcp| {
            float(stream.bytes_received.unwrap_or(0)) / f64::from(tcp.mss_bytes.max(1))
        });
        Some(Self {
            streams,
            retransmits,
            segments: whole + retransmits,
            rtt_us: median_rtt_us(run).unwrap_or(at_end_us),
            min_rtt_us: sum(|_, tcp| f64::from(tcp.min_rtt_us)) / streams,
            mss_bytes: sum(|_, tcp| f64::from(tcp.mss_bytes)) / streams,
            goodput: sum(|stream, _| stream.bits_per_second.unwrap_or(0.0)),
            delivered: sum(|_, tcp| 8.0 * float(tcp.delivery_rate_bytes_per_second)),
        })
    }

    fn loss_share(&self) -> f64 {
        self.retransmits / self.segments.max(1.0)
    }

    /// A queue stands on the path; `rates` are those of whole intervals.
    fn queued(&self, rates: &[f64]) -> bool {
        let known = self.min_rtt_us > 0.0 && self.min_rtt_us < f64::from(u32::MAX);
        let waiting_us = self.rtt_us - self.min_rtt_us;
        let segments = waiting_us / 1e6 * self.goodput / 8.0 / self.mss_bytes;
        known
            && self.rtt_us >= MIN_QUEUE_RATIO * self.min_rtt_us
            && waiting_us >= MIN_QUEUE_US
            && segments >= MIN_QUEUE_SEGMENTS
            && self.goodput >= MIN_DELIVERED_SHARE * self.delivered
            && flat(rates, least_flat_share(waiting_us))
    }

    fn round_trip(&self) -> String {
        format!(
            "round trip {}, {} at the least",
            time_text(self.rtt_us),
            time_text(self.min_rtt_us)
        )
    }

    /// What the rate of retransmits allows all streams together, in bits per second.
    fn mathis(&self) -> f64 {
        let each = 8.0 * self.mss_bytes * MATHIS / (self.rtt_us / 1e6 * self.loss_share().sqrt());
        each * self.streams
    }
}

/// A stream with the TCP_INFO of the end that sends it.
fn sender(stream: &Stream) -> Option<(&Stream, &TcpInfo)> {
    let role = match stream.direction {
        StreamDirection::Up => Role::Client,
        StreamDirection::Down => Role::Server,
        StreamDirection::Exchange => return None,
    };
    Some((stream, stream.tcp.get(role).as_ref().filter(|tcp| tcp.rtt_us > 0)?))
}

/// The median over the intervals, where there are enough: at one instant a queue may just have
/// emptied.
fn median_rtt_us(run: &Run) -> Option<f64> {
    let mut all: Vec<u32> = run.intervals.iter().filter_map(|interval| interval.rtt_us).collect();
    all.sort_unstable();
    (all.len() > 2).then(|| f64::from(all[all.len() / 2]))
}

/// Segments that the path lost, with no queue before it.
pub(super) fn loss(run: &Run) -> Option<Verdict> {
    let view = SendersView::of(run, cpu::enough)?;
    let queue = view.queued(&whole_intervals(run));
    if view.loss_share() < MIN_RETRANSMIT_SHARE || queue || !shapers(run).is_empty() {
        return None;
    }
    let mut verdict = bound(
        Bound::Loss,
        format!(
            "{:.0} of about {:.0} segments ({:.2} %) were retransmitted, and TCP kept its \
             congestion window small for that",
            view.retransmits,
            view.segments,
            100.0 * view.loss_share()
        ),
    );
    verdict.evidence.push(format!(
        "{}; for such a loss the Mathis formula gives {}, goodput was {}",
        view.round_trip(),
        rate_text(view.mathis()),
        rate_text(view.goodput)
    ));
    Some(verdict)
}

/// A queue or a shaper, or datagrams lost between the ends.
pub(super) fn path(run: &Run) -> Option<Verdict> {
    datagrams(run).or_else(|| queue(run))
}

fn queue(run: &Run) -> Option<Verdict> {
    let view = SendersView::of(run, cpu::plenty)?;
    let shapers = shapers(run);
    let rates = whole_intervals(run);
    if shapers.is_empty() && !view.queued(&rates) {
        return None;
    }
    let mut evidence = shapers;
    evidence.push(format!("{}: data waits in a queue on the path", view.round_trip()));
    if let [Some(low), Some(high)] = extremes(&rates) {
        let (low, high) = (rate_text(low), rate_text(high));
        evidence.push(format!("goodput between {low} and {high} in {} intervals", rates.len()));
    }
    if view.retransmits > 0.0 {
        evidence.push(format!("{:.2} % of segments retransmitted", 100.0 * view.loss_share()));
    }
    evidence.extend(cpu::spare(run));
    Some(Verdict { bound_by: Bound::Path, evidence })
}

/// Goodput of each interval that has its full length.
fn whole_intervals(run: &Run) -> Vec<f64> {
    let whole = run.intervals.iter().filter(|interval| !interval.partial);
    whole.filter_map(|interval| interval.bits_per_second).collect()
}

/// The lowest and the highest of several rates.
fn extremes(rates: &[f64]) -> [Option<f64>; 2] {
    let several = || rates.iter().copied().filter(|_| rates.len() > 1);
    [several().reduce(f64::min), several().reduce(f64::max)]
}

/// How flat goodput has to be for a wait to be a queue's.
fn least_flat_share(waiting_us: f64) -> f64 {
    match waiting_us {
        LONGEST_QUEUE_US.. => 0.0,
        LONG_QUEUE_US.. => MIN_LONG_FLAT_SHARE,
        _ => MIN_FLAT_SHARE,
    }
}

/// A bottleneck that is never idle gives the same in each interval; one alone does not tell.
fn flat(rates: &[f64], least_share: f64) -> bool {
    match extremes(rates) {
        [Some(low), Some(high)] => low >= least_share * high,
        _ => true,
    }
}

/// The shapers of the sending ends' devices whose rate was reached, in words.
fn shapers(run: &Run) -> Vec<String> {
    let reached = |role: Role| {
        let device = run.host.get(role).as_ref()?.device.as_ref()?;
        let rate = float(device.shaper_bits_per_second.filter(|rate| *rate > 0)?);
        let throughput = run.throughput.as_ref()?;
        let goodput = match role {
            Role::Client => throughput.up_bits_per_second,
            Role::Server => throughput.down_bits_per_second,
        };
        let share = goodput? / rate;
        (share >= MIN_SHAPER_SHARE).then(|| shaper(role, device, rate, share))
    };
    ROLES.into_iter().filter_map(reached).collect()
}

fn shaper(role: Role, device: &DeviceFacts, rate: f64, share: f64) -> String {
    format!(
        "{}: {} is shaped to {} by its qdisc {} (tc qdisc show dev {}); goodput is {:.0} % of it",
        end_name(role),
        device.name,
        rate_text(rate),
        device.qdisc.as_deref().unwrap_or("?"),
        device.name,
        100.0 * share
    )
}

/// Datagrams of which most were lost before they came to the receiver's kernel.
fn datagrams(run: &Run) -> Option<Verdict> {
    let udp = run.plan.workload.datagram_stream()?;
    let losses = DatagramLosses::of(run)?;
    let on_path = losses.on_path();
    if on_path < MIN_PATH_LOSS_SHARE * losses.sent || 2.0 * on_path < losses.lost {
        return None;
    }
    let mut verdict = bound(Bound::Path, losses.text(receiver(udp)));
    if udp.direction != Direction::Both {
        verdict.evidence.extend(shapers(run));
    }
    verdict.evidence.extend(cpu::spare(run));
    Some(verdict)
}
