//! Decides who may come and run, and keeps the queues of those who have to wait.
//!
//! Enters: a client's address, what it proves, and a summary of what it asks for. Leaves: a run
//! that counts until it is dropped, a place in a queue, or a refusal. Knows no protocol, no file
//! and no clock.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::Timestamp;

use super::refusal::{PolicyLimit, Refusal};
use super::rule::{Policy, PolicyRule, RunLimits};
use super::run_rules::{RequestedRun, check_run};
use super::token::Token;
use super::tokens::TimedToken;
use super::usage::{LimitedGroup, Members, Usage, groups_of};

/// Holds clients to a policy, which may be replaced at any time.
#[derive(Debug, Clone)]
pub struct Admission(Arc<Mutex<AdmissionState>>);

#[derive(Debug)]
pub(super) struct AdmissionState {
    policy: Policy,
    pub(super) usage: Usage,
    /// In the order they came.
    queue: Vec<QueueEntry>,
    next_number: u64,
}

/// A run that waits.
#[derive(Debug)]
struct QueueEntry {
    number: u64,
    client: AdmittedClient,
    streams: u32,
    /// Wakes its thread when something has changed.
    wake: Sender<()>,
}

/// A client that a rule takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedClient {
    /// Where it comes from.
    pub ip: IpAddr,
    /// The rule's name.
    pub rule: Arc<str>,
    /// What the policy calls the token that it knows.
    pub token: Option<Arc<str>>,
}

/// What a client has to show before it is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing: this rule takes it.
    Nothing(Arc<str>),
    /// A token.
    Token,
}

/// What becomes of a run that is asked for.
#[derive(Debug)]
pub enum Decision {
    /// It may go on.
    Admitted(AdmittedRun),
    /// It has to wait.
    Queued(QueuedRun),
}

/// A run that counts until this is dropped.
#[derive(Debug)]
pub struct AdmittedRun {
    state: Arc<Mutex<AdmissionState>>,
    client: AdmittedClient,
    /// As they were when it was let in.
    groups: Vec<LimitedGroup>,
    streams: u32,
    limits: RunLimits,
}

/// A run's place in a queue, given up when this is dropped.
#[derive(Debug)]
pub struct QueuedRun {
    state: Arc<Mutex<AdmissionState>>,
    number: u64,
    run: RequestedRun,
    /// How long it may wait in all.
    pub longest_wait: std::time::Duration,
    /// Brings word when it is worth asking again.
    pub changed: Receiver<()>,
}

/// How a run in a queue stands.
#[derive(Debug)]
pub enum QueueState {
    /// It may go on.
    Admitted(AdmittedRun),
    /// So many of its rule go before it, and it is the next after them: 1 is the first.
    Place(u32),
}

impl Admission {
    /// Begins with a policy, and with what was used before.
    pub(super) fn with_usage(policy: Policy, usage: Usage) -> Self {
        let queue = Vec::new();
        Self(Arc::new(Mutex::new(AdmissionState { policy, usage, queue, next_number: 0 })))
    }

    /// Begins with a policy of which nothing is used.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self::with_usage(policy, Usage::default())
    }

    /// Goes on with another policy. What is used stays used, and runs under way keep the limits
    /// that they began with; bytes a day are the new one's.
    pub fn replace(&self, policy: Policy) {
        let mut state = self.lock();
        state.policy = policy;
        state.wake_all();
    }

    /// What a client at `ip` has to show that says whether it has a token: with one, a rule that
    /// asks for it comes before one that does not.
    ///
    /// # Errors
    /// When no rule takes it.
    pub fn requirement(&self, ip: IpAddr, has_token: bool) -> Result<Requirement, Refusal> {
        let state = self.lock();
        let mut rules = state.policy.rules.iter().filter(|rule| rule.takes(ip));
        let asks = rules.clone().any(|rule| !rule.tokens.is_empty());
        let free = rules.find(|rule| rule.tokens.is_empty());
        match free {
            _ if asks && has_token => Ok(Requirement::Token),
            Some(rule) => Ok(Requirement::Nothing(Arc::clone(&rule.name))),
            None if asks => Ok(Requirement::Token),
            None => {
                let ip = ip.to_canonical();
                let cause = format!("no rule of this server's policy takes clients at {ip}");
                let remedy = "ask its operator for a rule, or come from an address that has one";
                Err(Refusal::new(PolicyLimit::Address, cause, remedy))
            }
        }
    }

    /// Finds the rule whose token a client at `ip` knows: `knows` looks at one, and is asked for
    /// every one, so that the time tells nothing. Absent: it knows none.
    ///
    /// # Errors
    /// When it knows one that does not hold at `now`.
    pub fn prove(
        &self,
        ip: IpAddr,
        knows: impl Fn(&Token) -> bool,
        now: Timestamp,
    ) -> Result<Option<(Arc<str>, TimedToken)>, Refusal> {
        let state = self.lock();
        let (mut found, mut ended) = (None, None);
        for rule in state.policy.rules.iter().filter(|rule| rule.takes(ip)) {
            for timed in &rule.tokens {
                let known = knows(&timed.token);
                match timed.check(now) {
                    _ if !known => {}
                    Ok(()) => {
                        found.get_or_insert_with(|| (Arc::clone(&rule.name), timed.clone()));
                    }
                    Err(cause) => {
                        ended.get_or_insert(cause);
                    }
                }
            }
        }
        match (found, ended) {
            (None, Some(cause)) => {
                let remedy = "ask the server's operator for the one that holds now";
                Err(Refusal::new(PolicyLimit::Token, cause, remedy))
            }
            (found, _) => Ok(found),
        }
    }

    /// The limits of a run of this client.
    ///
    /// # Errors
    /// When its rule has gone.
    pub fn run_limits(&self, client: &AdmittedClient) -> Result<RunLimits, Refusal> {
        let state = self.lock();
        Ok(state.policy.all.of_run(&state.rule(client)?.limits))
    }

    /// Decides about a run; one that has to wait for others to end waits only if it `may_wait`.
    ///
    /// # Errors
    /// Naming the limit that it is beyond.
    pub fn admit(
        &self,
        client: &AdmittedClient,
        run: &RequestedRun,
        may_wait: bool,
        now: Timestamp,
    ) -> Result<Decision, Refusal> {
        let mut state = self.lock();
        let rule = state.rule(client)?;
        let queue = rule.queue;
        check_run(&state.policy.all.of_run(&rule.limits), &rule.name, run)?;
        // Who comes later does not go first.
        let others = state.waiting(&client.rule);
        let refusal = match state.check(client, run.streams, now) {
            Ok(()) if others == 0 => {
                let admitted = state.begin(client, run.streams, &self.0, now)?;
                return Ok(Decision::Admitted(admitted));
            }
            Ok(()) => {
                let cause = format!("{others} runs of rule '{}' wait already", client.rule);
                Refusal::new(PolicyLimit::Queue, cause, "come again later")
            }
            Err(refusal) if refusal.passes() => refusal,
            Err(refusal) => return Err(refusal),
        };
        let Some(queue) = queue.filter(|_| may_wait) else { return Err(refusal) };
        if others >= queue.length as usize {
            let cause = format!("{}, and {others} runs wait already", refusal.cause);
            return Err(Refusal::new(PolicyLimit::Queue, cause, "come again later"));
        }
        let number = state.next_number;
        state.next_number += 1;
        let (wake, changed) = bounded(1);
        // To be told its place at once.
        let _ = wake.try_send(());
        let client = client.clone();
        state.queue.push(QueueEntry { number, client, streams: run.streams, wake });
        let (run, state) = (run.clone(), Arc::clone(&self.0));
        Ok(Decision::Queued(QueuedRun { state, number, run, longest_wait: queue.wait, changed }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, AdmissionState> {
        lock(&self.0)
    }
}

impl AdmissionState {
    fn rule(&self, client: &AdmittedClient) -> Result<&PolicyRule, Refusal> {
        let named = self.policy.rules.iter().find(|rule| rule.name == client.rule);
        named.filter(|rule| rule.takes(client.ip)).ok_or_else(|| {
            let cause = format!("rule '{}' has gone from this server's policy", client.rule);
            Refusal::new(PolicyLimit::Address, cause, "connect again")
        })
    }

    fn check(&self, client: &AdmittedClient, streams: u32, now: Timestamp) -> Result<(), Refusal> {
        let groups = groups_of(&self.policy, self.rule(client)?, client.ip);
        self.usage.check(&groups, streams, now).map_err(|(_, refusal)| refusal)
    }

    fn begin(
        &mut self,
        client: &AdmittedClient,
        streams: u32,
        own: &Arc<Mutex<Self>>,
        now: Timestamp,
    ) -> Result<AdmittedRun, Refusal> {
        let rule = self.rule(client)?;
        let limits = self.policy.all.of_run(&rule.limits);
        let groups = groups_of(&self.policy, rule, client.ip);
        self.usage.begin(&groups, streams, now);
        let (state, client) = (Arc::clone(own), client.clone());
        Ok(AdmittedRun { state, client, groups, streams, limits })
    }

    /// Runs of a rule that wait.
    fn waiting(&self, rule: &Arc<str>) -> usize {
        self.queue.iter().filter(|entry| entry.client.rule == *rule).count()
    }

    fn wake_all(&self) {
        for entry in &self.queue {
            // One that has not looked since the last time looks anyway.
            let _ = entry.wake.try_send(());
        }
    }

    /// Whether the run of this number may go on: it has room, and nobody before it would take that
    /// room. Those before it that lack room of their own address alone keep nobody waiting.
    fn may_go_on(&self, number: u64, now: Timestamp) -> Result<bool, Refusal> {
        let entry = self.queue.iter().find(|entry| entry.number == number);
        let Some(QueueEntry { client, streams, .. }) = entry else { return Ok(false) };
        match self.check(client, *streams, now) {
            Ok(()) => {}
            Err(refusal) if refusal.passes() => return Ok(false),
            Err(refusal) => return Err(refusal),
        }
        let mut before = self.queue.iter().take_while(|entry| entry.number != number);
        Ok(!before.any(|entry| self.goes_first(entry, &client.rule, now)))
    }

    /// Whether `entry`, which came before, keeps a run of `rule` waiting that has room.
    fn goes_first(&self, entry: &QueueEntry, rule: &Arc<str>, now: Timestamp) -> bool {
        let Ok(own) = self.rule(&entry.client) else { return false };
        let groups = groups_of(&self.policy, own, entry.client.ip);
        match self.usage.check(&groups, entry.streams, now) {
            // It takes its room as soon as its thread looks.
            Ok(()) => true,
            Err((group, refusal)) => {
                let is_shared = group.members == Members::Together;
                let same = group.rule.is_none() || group.rule.as_ref() == Some(rule);
                refusal.passes() && is_shared && same
            }
        }
    }
}

impl AdmittedRun {
    /// The limits of the run.
    #[must_use]
    pub const fn limits(&self) -> &RunLimits {
        &self.limits
    }

    /// The rule that it runs under.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.client.rule
    }

    /// Counts bytes that it has moved, either way.
    ///
    /// # Errors
    /// Naming the limit, when it may move no more.
    pub fn count_bytes(&self, bytes: u64, now: Timestamp) -> Result<(), Refusal> {
        let mut state = lock(&self.state);
        state.usage.add_bytes(&self.groups, bytes, now);
        // Under the policy of now, as far as the rule is still there.
        let groups = match state.rule(&self.client) {
            Ok(rule) => groups_of(&state.policy, rule, self.client.ip),
            Err(_) => self.groups.clone(),
        };
        state.usage.check_bytes(&groups, now)
    }
}

impl Drop for AdmittedRun {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.usage.end(&self.groups, self.streams, false);
        state.wake_all();
    }
}

impl QueuedRun {
    /// How it stands at `now`.
    ///
    /// # Errors
    /// Naming the limit, when waiting helps no more.
    pub fn look(&self, now: Timestamp) -> Result<QueueState, Refusal> {
        let mut state = lock(&self.state);
        let position = state.queue.iter().position(|entry| entry.number == self.number);
        let Some(position) = position else {
            let cause = "it has left the queue";
            return Err(Refusal::new(PolicyLimit::Queue, cause, "come again later"));
        };
        let client = state.queue[position].client.clone();
        let rule = state.rule(&client)?;
        check_run(&state.policy.all.of_run(&rule.limits), &rule.name, &self.run)?;
        if state.may_go_on(self.number, now)? {
            state.queue.remove(position);
            let admitted = state.begin(&client, self.run.streams, &self.state, now)?;
            state.wake_all();
            return Ok(QueueState::Admitted(admitted));
        }
        let before =
            state.queue[..position].iter().filter(|entry| entry.client.rule == client.rule);
        Ok(QueueState::Place(u32::try_from(before.count() + 1).unwrap_or(u32::MAX)))
    }

    /// The refusal of one that has waited as long as it may.
    #[must_use]
    pub fn waited(&self) -> Refusal {
        let waited = humantime::format_duration(self.longest_wait);
        let cause = format!("{waited} in the queue, which is the longest, and no run has ended");
        Refusal::new(PolicyLimit::Queue, cause, "come again later")
    }
}

impl Drop for QueuedRun {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.queue.retain(|entry| entry.number != self.number);
        state.wake_all();
    }
}

/// Nothing panics while it counts.
fn lock(state: &Mutex<AdmissionState>) -> MutexGuard<'_, AdmissionState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
