//! Counting what is used, by group, day and hour.

use std::net::IpAddr;

use super::*;
use crate::policy::rule::LimitSet;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn rule() -> PolicyRule {
    let each_address = GroupLimits {
        sessions: Some(2),
        streams: Some(10),
        bytes_per_day: Some(Bytes(1000)),
        runs_per_hour: Some(3),
        ..GroupLimits::default()
    };
    let each_prefix = GroupLimits { sessions: Some(3), ..GroupLimits::default() };
    let limits = LimitSet { each_address, each_prefix, ..LimitSet::default() };
    let (addresses, tokens) = (Vec::new(), Vec::new());
    PolicyRule { name: "lab".into(), addresses, tokens, limits, queue: None }
}

fn refused(usage: &Usage, groups: &[LimitedGroup], streams: u32, now: &str) -> String {
    usage.check(groups, streams, at(now)).unwrap_err().1.to_string()
}

#[test]
fn each_limit_is_named_with_its_group_and_the_time_to_come_again() {
    let policy = Policy::default();
    let rule = rule();
    let groups = |address| groups_of(&policy, &rule, ip(address));
    let (one, near, far) = (groups("192.0.2.1"), groups("192.0.2.9"), groups("198.51.100.1"));
    let mut usage = Usage::default();
    let now = "2026-11-30T11:59:59Z";
    assert_eq!(
        refused(&usage, &one, 11, now),
        "streams of rule 'lab' from 192.0.2.1: 11 asked for, 10 allowed; ask for fewer streams"
    );
    usage.begin(&one, 6, at(now));
    assert_eq!(
        refused(&usage, &one, 5, now),
        "streams at once of rule 'lab' from 192.0.2.1: 6 of 10 used, 5 asked for; come again when \
         another run has ended"
    );
    usage.begin(&one, 1, at(now));
    assert_eq!(
        refused(&usage, &one, 1, now),
        "sessions at once of rule 'lab' from 192.0.2.1: 2 of 2 used; come again when another run \
         has ended"
    );
    usage.begin(&near, 1, at(now));
    let prefix = refused(&usage, &near, 1, now);
    assert!(prefix.starts_with("sessions at once of rule 'lab' from 192.0.2.0/24: 3 of 3 used"));
    assert_eq!(usage.check(&far, 10, at(now)), Ok(()));

    usage.end(&one, 6, false);
    usage.end(&one, 1, false);
    usage.begin(&one, 1, at(now));
    usage.end(&one, 1, false);
    assert_eq!(
        refused(&usage, &one, 1, now),
        "runs an hour of rule 'lab' from 192.0.2.1: 3 of 3 used; come again at 2026-11-30T12:00:00Z"
    );
    assert_eq!(usage.check(&one, 1, at("2026-11-30T12:00:00Z")), Ok(()));
    usage.add_bytes(&one, 999, at(now));
    assert_eq!(usage.check_bytes(&one, at(now)), Ok(()));
    usage.add_bytes(&one, 500, at(now));
    let spent = "bytes a day of rule 'lab' from 192.0.2.1: 1000 B of 1000 B used; come again at \
                 2026-12-01T00:00:00Z";
    assert_eq!(usage.check_bytes(&one, at(now)).unwrap_err().to_string(), spent);
    assert_eq!(refused(&usage, &one, 1, "2026-11-30T23:59:59Z"), spent);
    assert_eq!(usage.check(&one, 1, at("2026-12-01T00:00:00Z")), Ok(()));
}

#[test]
fn addresses_of_one_64_count_as_one_and_groups_without_limits_not_at_all() {
    let mut rule = rule();
    let policy = Policy::default();
    let groups = |address| groups_of(&policy, &rule, ip(address));
    assert_eq!(groups("2001:db8:1:2::7"), groups("2001:db8:1:2:ffff::1"));
    let words: Vec<String> =
        groups("2001:db8:1:2::7").iter().map(|(group, _)| group.to_string()).collect();
    assert_eq!(words, ["rule 'lab' from 2001:db8:1::/48", "rule 'lab' from 2001:db8:1:2::/64"]);
    rule.limits = LimitSet::default();
    assert_eq!(groups_of(&policy, &rule, ip("192.0.2.1")), []);
}

#[test]
fn the_least_used_groups_are_forgotten_where_there_are_too_many() {
    let (policy, rule) = (Policy::default(), rule());
    let now = at("2026-11-30T11:00:00Z");
    let mut usage = Usage::default();
    let busy = groups_of(&policy, &rule, ip("192.0.2.1"));
    usage.begin(&busy, 1, now);
    let heavy = groups_of(&policy, &rule, ip("192.0.3.1"));
    usage.add_bytes(&heavy, 1 << 40, now);
    for number in 0..u32::try_from(MAX_GROUPS).unwrap() {
        let groups = groups_of(&policy, &rule, IpAddr::from((number << 8).to_be_bytes()));
        usage.add_bytes(&groups, 1, now);
    }
    assert!(usage.groups.len() <= MAX_GROUPS);
    assert!(usage.check(&heavy, 1, now).is_err(), "what it used is known");
    assert_eq!(usage.groups[&busy[0].0].sessions, 1);
    usage.add_bytes(&heavy, 1, at("2026-12-05T00:00:00Z"));
    assert!(usage.check(&heavy, 1, at("2026-12-05T00:00:00Z")).is_ok());
}
