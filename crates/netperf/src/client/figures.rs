//! Both ends' counts of one test as netperf's figures.

use super::ask::wants_cpu;
use crate::data::{Job, Totals};
use crate::figures::{EndFigures, Figures, GrantedSocket};
use crate::options::{Buffers, Options};
use crate::test_kind::{Protocol, TestDirection};
use crate::wire::ask::{MEASURE_CPU, NO_DELAY};
use crate::wire::native::Details;
use crate::wire::reply::{OmniResponse, OmniResults};
use podperf_model::error::{Code, Kind};

/// One test, as far as it came.
#[derive(Debug)]
pub(super) struct FinishedTest<'a> {
    pub(super) options: &'a Options,
    pub(super) job: &'a Job,
    /// The own socket before the start.
    pub(super) granted: &'a GrantedSocket,
    pub(super) totals: Totals,
    pub(super) response: OmniResponse,
    /// Absent: they did not come.
    pub(super) results: Option<OmniResults>,
    /// What a podperf tells beyond them.
    pub(super) details: Option<Details>,
}

impl FinishedTest<'_> {
    /// All of it.
    pub(super) fn figures(self) -> Figures {
        let seconds = self.totals.elapsed.as_secs_f64().max(1e-9);
        let transacts = self.options.shape.direction.transacts();
        let totals = &self.totals;
        let remote = self.remote();
        let received = match self.options.shape.direction {
            // Not known what arrived: what was handed over is the most it can have been.
            TestDirection::Send if self.results.is_none() => totals.counters.bytes_sent,
            TestDirection::Send => remote.counters.bytes_received,
            TestDirection::Receive => totals.counters.bytes_received,
            _ => totals.counters.bytes_sent.saturating_add(totals.counters.bytes_received),
        };
        Figures {
            elapsed_seconds: seconds,
            bytes_per_second: float(received) / seconds,
            transactions_per_second: transacts
                .then(|| float(totals.counters.transactions) / seconds),
            local: self.local(),
            remote,
            latency: totals.latency.clone(),
            remote_latency: None,
            mss_bytes: totals.end.mss.or(self.granted.mss),
            tcp_info: totals.tcp_info,
            confidence: None,
            stopped: totals.stopped,
            native: false,
            incomplete: incomplete(totals, self.results.is_some()),
            interim: Vec::new(),
        }
    }

    fn local(&self) -> EndFigures {
        let (totals, data) = (&self.totals, &self.options.data);
        let first = self.granted;
        // Connections that did not last told nothing at the end.
        let last = if totals.end == GrantedSocket::default() { first } else { &totals.end };
        let tcp = self.options.shape.protocol == Protocol::Tcp;
        let direction = self.options.shape.direction;
        // Of connections that are gone nothing can be asked any more.
        let lasts = tcp && direction.lasts();
        EndFigures {
            buffers: Buffers { send: first.send_buffer, receive: first.receive_buffer },
            socket: GrantedSocket {
                retransmits: lasts.then(|| last.retransmits.unwrap_or(0)),
                no_delay: data.no_delay,
                cork: data.cork,
                congestion_control: last.congestion_control.clone().filter(|_| lasts),
                ..last.clone()
            },
            send_bytes: (direction == TestDirection::Send).then_some(self.job.send_bytes),
            receive_bytes: (direction == TestDirection::Receive).then_some(self.job.receive_bytes),
            counters: totals.counters,
            cpu: totals.cpu.filter(|_| wants_cpu(self.options).local),
            allowed_cpus: totals.allowed_cpus.clone(),
        }
    }

    /// What netserver told, and what a podperf tells beyond it: wide counters, and of all
    /// connections.
    fn remote(&self) -> EndFigures {
        let response = &self.response;
        let direction = self.options.shape.direction;
        let unknown = OmniResults::default();
        let results = self.results.as_ref().unwrap_or(&unknown);
        let more = self.details.as_ref();
        let told = response.flags & MEASURE_CPU != 0 && wants_cpu(self.options).remote;
        let congestion_control = Some(results.congestion_control.clone());
        let of_all = more.and_then(|more| more.socket.retransmits);
        EndFigures {
            buffers: Buffers { send: response.send_buffer, receive: response.receive_buffer },
            socket: GrantedSocket {
                send_buffer: results.send_buffer,
                receive_buffer: results.receive_buffer,
                mss: None,
                congestion_control: congestion_control
                    .filter(|name| direction.lasts() && !name.is_empty()),
                tos: response.tos,
                priority: response.priority,
                no_delay: response.flags & NO_DELAY != 0,
                cork: more.is_some_and(|more| more.socket.cork),
                retransmits: results.retransmits.map(|first| of_all.unwrap_or(first)),
            },
            send_bytes: response.send_size.filter(|_| direction == TestDirection::Receive),
            receive_bytes: response.receive_size.filter(|_| direction == TestDirection::Send),
            counters: more.map_or(results.counters, |more| more.counters),
            cpu: results.cpu.filter(|_| told),
            allowed_cpus: more.and_then(|more| more.allowed_cpus.clone()),
        }
    }
}

/// Why it is not the whole test, where it is not. A signal ends a test as if its time were over.
fn incomplete(totals: &Totals, results: bool) -> Option<String> {
    if let Some(error) = totals.errors.first() {
        if error.code == Code::Signal {
            return Some(format!("netperf: send_omni: {error}"));
        }
        return Some(format!("netperf: send_omni: data error: {error}"));
    }
    if totals.stopped == Some(Kind::Incomplete) {
        let text = "netperf: send_omni: the peer closed the control connection before the end of \
                    the test; is netserver still running there?";
        return Some(text.to_owned());
    }
    (!results).then(|| "netperf: send_omni: no results came from the peer".to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "a rate; 53 bits are enough")]
const fn float(count: u64) -> f64 {
    count as f64
}
