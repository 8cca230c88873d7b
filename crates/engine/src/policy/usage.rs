//! What is used of a policy's limits: sessions, streams, bytes of the day and runs of the hour, of
//! everybody, by rule, by address and by prefix.
//!
//! Time is passed in. Days and hours are UTC's, so that whoever is refused can be told when the
//! next begins.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use jiff::Timestamp;

use super::refusal::{PolicyLimit, Refusal};
use super::rule::{GroupLimits, Policy, PolicyRule};
use crate::net::{address_of, prefix_of};
use podperf_model::units::Bytes;

/// Groups that are counted; past it, those go that are the least used.
const MAX_GROUPS: usize = 1 << 16;
const SECONDS_PER_HOUR: i64 = 3600;
const SECONDS_PER_DAY: i64 = 86_400;

/// Whose use is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Group {
    /// The rule; absent: all of them.
    pub(super) rule: Option<Arc<str>>,
    pub(super) members: Members,
}

/// Which of a rule's clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Members {
    Together,
    /// Of one IPv4 address, or /64 of IPv6.
    Address(u128),
    /// Of one /24 of IPv4, or /48 of IPv6.
    Prefix(u128),
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Some(rule) => write!(f, "rule '{rule}'")?,
            None => f.write_str("all clients")?,
        }
        let (bits, address) = match self.members {
            Members::Together => return f.write_str(" together"),
            Members::Address(bits) => (None, bits),
            Members::Prefix(bits) => (Some(["/24", "/48"]), bits),
        };
        let ip = IpAddr::V6(Ipv6Addr::from_bits(address)).to_canonical();
        let length = match (bits, ip.is_ipv4()) {
            (Some([four, _]), true) => four,
            (Some([_, six]), false) => six,
            (None, true) => "",
            (None, false) => "/64",
        };
        write!(f, " from {ip}{length}")
    }
}

/// What one group has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct GroupUse {
    pub(super) sessions: u32,
    pub(super) streams: u32,
    /// Days and hours since 1970, that the next two belong to.
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) bytes: u64,
    pub(super) runs: u32,
}

impl GroupUse {
    /// The same at `now`: what was used of another day or hour counts no more.
    fn at(mut self, now: Timestamp) -> Self {
        let (day, hour) = (day_of(now), hour_of(now));
        if self.day != day {
            (self.day, self.bytes) = (day, 0);
        }
        if self.hour != hour {
            (self.hour, self.runs) = (hour, 0);
        }
        self
    }

    /// Nothing of it is worth keeping.
    fn is_unused(&self, now: Timestamp) -> bool {
        let Self { sessions, bytes, runs, .. } = self.at(now);
        (sessions, bytes, runs) == (0, 0, 0)
    }
}

/// All that is counted.
#[derive(Debug, Default)]
pub(super) struct Usage {
    pub(super) groups: HashMap<Group, GroupUse>,
    /// Something has changed that outlasts the sessions.
    pub(super) is_changed: bool,
}

/// A group with its limits.
pub(super) type LimitedGroup = (Group, GroupLimits);

/// The groups that a client at `ip` under `rule` belongs to, those that have limits.
pub(super) fn groups_of(policy: &Policy, rule: &PolicyRule, ip: IpAddr) -> Vec<LimitedGroup> {
    let address = address_of(ip);
    let members = |set: &super::rule::LimitSet| {
        [
            (Members::Together, set.together.clone()),
            (Members::Prefix(prefix_of(address)), set.each_prefix.clone()),
            (Members::Address(address), set.each_address.clone()),
        ]
    };
    let sets = [(None, &policy.all), (Some(Arc::clone(&rule.name)), &rule.limits)];
    let groups = sets.into_iter().flat_map(|(rule, set)| {
        members(set).map(|(members, limits)| (Group { rule: rule.clone(), members }, limits))
    });
    groups.filter(|(_, limits)| !limits.is_empty()).collect()
}

impl Usage {
    /// What a group has used at `now`.
    fn of(&self, group: &Group, now: Timestamp) -> GroupUse {
        self.groups.get(group).copied().unwrap_or_default().at(now)
    }

    /// Checks whether a run of so many streams has room in all groups.
    ///
    /// # Errors
    /// Naming the limit that it has none in, with the group.
    pub(super) fn check(
        &self,
        groups: &[LimitedGroup],
        streams: u32,
        now: Timestamp,
    ) -> Result<(), (Group, Refusal)> {
        for (group, limits) in groups {
            let used = self.of(group, now);
            let refused = reached(&used, group, limits, streams, now);
            refused.map_or(Ok(()), |refusal| Err((group.clone(), refusal)))?;
        }
        Ok(())
    }

    /// Checks whether a run under way may move more bytes.
    ///
    /// # Errors
    /// Naming the limit, when it may not.
    pub(super) fn check_bytes(
        &self,
        groups: &[LimitedGroup],
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let spent = |(group, limits): &LimitedGroup| {
            bytes_spent(&self.of(group, now), group, limits.bytes_per_day, now)
        };
        groups.iter().find_map(spent).map_or(Ok(()), Err)
    }

    /// Counts a run.
    pub(super) fn begin(&mut self, groups: &[LimitedGroup], streams: u32, now: Timestamp) {
        for (group, _) in groups {
            let used = self.entry(group, now);
            used.sessions = used.sessions.saturating_add(1);
            used.streams = used.streams.saturating_add(streams);
            used.runs = used.runs.saturating_add(1);
        }
        self.is_changed = true;
    }

    /// Counts it no more among those under way; where it never ran (`undone`), not at all.
    pub(super) fn end(&mut self, groups: &[LimitedGroup], streams: u32, undone: bool) {
        for (group, _) in groups {
            let Some(used) = self.groups.get_mut(group) else { continue };
            used.sessions = used.sessions.saturating_sub(1);
            used.streams = used.streams.saturating_sub(streams);
            used.runs = used.runs.saturating_sub(u32::from(undone));
        }
    }

    /// Counts bytes that have moved.
    pub(super) fn add_bytes(&mut self, groups: &[LimitedGroup], bytes: u64, now: Timestamp) {
        if bytes == 0 {
            return;
        }
        for (group, _) in groups {
            let used = self.entry(group, now);
            used.bytes = used.bytes.saturating_add(bytes);
        }
        self.is_changed = true;
    }

    /// What outlasts a restart.
    pub(super) fn worth_keeping(&self, now: Timestamp) -> Vec<(Group, GroupUse)> {
        let kept = |(group, used): (&Group, &GroupUse)| (group.clone(), used.at(now));
        let groups = self.groups.iter().map(kept);
        groups.filter(|(_, used)| used.bytes > 0 || used.runs > 0).collect()
    }

    /// The use of a group, which is made where there is none.
    fn entry(&mut self, group: &Group, now: Timestamp) -> &mut GroupUse {
        if self.groups.len() >= MAX_GROUPS && !self.groups.contains_key(group) {
            self.forget(now);
        }
        let used = self.groups.entry(group.clone()).or_default();
        *used = used.at(now);
        used
    }

    /// Makes room: what is used no more goes, and if that is too little the least used of those
    /// without a session, an eighth at a time.
    fn forget(&mut self, now: Timestamp) {
        self.groups.retain(|_, used| !used.is_unused(now));
        if self.groups.len() < MAX_GROUPS {
            return;
        }
        let mut least: Vec<(u64, u32, Group)> = self
            .groups
            .iter()
            .filter(|(group, used)| used.sessions == 0 && group.members != Members::Together)
            .map(|(group, used)| (used.bytes, used.runs, group.clone()))
            .collect();
        least.sort_unstable_by_key(|(bytes, runs, _)| (*bytes, *runs));
        for (_, _, group) in least.into_iter().take(MAX_GROUPS / 8) {
            self.groups.remove(&group);
        }
    }
}

/// The limit of a group that a run of so many streams has no room in.
fn reached(
    used: &GroupUse,
    group: &Group,
    limits: &GroupLimits,
    streams: u32,
    now: Timestamp,
) -> Option<Refusal> {
    let GroupLimits { sessions, streams: most, rate: _, bytes_per_day, runs_per_hour } = *limits;
    const LATER: &str = "come again when another run has ended";
    if let Some(refusal) = bytes_spent(used, group, bytes_per_day, now) {
        return Some(refusal);
    }
    if let Some(most) = runs_per_hour.filter(|most| used.runs >= *most) {
        let cause = format!("runs an hour of {group}: {} of {most} used", used.runs);
        let again = next(hour_of(now), SECONDS_PER_HOUR);
        return Some(Refusal::until(PolicyLimit::RunsPerHour, cause, again));
    }
    if let Some(most) = most.filter(|most| streams > *most) {
        let cause = format!("streams of {group}: {streams} asked for, {most} allowed");
        return Some(Refusal::new(PolicyLimit::RunStreams, cause, "ask for fewer streams"));
    }
    if let Some(most) = sessions.filter(|most| used.sessions >= *most) {
        let cause = format!("sessions at once of {group}: {} of {most} used", used.sessions);
        return Some(Refusal::new(PolicyLimit::Sessions, cause, LATER));
    }
    let all = used.streams.saturating_add(streams);
    let most = most.filter(|most| all > *most)?;
    let cause =
        format!("streams at once of {group}: {} of {most} used, {streams} asked for", used.streams);
    Some(Refusal::new(PolicyLimit::Streams, cause, LATER))
}

/// The limit on bytes, if all of it is used.
fn bytes_spent(
    used: &GroupUse,
    group: &Group,
    most: Option<Bytes>,
    now: Timestamp,
) -> Option<Refusal> {
    let most = most.filter(|most| used.bytes >= most.0)?;
    let cause = format!("bytes a day of {group}: {most} of {most} used");
    let again = next(day_of(now), SECONDS_PER_DAY);
    Some(Refusal::until(PolicyLimit::BytesPerDay, cause, again))
}

fn day_of(now: Timestamp) -> i64 {
    now.as_second().div_euclid(SECONDS_PER_DAY)
}

fn hour_of(now: Timestamp) -> i64 {
    now.as_second().div_euclid(SECONDS_PER_HOUR)
}

/// When the next period begins.
fn next(period: i64, seconds_per_period: i64) -> Timestamp {
    let second = period.saturating_add(1).saturating_mul(seconds_per_period);
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
