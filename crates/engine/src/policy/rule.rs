//! What a policy says, checked: who may come, and what each may have.
//!
//! Plain data; `file` reads it, `words` tells it, `admission` holds clients to it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::address_range::AddressRange;
use super::tokens::TimedToken;
use podperf_model::units::{BitRate, Bytes};

/// A whole policy.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Where counts are kept over a restart.
    pub state: Option<PathBuf>,
    /// What holds for everybody together.
    pub all: LimitSet,
    /// In order: a client is served by the first that takes it.
    pub rules: Vec<PolicyRule>,
}

/// Clients, and what they may have.
#[derive(Debug, Clone)]
pub struct PolicyRule {
    /// Its name, which no other has.
    pub name: Arc<str>,
    /// Where they come from.
    pub addresses: Vec<AddressRange>,
    /// What they have to know, one of them; none: nothing.
    pub tokens: Vec<TimedToken>,
    /// What they may have.
    pub limits: LimitSet,
    /// Where they may wait; absent: nowhere.
    pub queue: Option<QueueLimits>,
}

/// Limits of all clients of a rule, or of all rules.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LimitSet {
    /// Of all of them together.
    pub together: GroupLimits,
    /// Of each IPv4 address, or /64 of IPv6.
    pub each_address: GroupLimits,
    /// Of each /24 of IPv4, or /48 of IPv6.
    pub each_prefix: GroupLimits,
    /// Of each run.
    pub run: RunLimits,
}

/// Limits of a group of clients. Absent: there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupLimits {
    /// Sessions at a time.
    pub sessions: Option<u32>,
    /// Streams of these sessions.
    pub streams: Option<u32>,
    /// Their rate each way, of which each session has an equal share.
    pub rate: Option<BitRate>,
    /// Bytes both ways in a day of UTC.
    pub bytes_per_day: Option<Bytes>,
    /// Runs in an hour of UTC.
    pub runs_per_hour: Option<u32>,
}

/// Limits of one run. Absent: there is none, or the server's own holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunLimits {
    /// Streams.
    pub streams: Option<u32>,
    /// Warm-up and window.
    pub time: Option<Duration>,
    /// Rate each way.
    pub rate: Option<BitRate>,
    /// Whether it may be one of datagrams.
    pub udp: Option<bool>,
    /// Rate each way of one of datagrams.
    pub udp_rate: Option<BitRate>,
    /// CPUs of this end that it may name.
    pub cpus: Option<CpuChoice>,
    /// Whether it may have this end's workers wait without sleeping.
    pub spin: Option<bool>,
}

/// CPUs that a client may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CpuChoice {
    /// None.
    None,
    /// Any that this process may use.
    Any,
    /// These.
    Of(Vec<u32>),
}

/// A queue for runs that have to wait for others to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Runs that may wait.
    pub length: u32,
    /// How long each.
    pub wait: Duration,
}

impl PolicyRule {
    /// Whether clients at `ip` are its.
    #[must_use]
    pub fn takes(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|range| range.contains(ip))
    }
}

impl GroupLimits {
    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The rate that each session may have.
    #[must_use]
    pub fn share(&self) -> Option<BitRate> {
        let sessions = u64::from(self.sessions.unwrap_or(1).max(1));
        self.rate.map(|rate| BitRate(rate.0 / sessions))
    }
}

impl LimitSet {
    /// The limits of a run under these and under `rule`: the tighter of both; what a client may
    /// choose, the rule says where it does.
    #[must_use]
    pub fn of_run(&self, rule: &Self) -> RunLimits {
        let shares = [self, rule]
            .into_iter()
            .flat_map(|set| [&set.together, &set.each_address, &set.each_prefix])
            .filter_map(GroupLimits::share);
        let (all, own) = (&self.run, &rule.run);
        let rate = shares.chain(all.rate).chain(own.rate).min();
        RunLimits {
            streams: tighter(all.streams, own.streams),
            time: tighter(all.time, own.time),
            rate,
            udp: if all.udp == Some(false) { all.udp } else { own.udp.or(all.udp) },
            udp_rate: all.udp_rate.into_iter().chain(own.udp_rate).chain(rate).min(),
            cpus: own.cpus.clone().or_else(|| all.cpus.clone()),
            spin: own.spin.or(all.spin),
        }
    }
}

fn tighter<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_the_tighter_limits_and_its_share_of_each_rate() {
        let rate = |gigabits: u64| Some(BitRate(gigabits * 1_000_000_000));
        let all = LimitSet {
            together: GroupLimits { sessions: Some(8), rate: rate(80), ..GroupLimits::default() },
            run: RunLimits {
                streams: Some(4),
                time: Some(Duration::from_secs(60)),
                udp: Some(true),
                udp_rate: rate(20),
                spin: Some(false),
                ..RunLimits::default()
            },
            ..LimitSet::default()
        };
        let mut rule = LimitSet {
            each_address: GroupLimits {
                sessions: Some(2),
                rate: rate(10),
                ..GroupLimits::default()
            },
            run: RunLimits {
                streams: Some(16),
                time: Some(Duration::from_secs(10)),
                cpus: Some(CpuChoice::Any),
                spin: Some(true),
                ..RunLimits::default()
            },
            ..LimitSet::default()
        };
        let run = all.of_run(&rule);
        assert_eq!((run.streams, run.time), (Some(4), Some(Duration::from_secs(10))));
        assert_eq!((run.rate, run.udp_rate), (rate(5), rate(5)));
        assert_eq!((run.udp, run.spin, run.cpus), (Some(true), Some(true), Some(CpuChoice::Any)));
        rule.run.rate = rate(1);
        assert_eq!(all.of_run(&rule).rate, rate(1));
        let forbids = LimitSet {
            run: RunLimits { udp: Some(false), ..RunLimits::default() },
            ..LimitSet::default()
        };
        rule.run.udp = Some(true);
        assert_eq!(forbids.of_run(&rule).udp, Some(false));
        assert_eq!(LimitSet::default().of_run(&LimitSet::default()), RunLimits::default());
    }
}
