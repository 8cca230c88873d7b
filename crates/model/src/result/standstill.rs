//! Whether anything moved: a run of which nothing was received, in its window or up to the window's
//! end, is not complete, whatever its senders handed to their kernels.
//!
//! Enters: both ends' readings of a run that went well otherwise. Leaves: what stood still, each
//! way, and single streams beside others that moved. A silence counts when it is longer than what
//! is offered, and the path's own round trips, explain.

use crate::error::{Code, Error, Kind};
use crate::plan::{FlowRole, Role, StopCondition};
use crate::reading::{FlowCounters, Reading, TcpInfo};
use crate::result::span::{EndResults, EndSpans, ROLES, float, other, seconds};
use crate::result::wording::{count, few, length};

/// Shortest silence at the window's end that is told, in seconds.
const MIN_SILENCE_SECONDS: f64 = 1.0;
/// The same as a share of the window.
const MIN_SILENCE_SHARE: f64 = 0.1;
/// And in round trips, since a sender that lost a packet waits for some of them.
const MIN_SILENCE_ROUND_TRIPS: f64 = 8.0;
/// A reading may come by this share of the silence too late.
const SLACK_SHARE: f64 = 0.05;
/// One stream stands still beside others when these move so many messages, or transactions, each:
/// where many share a machine, one may have no turn for a while.
const MIN_STEPS_OF_OTHERS: f64 = 8.0;
/// The rate asked for explains that nothing came when two payloads are apart by more than this
/// share of the window.
const MAX_GAP_SHARE: f64 = 0.25;
const REMEDY: &str = "look for what drops packets on the path: a firewall, or a smaller MTU that \
                      nobody tells of, which small requests (podperf rr) would pass";

/// Flows that carry the same, one way or both.
struct Way<'a> {
    spans: &'a EndSpans<'a>,
    end_results: &'a EndResults<'a>,
    ids: Vec<u32>,
    /// Who receives; of requests and responses the client, whose transactions count.
    receiver: Role,
    name: &'static str,
}

/// What stood still of a run that ended as planned.
pub(super) fn standstill<'a>(
    spans: &'a EndSpans<'a>,
    end_results: &'a EndResults<'a>,
) -> Vec<Error> {
    let mut found: Vec<Error> = Vec::new();
    let ways = ways(spans, end_results);
    let empty: Vec<bool> = ways.iter().map(Way::is_empty).collect();
    let measured = spans.measured();
    let of_run = |way: &Way<'_>| way.ids.iter().any(|id| measured.contains(id));
    let nothing = ways.iter().zip(&empty).all(|(way, empty)| *empty || !of_run(way));
    for (way, empty) in ways.iter().zip(empty) {
        // One of two ways may have had no turn in a short window.
        if empty && (nothing || way.window_seconds() >= MIN_SILENCE_SECONDS) {
            let kind = if nothing { Kind::Unmeasured } else { Kind::Incomplete };
            found.push(way.nothing_in_window(kind));
        } else if let StopCondition::Time { .. } = spans.plan.stop_condition {
            found.extend(way.nothing_at_end());
        }
    }
    found
}

/// All flows of a run, by what they carry where.
fn ways<'a>(spans: &'a EndSpans<'a>, end_results: &'a EndResults<'a>) -> Vec<Way<'a>> {
    let receiving = |receiver, name| {
        let part = FlowRole::Receive;
        let ids = spans.flows().filter(|id| spans.plan.flow_role(receiver, *id) == part).collect();
        Way { spans, end_results, ids, receiver, name }
    };
    let requests =
        spans.flows().filter(|id| spans.plan.flow_role(Role::Client, *id) == FlowRole::Request);
    let ids = requests.collect();
    let exchange = Way { spans, end_results, ids, receiver: Role::Client, name: "" };
    let up = receiving(Role::Server, " from client to server");
    let down = receiving(Role::Client, " from server to client");
    [exchange, up, down].into_iter().filter(|way| !way.ids.is_empty()).collect()
}

impl Way<'_> {
    fn transacts(&self) -> bool {
        self.name.is_empty()
    }

    /// What one flow did between two readings of the receiver, in bytes and in steps: messages, or
    /// transactions.
    fn steps(&self, first: &FlowCounters, last: &FlowCounters) -> (u64, f64) {
        let bytes = last.bytes_received.saturating_sub(first.bytes_received);
        if self.transacts() {
            let transactions = last.transactions.saturating_sub(first.transactions);
            return (transactions, float(transactions));
        }
        let message = self.spans.plan.streams().map_or(0, |stream| stream.message_bytes.0);
        let datagram =
            self.spans.plan.workload.datagram_stream().map_or(0, |udp| udp.size() as u64);
        (bytes, float(bytes) / float(message.max(datagram).max(1)))
    }

    /// Nothing came in the whole window, of what is to be counted. Not known: not told.
    fn is_empty(&self) -> bool {
        let Some(span) = self.spans.end(self.receiver) else { return false };
        let mut flows = self.ids.iter().filter_map(|id| span.flow(*id)).peekable();
        flows.peek().is_some()
            && flows
                .all(|(first, last)| self.steps(first, last).0 == 0 && !self.arrives(first, last))
            && !self.came_after()
            && !self.is_under_way()
    }

    /// A short window may close before the first transaction of large messages is complete, whose
    /// bytes arrive meanwhile.
    fn is_under_way(&self) -> bool {
        let moves = |role| {
            let span = self.spans.end(role)?;
            let mut flows = self.ids.iter().filter_map(|id| span.flow(*id));
            Some(flows.any(|(first, last)| last.bytes_received > first.bytes_received))
        };
        self.transacts()
            && !self.spans.plan.workload.is_udp()
            && self.window_seconds() < MIN_SILENCE_SECONDS
            && ROLES.into_iter().filter_map(moves).any(|moves| moves)
    }

    /// The kernel has received what the program has not taken yet. Of transactions that tells
    /// nothing.
    fn arrives(&self, first: &FlowCounters, last: &FlowCounters) -> bool {
        let kernel = first.tcp.zip(last.tcp);
        !self.transacts()
            && kernel.is_some_and(|(first, last)| last.bytes_received > first.bytes_received)
    }

    /// A window that ends by a count may close before the last payload is there.
    fn came_after(&self) -> bool {
        let by_time = matches!(self.spans.plan.stop_condition, StopCondition::Time { .. });
        let report = self.end_results.report(self.receiver).filter(|_| !by_time);
        let mut flows = report.into_iter().flat_map(|report| &report.flows);
        flows.any(|flow| self.ids.contains(&flow.id) && flow.bytes_received > 0)
    }

    fn nothing_in_window(&self, kind: Kind) -> Error {
        let seconds = self.window_seconds();
        let what =
            if self.transacts() { "no transaction was completed" } else { "nothing was received" };
        let mut cause = format!("{what}{} in the window of {}", self.name, length(seconds));
        let sender = other(self.receiver);
        let sent = self.ids.iter().filter_map(|id| self.spans.sent(sender, *id));
        let sent: u64 = sent.map(|sent| sent.bytes).fold(0, u64::saturating_add);
        if !self.transacts() && sent > 0 {
            cause.push_str(&format!(", though {sent} B were sent"));
        }
        self.error(kind, cause)
    }

    /// Nothing came in the last part of the window: on any flow, or on some of several.
    fn nothing_at_end(&self) -> Option<Error> {
        let silence = self.silence_seconds();
        let readings = self.end_results.readings(self.receiver);
        let from = last_part(readings, silence)?;
        let last = readings.last()?;
        let quiet: Vec<u32> =
            self.ids.iter().copied().filter(|id| self.is_quiet(*id, from, last)).collect();
        if quiet.len() == self.ids.len() {
            if self.peer_moves(silence) {
                return None;
            }
            let is_idle =
                |reading: &&Reading| self.ids.iter().all(|id| self.is_quiet(*id, reading, last));
            let since = readings.iter().rev().take_while(is_idle).last()?;
            let since = self.at(since);
            let cause = format!(
                "nothing was received{} from {since:.3} s on, to the window's end at {:.3} s",
                self.name,
                self.at(last)
            );
            let error = self.error(Kind::Incomplete, cause);
            return Some(Error { at_seconds: Some(since), ..error });
        }
        let steps =
            self.ids.iter().filter_map(|id| Some(self.steps(flow(from, *id)?, flow(last, *id)?).1));
        let mean = steps.sum::<f64>() / float(self.ids.len() as u64);
        if quiet.is_empty() || mean < MIN_STEPS_OF_OTHERS {
            return None;
        }
        let part = length(seconds(last.at_ns.saturating_sub(from.at_ns)));
        let cause = format!(
            "{} of {} ({}) received nothing in the last {part} of the window",
            count(quiet.len(), "stream"),
            self.ids.len(),
            few(&quiet)
        );
        let error = self.error(Kind::Incomplete, cause);
        let at_seconds = Some(self.at(from));
        Some(Error { stream: quiet.first().copied(), at_seconds, ..error })
    }

    /// Neither bytes nor transactions of a flow between two readings of the receiver. What a client
    /// of short-lived connections still sends is not quiet either.
    fn is_quiet(&self, id: u32, first: &Reading, last: &Reading) -> bool {
        let (Some(first), Some(last)) = (flow(first, id), flow(last, id)) else { return false };
        let sends = !self.spans.paired() && last.bytes_sent > first.bytes_sent;
        !sends
            && !self.arrives(first, last)
            && last.bytes_received <= first.bytes_received
            && last.transactions <= first.transactions
    }

    /// Requests still reach the server, over connections, where no datagram is sent again.
    fn peer_moves(&self, silence: f64) -> bool {
        if !self.transacts() || self.spans.plan.workload.is_udp() {
            return false;
        }
        let readings = self.end_results.readings(Role::Server);
        let Some((from, last)) = last_part(readings, silence).zip(readings.last()) else {
            return false;
        };
        let received = |reading: &Reading| {
            self.ids
                .iter()
                .filter_map(|id| flow(reading, *id))
                .map(|own| own.bytes_received)
                .sum::<u64>()
        };
        received(last) > received(from)
    }

    /// How long nothing has to come until that means something, in seconds.
    fn silence_seconds(&self) -> f64 {
        let round_trip_us = self.infos().map(|tcp| tcp.rtt_us).max().unwrap_or(0);
        [
            MIN_SILENCE_SECONDS,
            MIN_SILENCE_SHARE * self.window_seconds(),
            MIN_SILENCE_ROUND_TRIPS * f64::from(round_trip_us) / 1e6,
            2.0 * self.gap_seconds(),
        ]
        .into_iter()
        .fold(0.0, f64::max)
    }

    /// Between two payloads, by what was asked for.
    fn gap_seconds(&self) -> f64 {
        let segment_bytes = self.infos().map(|tcp| tcp.mss_bytes).max().unwrap_or(0);
        self.spans.plan.payload_gap(segment_bytes).as_secs_f64()
    }

    fn window_seconds(&self) -> f64 {
        self.spans.end(self.receiver).map_or(0.0, |span| span.seconds)
    }

    /// TCP_INFO of the flows as of the end, of both ends.
    fn infos(&self) -> impl Iterator<Item = TcpInfo> {
        let readings = ROLES.into_iter().filter_map(|role| self.end_results.readings(role).last());
        readings.flat_map(|reading| self.ids.iter().filter_map(|id| flow(reading, *id)?.tcp))
    }

    /// Seconds from the window's opening to one of its readings.
    fn at(&self, reading: &Reading) -> f64 {
        let readings = self.end_results.readings(self.receiver);
        let opened_ns = readings.first().map_or(0, |first| first.at_ns);
        seconds(reading.at_ns.saturating_sub(opened_ns))
    }

    fn error(&self, kind: Kind, cause: String) -> Error {
        let gap = self.gap_seconds();
        let remedy = if gap > MAX_GAP_SHARE * self.window_seconds() {
            format!(
                "at the rate asked for, {} pass between two payloads: measure for several times \
                 that (-t), or ask for more",
                length(gap)
            )
        } else {
            REMEDY.to_owned()
        };
        Error::new(kind, "measure with", cause).with_code(Code::NothingReceived).with_remedy(remedy)
    }
}

fn flow(reading: &Reading, id: u32) -> Option<&FlowCounters> {
    reading.flows.get(usize::try_from(id).ok()?)
}

/// The latest reading that lies so many seconds before the last one; nothing in a shorter window.
fn last_part(readings: &[Reading], silence_seconds: f64) -> Option<&Reading> {
    let last = readings.last()?;
    let least = silence_seconds * (1.0 - SLACK_SHARE);
    let is_before = |reading: &&Reading| seconds(last.at_ns.saturating_sub(reading.at_ns)) >= least;
    readings.iter().rev().find(is_before)
}

#[cfg(test)]
mod tests;
