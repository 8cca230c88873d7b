//! Bytes, rates and the state of TCP, over all streams and for each.
//!
//! The headline is what the receiver counted over the receiver's clock. Where the receiver's result
//! was lost, what the sender's kernel saw acknowledged stands in, and the result says so.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::plan::Role;
use crate::reading::{Reading, TcpInfo};
use crate::result::end_result::{EndReport, EndResult, FlowReport};
use crate::result::run::{
    Ends, Lifetime, Limited, SocketFacts, Stream, StreamDirection, Throughput,
};
use crate::result::span::{
    Amount, EndResults, EndSpans, Goodput, ROLES, bytes_per_call, float, other, receives, sends,
};
use crate::result::udp;

/// Goodput over `flows`; nothing when nobody counted anything.
pub(super) fn throughput(spans: &EndSpans<'_>, flows: Range<u32>) -> Option<Throughput> {
    let up = spans.all_received(Role::Server, flows.clone());
    let down = spans.all_received(Role::Client, flows.clone());
    let all = up.into_iter().chain(down).reduce(Goodput::plus)?;
    let sent = spans.all_sent(flows.clone());
    Some(Throughput {
        bits_per_second: all.amount.bits_per_second,
        sent_bits_per_second: sent.map(|sent| sent.bits_per_second),
        bytes_received: all.amount.bytes,
        bytes_sent: sent.map(|sent| sent.bytes),
        up_bits_per_second: up.map(|up| up.amount.bits_per_second),
        down_bits_per_second: down.map(|down| down.amount.bits_per_second),
        retransmits: spans.total(flows, EndSpans::retransmits),
        from_sender: all.from_sender,
    })
}

/// One entry a flow.
pub(super) fn streams(spans: &EndSpans<'_>, end_results: &EndResults<'_>) -> Vec<Stream> {
    let reports = Ends::of(|role| flow_reports(end_results.report(role)));
    spans.flows().map(|id| stream(spans, end_results, &reports, id)).collect()
}

fn stream(
    spans: &EndSpans<'_>,
    end_results: &EndResults<'_>,
    reports: &Ends<BTreeMap<u32, &FlowReport>>,
    id: u32,
) -> Stream {
    let received = spans.flow_received(id).map(|received| received.amount);
    let tcp = Ends::of(|role| tcp_of(end_results.readings(role), id));
    let report = |role: Role| reports.get(role).get(&id).copied();
    let senders: Vec<Role> = spans.senders(id).collect();
    let sending = senders.iter().filter_map(|role| report(*role));
    let receiving = senders.iter().filter_map(|role| report(other(*role)));
    Stream {
        id,
        direction: StreamDirection::of(spans.plan.flow_role(Role::Client, id)),
        bytes_received: received.map(|amount| amount.bytes),
        tcp_bytes_received: spans.tcp_received(id),
        bytes_sent: spans.flow_sent(id).map(|amount: Amount| amount.bytes),
        bits_per_second: received.map(|amount| amount.bits_per_second),
        retransmits: spans.retransmits(id),
        rtt_us: tcp.get(spans.reporting_end(id)).map(|tcp| tcp.rtt_us),
        transactions: spans.transactions(id).map(|(count, _)| count),
        mean_send_bytes: bytes_per_call(sending, sends),
        mean_receive_bytes: bytes_per_call(receiving, receives),
        lifetime: lifetime(&senders, report).filter(|_| spans.paired()),
        datagrams: udp::facts(spans, id, report),
        tcp,
        limited: limited(spans, id),
        socket: Ends::of(|role| socket(*end_results.get(role), id)),
    }
}

fn flow_reports(report: Option<&EndReport>) -> BTreeMap<u32, &FlowReport> {
    report.map_or(&[][..], |report| &report.flows).iter().map(|flow| (flow.id, flow)).collect()
}

fn tcp_of(readings: &[Reading], id: u32) -> Option<TcpInfo> {
    readings.last()?.flows.get(usize::try_from(id).ok()?)?.tcp
}

fn socket(end_result: Option<&EndResult>, id: u32) -> Option<SocketFacts> {
    end_result?.facts.sockets.get(usize::try_from(id).ok()?).cloned()
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
pub(super) fn lifetime_of_all(end_results: &EndResults<'_>) -> Option<Lifetime> {
    let [client, server] = ROLES.map(|role| end_results.report(role));
    let mut life = Lifetime { drained: true, ..Lifetime::default() };
    for flow in client?.flows.iter().chain(&server?.flows) {
        life.bytes_sent = life.bytes_sent.saturating_add(flow.bytes_sent);
        life.bytes_received = life.bytes_received.saturating_add(flow.bytes_received);
        life.drained &= flow.drained;
    }
    Some(life)
}

/// Growth of the time TCP was busy and limited, over the window. The kernel counts them in its own
/// clock's steps, so a share is cut off at 1.
fn limited(spans: &EndSpans<'_>, id: u32) -> Option<Limited> {
    let span = spans.end(spans.reporting_end(id))?;
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
