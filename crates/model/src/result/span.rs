//! Two readings of one end, what both ends together say about a flow between theirs, and what their
//! reports say of its calls.
//!
//! Enters: samples. Leaves: differences of counters and rates, each over its own end's clock. An
//! end or a flow without two readings yields nothing, so that no rate is ever divided by zero.

use std::ops::Range;

use crate::plan::{FlowRole, Plan, Role};
use crate::reading::{FlowCounters, Reading, TcpInfo};
use crate::result::end_result::{EndReport, EndResult, FlowReport};
use crate::result::run::Ends;
pub(super) use crate::units::float;

/// Both ends' results, as far as they arrived.
pub(super) type EndResults<'a> = Ends<Option<&'a EndResult>>;

impl<'a> EndResults<'a> {
    /// What an end's workers reported.
    pub(super) fn report(&self, role: Role) -> Option<&'a EndReport> {
        (*self.get(role))?.report.as_ref()
    }

    /// An end's readings; none when it did not get ready.
    pub(super) fn readings(&self, role: Role) -> &'a [Reading] {
        self.get(role).map_or(&[], |end_result| &end_result.readings)
    }
}

/// Bytes, and the calls that moved them, over `flows`; nothing without a call.
pub(super) fn bytes_and_calls<'a>(
    flows: impl IntoIterator<Item = &'a FlowReport>,
    of: fn(&FlowReport) -> (u64, u64),
) -> Option<(f64, f64)> {
    let (bytes, calls) = flows.into_iter().map(of).fold((0_u64, 0_u64), |sum, flow| {
        (sum.0.saturating_add(flow.0), sum.1.saturating_add(flow.1))
    });
    (calls > 0).then(|| (float(bytes), float(calls)))
}

/// Bytes that a flow's send calls moved, and the number of those calls.
pub(super) const fn sends(flow: &FlowReport) -> (u64, u64) {
    (flow.bytes_sent, flow.send_calls)
}

/// Bytes that its receive calls moved, and their number.
pub(super) const fn receives(flow: &FlowReport) -> (u64, u64) {
    (flow.bytes_received, flow.receive_calls)
}

/// Mean bytes of a call over `flows`.
pub(super) fn bytes_per_call<'a>(
    flows: impl IntoIterator<Item = &'a FlowReport>,
    of: fn(&FlowReport) -> (u64, u64),
) -> Option<f64> {
    bytes_and_calls(flows, of).map(|(bytes, calls)| bytes / calls)
}

/// Two readings of one end, the second later than the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span<'a> {
    pub(super) first: &'a Reading,
    pub(super) last: &'a Reading,
    /// Time between them by this end's clock; above zero.
    pub(super) seconds: f64,
}

impl<'a> Span<'a> {
    /// Between two readings; nothing when no time passed.
    pub(super) fn between(first: &'a Reading, last: &'a Reading) -> Option<Self> {
        let ns = last.at_ns.checked_sub(first.at_ns).filter(|ns| *ns > 0)?;
        Some(Self { first, last, seconds: seconds(ns) })
    }

    /// From the first reading to the last.
    pub(super) fn over(readings: &'a [Reading]) -> Option<Self> {
        Self::between(readings.first()?, readings.last()?)
    }

    /// One flow's counters at both readings.
    pub(super) fn flow(&self, id: u32) -> Option<(&'a FlowCounters, &'a FlowCounters)> {
        let id = usize::try_from(id).ok()?;
        Some((self.first.flows.get(id)?, self.last.flows.get(id)?))
    }

    /// One flow's TCP_INFO at both readings.
    pub(super) fn tcp(&self, id: u32) -> Option<(&'a TcpInfo, &'a TcpInfo)> {
        let (first, last) = self.flow(id)?;
        Some((first.tcp.as_ref()?, last.tcp.as_ref()?))
    }

    /// A count of bytes over this span.
    pub(super) fn amount(&self, bytes: u64) -> Amount {
        Amount { bytes, bits_per_second: float(bytes) * 8.0 / self.seconds }
    }
}

/// Nanoseconds as seconds.
pub(super) fn seconds(ns: u64) -> f64 {
    float(ns) / 1e9
}

/// Bytes, and their rate over the clock of the end that counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Amount {
    pub(super) bytes: u64,
    pub(super) bits_per_second: f64,
}

impl Amount {
    /// Both together. Counters come from a peer: the sum stops at the top.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            bits_per_second: self.bits_per_second + other.bits_per_second,
        }
    }
}

/// What arrived one way on a flow.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Goodput {
    pub(super) amount: Amount,
    /// The receiver's count is missing; what the sender's kernel saw acknowledged stands in.
    pub(super) from_sender: bool,
}

impl Goodput {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            amount: self.amount.plus(other.amount),
            from_sender: self.from_sender || other.from_sender,
        }
    }
}

/// Both ends over the same stretch of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct EndSpans<'a> {
    pub(super) plan: &'a Plan,
    pub(super) client: Option<Span<'a>>,
    pub(super) server: Option<Span<'a>>,
}

/// Both ends, client first.
pub(super) const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// The opposite end.
pub(super) const fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

impl<'a> EndSpans<'a> {
    pub(super) const fn end(&self, role: Role) -> Option<&Span<'a>> {
        match role {
            Role::Client => self.client.as_ref(),
            Role::Server => self.server.as_ref(),
        }
    }

    /// Ids of all flows.
    pub(super) fn flows(&self) -> Range<u32> {
        0..self.plan.connections()
    }

    /// Ids of the flows that are measured.
    pub(super) const fn measured(&self) -> Range<u32> {
        self.plan.measured()
    }

    /// Ids of the streams that load the path beside them.
    pub(super) fn load(&self) -> Range<u32> {
        self.measured().end..self.flows().end
    }

    /// Whether payload reaches `role` on flow `id`.
    pub(super) fn receives(&self, role: Role, id: u32) -> bool {
        self.plan.flow_role(role, id) != FlowRole::Send
    }

    /// The ends that send payload on flow `id`: one of a stream, both of request/response.
    pub(super) fn senders(&self, id: u32) -> impl Iterator<Item = Role> {
        ROLES.into_iter().filter(move |role| self.receives(other(*role), id))
    }

    /// The end whose TCP_INFO speaks for flow `id`: the sender, of request/response the client.
    pub(super) fn reporting_end(&self, id: u32) -> Role {
        if self.receives(Role::Server, id) { Role::Client } else { Role::Server }
    }

    /// What `receiver` got on flow `id`; nothing where nothing goes that way or nobody counted.
    pub(super) fn received(&self, receiver: Role, id: u32) -> Option<Goodput> {
        if !self.receives(receiver, id) {
            return None;
        }
        let counted = self.end(receiver).and_then(|span| {
            let (first, last) = span.flow(id)?;
            Some(span.amount(last.bytes_received.saturating_sub(first.bytes_received)))
        });
        let acknowledged = || {
            let span = self.end(other(receiver))?;
            let (first, last) = span.tcp(id)?;
            Some(span.amount(last.bytes_acked.saturating_sub(first.bytes_acked)))
        };
        match counted {
            Some(amount) => Some(Goodput { amount, from_sender: false }),
            None => Some(Goodput { amount: acknowledged()?, from_sender: true }),
        }
    }

    /// What `sender` handed to its kernel on flow `id`.
    pub(super) fn sent(&self, sender: Role, id: u32) -> Option<Amount> {
        if !self.receives(other(sender), id) {
            return None;
        }
        let span = self.end(sender)?;
        let (first, last) = span.flow(id)?;
        Some(span.amount(last.bytes_sent.saturating_sub(first.bytes_sent)))
    }

    /// What `receiver` got over those of `flows` that were counted.
    pub(super) fn all_received(&self, receiver: Role, flows: Range<u32>) -> Option<Goodput> {
        flows.filter_map(|id| self.received(receiver, id)).reduce(Goodput::plus)
    }

    /// What was sent over those of `flows` that were counted.
    pub(super) fn all_sent(&self, flows: Range<u32>) -> Option<Amount> {
        let pairs = flows.flat_map(|id| ROLES.map(|role| (role, id)));
        pairs.filter_map(|(role, id)| self.sent(role, id)).reduce(Amount::plus)
    }

    /// Both ends count by the same flows. Where each transaction has a connection of its own, the
    /// server does not know whose it is, and only sums over all flows compare.
    pub(super) fn paired(&self) -> bool {
        self.plan.lasting_connections() == self.plan.connections()
    }

    /// What arrived on one flow, both ways of request/response; nothing when a way is unknown.
    pub(super) fn flow_received(&self, id: u32) -> Option<Goodput> {
        self.all_ways(id, |sender| self.received(other(sender), id), Goodput::plus)
    }

    /// What was sent on one flow, likewise.
    pub(super) fn flow_sent(&self, id: u32) -> Option<Amount> {
        self.all_ways(id, |sender| self.sent(sender, id), Amount::plus)
    }

    fn all_ways<T>(
        &self,
        id: u32,
        by: impl Fn(Role) -> Option<T>,
        plus: impl Fn(T, T) -> T,
    ) -> Option<T> {
        let mut ways = self.senders(id).filter(|_| self.paired()).map(by);
        let first = ways.next()??;
        ways.try_fold(first, |sum, way| Some(plus(sum, way?)))
    }

    /// What the receiving kernels counted on flow `id`; nothing when one could not be read.
    pub(super) fn tcp_received(&self, id: u32) -> Option<u64> {
        let received = |sender: Role| {
            let (first, last) = self.end(other(sender))?.tcp(id)?;
            Some(last.bytes_received.saturating_sub(first.bytes_received))
        };
        self.senders(id)
            .map(received)
            .try_fold(0_u64, |sum, bytes| Some(sum.saturating_add(bytes?)))
    }

    /// Segments retransmitted on flow `id` by the senders whose TCP_INFO could be read. The
    /// kernel's counter is 32 bits wide and wraps.
    pub(super) fn retransmits(&self, id: u32) -> Option<u64> {
        self.tcp_sum(id, |first, last| last.retransmits.wrapping_sub(first.retransmits))
    }

    /// Segments sent on flow `id`, likewise.
    pub(super) fn segments(&self, id: u32) -> Option<u64> {
        self.tcp_sum(id, |first, last| last.segments_out.wrapping_sub(first.segments_out))
    }

    fn tcp_sum(&self, id: u32, difference: impl Fn(&TcpInfo, &TcpInfo) -> u32) -> Option<u64> {
        let sum = |role| {
            let (first, last) = self.end(role)?.tcp(id)?;
            Some(u64::from(difference(first, last)))
        };
        self.senders(id).filter_map(sum).reduce(u64::saturating_add)
    }

    /// The sum over `flows` of what is known of each.
    pub(super) fn total(
        &self,
        flows: Range<u32>,
        of: impl Fn(&Self, u32) -> Option<u64>,
    ) -> Option<u64> {
        flows.filter_map(|id| of(self, id)).reduce(u64::saturating_add)
    }

    /// Transactions that the client completed on flow `id`, and the sum of their latencies in
    /// nanoseconds; request/response only.
    pub(super) fn transactions(&self, id: u32) -> Option<(u64, u64)> {
        if self.plan.flow_role(Role::Client, id) != FlowRole::Request {
            return None;
        }
        let (first, last) = self.client.as_ref()?.flow(id)?;
        Some((
            last.transactions.saturating_sub(first.transactions),
            last.latency_sum_ns.saturating_sub(first.latency_sum_ns),
        ))
    }
}
