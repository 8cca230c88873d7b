//! Bytes, rates and the state of TCP, over all streams and for each.
//!
//! The headline is what the receiver counted over the receiver's clock. Where the receiver's half
//! was lost, what the sender's kernel saw acknowledged stands in, and the result says so.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::plan::Role;
use crate::reading::TcpInfo;
use crate::result::end_result::{EndResult, FlowReport};
use crate::result::run::{
    Ends, Lifetime, Limited, SocketFacts, Stream, StreamDirection, Throughput,
};
use crate::result::span::{Amount, Sides, float, other};
use crate::result::udp;

/// Goodput over `flows`; nothing when nobody counted anything.
pub(super) fn throughput(sides: &Sides<'_>, flows: Range<u32>) -> Option<Throughput> {
    let up = sides.all_arrived(Role::Server, flows.clone());
    let down = sides.all_arrived(Role::Client, flows.clone());
    let all = up.into_iter().chain(down).reduce(super::span::Arrived::plus)?;
    let sent = sides.all_handed(flows.clone());
    Some(Throughput {
        bits_per_second: all.amount.bits_per_second,
        sent_bits_per_second: sent.map(|sent| sent.bits_per_second),
        bytes_received: all.amount.bytes,
        bytes_sent: sent.map(|sent| sent.bytes),
        up_bits_per_second: up.map(|up| up.amount.bits_per_second),
        down_bits_per_second: down.map(|down| down.amount.bits_per_second),
        retransmits: sides.total(flows, Sides::retransmits),
        from_sender: all.from_sender,
    })
}

/// One entry a flow.
pub(super) fn streams(sides: &Sides<'_>, halves: &Ends<Option<&EndResult>>) -> Vec<Stream> {
    let reports = Ends { client: flow_reports(halves.client), server: flow_reports(halves.server) };
    sides.flows().map(|id| stream(sides, halves, &reports, id)).collect()
}

fn stream(
    sides: &Sides<'_>,
    halves: &Ends<Option<&EndResult>>,
    reports: &Ends<BTreeMap<u32, &FlowReport>>,
    id: u32,
) -> Stream {
    let arrived = sides.flow_arrived(id).map(|arrived| arrived.amount);
    let tcp = Ends { client: tcp_of(halves.client, id), server: tcp_of(halves.server, id) };
    let report = |role: Role| reports.get(role).get(&id).copied();
    let senders: Vec<Role> = sides.senders(id).collect();
    let sending = senders.iter().filter_map(|role| report(*role));
    let receiving = senders.iter().filter_map(|role| report(other(*role)));
    Stream {
        id,
        direction: StreamDirection::of(sides.plan.flow_role(Role::Client, id)),
        bytes_received: arrived.map(|amount| amount.bytes),
        tcp_bytes_received: sides.tcp_received(id),
        bytes_sent: sides.flow_handed(id).map(|amount: Amount| amount.bytes),
        bits_per_second: arrived.map(|amount| amount.bits_per_second),
        retransmits: sides.retransmits(id),
        rtt_us: tcp.get(sides.speaker(id)).map(|tcp| tcp.rtt_us),
        transactions: sides.transactions(id).map(|(count, _)| count),
        mean_send_bytes: mean(sending.map(|flow| (flow.bytes_sent, flow.send_calls))),
        mean_receive_bytes: mean(receiving.map(|flow| (flow.bytes_received, flow.receive_calls))),
        lifetime: lifetime(&senders, report).filter(|_| sides.paired()),
        datagrams: udp::facts(sides, id, report),
        tcp,
        limited: limited(sides, id),
        socket: Ends { client: socket(halves.client, id), server: socket(halves.server, id) },
    }
}

fn flow_reports(half: Option<&EndResult>) -> BTreeMap<u32, &FlowReport> {
    let report = half.and_then(|half| half.report.as_ref());
    report.map_or(&[][..], |report| &report.flows).iter().map(|flow| (flow.id, flow)).collect()
}

fn tcp_of(half: Option<&EndResult>, id: u32) -> Option<TcpInfo> {
    half?.readings.last()?.flows.get(usize::try_from(id).ok()?)?.tcp
}

fn socket(half: Option<&EndResult>, id: u32) -> Option<SocketFacts> {
    half?.facts.sockets.get(usize::try_from(id).ok()?).cloned()
}

/// Bytes per call, over the flows given as (bytes, calls).
fn mean(flows: impl Iterator<Item = (u64, u64)>) -> Option<f64> {
    let (bytes, calls) = flows.reduce(|(bytes, calls), (more_bytes, more_calls)| {
        (bytes.saturating_add(more_bytes), calls.saturating_add(more_calls))
    })?;
    (calls > 0).then(|| float(bytes) / float(calls))
}

fn lifetime<'a>(
    senders: &[Role],
    report: impl Fn(Role) -> Option<&'a FlowReport>,
) -> Option<Lifetime> {
    let mut life = Lifetime { drained: true, ..Lifetime::default() };
    for sender in senders {
        let (from, to) = (report(*sender)?, report(other(*sender))?);
        life.bytes_sent = life.bytes_sent.saturating_add(from.bytes_sent);
        life.bytes_received = life.bytes_received.saturating_add(to.bytes_received);
        life.drained &= to.drained;
    }
    Some(life)
}

/// Both ends' bytes over all flows; nothing when an end did not report.
pub(super) fn lifetime_of_all(halves: &Ends<Option<&EndResult>>) -> Option<Lifetime> {
    let flows = |half: Option<&'_ EndResult>| Some(half?.report.as_ref()?.flows.clone());
    let mut life = Lifetime { drained: true, ..Lifetime::default() };
    for flow in flows(halves.client)?.into_iter().chain(flows(halves.server)?) {
        life.bytes_sent = life.bytes_sent.saturating_add(flow.bytes_sent);
        life.bytes_received = life.bytes_received.saturating_add(flow.bytes_received);
        life.drained &= flow.drained;
    }
    Some(life)
}

/// Growth of the time TCP was busy and limited, over the window. The kernel counts them in its own
/// clock's steps, so a share is cut off at 1.
fn limited(sides: &Sides<'_>, id: u32) -> Option<Limited> {
    let span = sides.end(sides.speaker(id))?;
    let (first, last) = span.tcp(id)?;
    let share = |of: fn(&TcpInfo) -> u64| {
        (float(of(last).saturating_sub(of(first))) / 1e6 / span.seconds).min(1.0)
    };
    Some(Limited {
        busy: share(|tcp| tcp.busy_us),
        receive_window: share(|tcp| tcp.rwnd_limited_us),
        send_buffer: share(|tcp| tcp.sndbuf_limited_us),
    })
}

/// Jain's index over the goodputs of each direction's streams, the lower of them; over their
/// transactions where goodput is not known by flow.
pub(super) fn fairness(streams: &[Stream]) -> Option<f64> {
    let share = |stream: &Stream| stream.bits_per_second.or_else(|| stream.transactions.map(float));
    let of = |direction| {
        let rates: Vec<f64> = streams
            .iter()
            .filter(|stream| stream.direction == direction)
            .filter_map(share)
            .collect();
        jain(&rates)
    };
    [StreamDirection::Up, StreamDirection::Down, StreamDirection::Exchange]
        .into_iter()
        .filter_map(of)
        .reduce(f64::min)
}

/// (Σx)² / (n·Σx²), Jain, Chiu, Hawe 1984; nothing when nothing moved.
#[expect(clippy::cast_precision_loss, reason = "a number of streams")]
fn jain(rates: &[f64]) -> Option<f64> {
    let sum: f64 = rates.iter().sum();
    let squares: f64 = rates.iter().map(|rate| rate * rate).sum();
    (squares > 0.0).then(|| (sum * sum / (rates.len() as f64 * squares)).min(1.0))
}
