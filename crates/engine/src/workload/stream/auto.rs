//! `--send auto`: one sending worker of an end tries every method on the real path during the
//! warm-up and lets the others know which to use.
//!
//! Enters: a worker's flows. Leaves: bytes sent, and by which methods and why. After the probe a
//! step costs one predictable branch and one match more than the chosen method alone. Nothing here
//! judges what the probe measured.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::transport::BulkSend;
use crate::transport::sendfile::SendfileSend;
use crate::transport::splice::{PipeLayout, SpliceSend};
use crate::transport::write::WriteSend;
use crate::transport::zerocopy::ZerocopySend;
use crate::workload::stream::probe::{Chosen, MethodProbe};
use crate::workload::{Shared, Worker};
use podperf_model::error::Result;
use podperf_model::plan::{Plan, SendMethod, StopCondition};
use podperf_model::result::end_result::SendUse;

/// What the senders of one end agree on.
#[derive(Debug, Default)]
pub struct MethodChoice {
    taken: AtomicBool,
    made: OnceLock<Chosen>,
}

/// Why there is no probe in a run; absent: there is one.
pub(super) fn why_no_probe(plan: &Plan) -> Option<&'static str> {
    match plan.stop_condition {
        StopCondition::Time { .. } if plan.warm_up.is_zero() => {
            Some("auto probes in the warm-up, and the run has none")
        }
        StopCondition::Time { .. } => None,
        _ => Some("auto probes in the warm-up, and a run that ends by a count has none"),
    }
}

/// One of the methods that are tried.
#[derive(Debug)]
enum AutoMethod<'a> {
    Write(WriteSend<'a>),
    Sendfile(SendfileSend<'a>),
    Splice(SpliceSend<'a>),
    Zerocopy(ZerocopySend<'a>),
}

impl AutoMethod<'_> {
    const fn name(&self) -> SendMethod {
        match self {
            Self::Write(_) => SendMethod::Write,
            Self::Sendfile(_) => SendMethod::Sendfile,
            Self::Splice(_) => SendMethod::Splice,
            Self::Zerocopy(_) => SendMethod::Zerocopy,
        }
    }
}

impl BulkSend for AutoMethod<'_> {
    #[inline]
    fn step(&mut self, flow: usize, limit: usize) -> io::Result<usize> {
        match self {
            Self::Write(method) => method.step(flow, limit),
            Self::Sendfile(method) => method.step(flow, limit),
            Self::Splice(method) => method.step(flow, limit),
            Self::Zerocopy(method) => method.step(flow, limit),
        }
    }

    fn finish(&mut self, bytes: u64) -> SendUse {
        match self {
            Self::Write(method) => method.finish(bytes),
            Self::Sendfile(method) => method.finish(bytes),
            Self::Splice(method) => method.finish(bytes),
            Self::Zerocopy(method) => method.finish(bytes),
        }
    }
}

/// Sends by whatever the end's probe found.
#[derive(Debug)]
pub(super) struct Auto<'a> {
    shared: &'a Shared,
    flows: usize,
    /// `write` first, then whatever else the kernel grants.
    methods: Vec<AutoMethod<'a>>,
    /// Bytes sent by each, up to the choice.
    moved: Vec<u64>,
    current: usize,
    state: ProbeState,
}

#[derive(Debug)]
enum ProbeState {
    /// The choice is made.
    Settled,
    /// Another worker probes.
    Following,
    /// This one does.
    Probing(Box<MethodProbe>),
}

impl<'a> Auto<'a> {
    /// Prepares every method for the worker's flows. What the kernel refuses is left out, and the
    /// reason of the choice says so.
    ///
    /// # Errors
    /// When there is no memory to send from by the plainest.
    pub(super) fn open(
        worker: &Worker<'a>,
        message_bytes: usize,
        layout: PipeLayout,
    ) -> Result<Self> {
        let (shared, flows) = (worker.shared, worker.flows.ids.len());
        let mut methods = vec![AutoMethod::Write(WriteSend::open(
            worker.sockets(),
            worker.outgoing(message_bytes)?,
        ))];
        let mut refusals = Vec::new();
        let others: [Result<AutoMethod<'a>>; 3] = [
            // What fills the file is gone before the next is opened.
            worker
                .outgoing(message_bytes)
                .and_then(|message| SendfileSend::open(worker.sockets(), &message))
                .map(AutoMethod::Sendfile),
            SpliceSend::open(worker.sockets(), message_bytes, layout).map(AutoMethod::Splice),
            ZerocopySend::open(worker.sockets(), message_bytes).map(AutoMethod::Zerocopy),
        ];
        for method in others {
            match method {
                Ok(method) => methods.push(method),
                Err(error) => refusals.push(format!("{}: {}", error.operation, error.cause)),
            }
        }
        let probes = !shared.choice.taken.swap(true, Ordering::Relaxed);
        let state = if probes {
            let names = methods.iter().map(AutoMethod::name).collect();
            ProbeState::Probing(Box::new(MethodProbe::new(names, refusals, shared.plan.warm_up)))
        } else {
            ProbeState::Following
        };
        Ok(Self { shared, flows, moved: vec![0; methods.len()], methods, current: 0, state })
    }

    /// A step before the choice is made.
    #[cold]
    fn step_unsettled(&mut self, flow: usize, limit: usize) -> io::Result<usize> {
        match &self.state {
            ProbeState::Probing(_) => self.take_turns(),
            _ => self.follow(),
        }
        let sent = self.methods[self.current].step(flow, limit);
        match &sent {
            Ok(bytes) => {
                self.moved[self.current] += *bytes as u64;
                if let ProbeState::Probing(probe) = &mut self.state {
                    probe.moved(*bytes);
                }
            }
            Err(_) => self.read_reports(flow),
        }
        sent
    }

    /// Uses what the probe of another worker found, once it is there.
    fn follow(&mut self) {
        if let Some(chosen) = self.shared.choice.made.get() {
            self.settle(chosen.method);
        }
    }

    /// A worker to which the kernel refused what it granted to another stays with `write`.
    fn settle(&mut self, method: SendMethod) {
        self.current = self.methods.iter().position(|own| own.name() == method).unwrap_or_default();
        self.state = ProbeState::Settled;
    }

    /// Goes on to the next method when the turn of the current one is over, and to the choice when
    /// all have had theirs.
    fn take_turns(&mut self) {
        let ProbeState::Probing(probe) = &mut self.state else { return };
        if !self.shared.gate.warming_up() {
            return self.choose(Some("the warm-up was too short for a probe"));
        }
        if !probe.turn_is_over() {
            return;
        }
        for flow in 0..self.flows {
            self.read_reports(flow);
        }
        let reported = self.methods.iter().find_map(|method| match method {
            AutoMethod::Zerocopy(method) => Some(method.reported()),
            _ => None,
        });
        let ProbeState::Probing(probe) = &mut self.state else { return };
        match probe.next_turn(reported.unwrap_or_default()) {
            Some(method) => self.current = method,
            None => self.choose(None),
        }
    }

    /// Makes the choice; `broken_off`: why it cannot rest on the probe.
    fn choose(&mut self, broken_off: Option<&str>) {
        let ProbeState::Probing(probe) = &self.state else { return };
        let chosen = broken_off.map_or_else(
            || probe.cheapest(),
            |why| Chosen { method: SendMethod::Write, reason: why.to_owned() },
        );
        let method = self.shared.choice.made.get_or_init(|| chosen).method;
        self.settle(method);
    }

    /// Reads reports of zero-copy sends that came after its turn: unread, they would wake the
    /// worker again and again.
    #[cold]
    fn read_reports(&mut self, flow: usize) {
        for method in &mut self.methods {
            if let AutoMethod::Zerocopy(method) = method {
                method.read_reports(flow);
            }
        }
    }
}

impl BulkSend for Auto<'_> {
    #[inline]
    fn step(&mut self, flow: usize, limit: usize) -> io::Result<usize> {
        if !matches!(self.state, ProbeState::Settled) {
            return self.step_unsettled(flow, limit);
        }
        let sent = self.methods[self.current].step(flow, limit);
        if sent.is_err() {
            self.read_reports(flow);
        }
        sent
    }

    fn finish(&mut self, bytes: u64) -> SendUse {
        // Others may still wait for it.
        self.choose(Some("the streams ended before the probe did"));
        let known: u64 = self.moved.iter().sum();
        self.moved[self.current] += bytes.saturating_sub(known);
        let mut whole = SendUse {
            used: Some(self.methods[self.current].name()),
            reason: self.shared.choice.made.get().map(|chosen| chosen.reason.clone()),
            ..SendUse::default()
        };
        for (method, &bytes) in self.methods.iter_mut().zip(&self.moved) {
            if bytes > 0 {
                whole.add(method.finish(bytes));
            }
        }
        whole
    }
}
