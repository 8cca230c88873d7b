//! A policy out of TOML, and clients that are held to it: what is accepted has values within their
//! bounds, and no more runs go on at a time than it says.

use std::collections::BTreeSet;
use std::net::IpAddr;

use arbitrary::{Result, Unstructured};
use jiff::{Timestamp, ToSpan as _};
use podperf_engine::policy::{
    Admission, AdmittedClient, Decision, Policy, RequestedRun, Requirement, Token, read_policy,
};

use super::text::{assert_one_line, assert_plain};

/// Lines of a policy, right and wrong.
const LINES: [&str; 48] = [
    "state = \"state.json\"",
    "[all]",
    "[[rule]]\nname = \"a\"\naddresses = [\"any\"]\nanonymous = true",
    "[[rule]]\nname = \"b\"\naddresses = [\"127.0.0.0/8\", \"2001:db8::/48\"]\nanonymous = true",
    "[[rule]]\nname = \"c\"\naddresses = [\"::1\"]",
    "[[rule.token]]\nsecret = \"eight or more\"",
    "[[rule.token]]\nfile = \"token\"",
    "not_before = 2026-12-01T00:00:00Z",
    "not_after = 2026-12-02",
    "not_after = 9999-12-31T23:59:60+24:00",
    "[rule.run]",
    "[all.run]",
    "sessions = 1",
    "sessions = 2",
    "sessions = 1024",
    "streams = 1",
    "streams = 1_048_576",
    "streams = -1",
    "rate = \"64K\"",
    "rate = \"16 Gbit/s\"",
    "rate = 18446744073709551615",
    "bytes_per_day = 1",
    "bytes_per_day = \"10T\"",
    "runs_per_hour = 1",
    "runs_per_hour = 1000000",
    "each_address = { sessions = 1, bytes_per_day = \"1.5G\" }",
    "each_prefix = { sessions = 12, runs_per_hour = 2 }",
    "queue = { length = 3, wait = \"2m\" }",
    "queue = { length = 64, wait = 86400 }",
    "queue = { length = 0 }",
    "time = 600",
    "time = 0.5",
    "time = \"7days\"",
    "time = inf",
    "udp = true",
    "udp = false",
    "udp_rate = \"100M\"",
    "cpus = \"0,2-3\"",
    "cpus = \"any\"",
    "cpus = \"none\"",
    "cpus = \"1023-0\"",
    "spin = true",
    "addresses = [\"10.0.0.1/8\"]",
    "addresses = []",
    "name = \"quote ' and \\u001b\"",
    "misspelt = 1",
    "run.udp = false",
    "\u{1b} = [[[[",
];
/// Runs that ask to be let in.
const MAX_RUNS: usize = 24;

/// Checks one policy: text as it is, or lines by their numbers, and then clients.
pub fn check(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let written = data.first().is_some_and(|byte| byte.is_ascii_graphic() || *byte == b'\n');
    let text = if written {
        String::from_utf8_lossy(data).into_owned()
    } else {
        match lines(&mut input) {
            Ok(text) => text,
            Err(_) => return,
        }
    };
    let token =
        |_: &std::path::Path| Token::from_text("a secret in a file").map_err(|_| String::new());
    match read_policy(&text, &token) {
        Ok(policy) => {
            check_bounds(&policy);
            let _ = check_runs(policy, &mut input);
        }
        Err(fault) => {
            assert_one_line(&fault.to_string().replace('\n', " "), "a fault");
            assert!(fault.line >= 1 && fault.column >= 1, "{fault}");
            assert!(fault.line <= text.matches('\n').count() + 1, "{fault}");
        }
    }
}

fn lines(input: &mut Unstructured<'_>) -> Result<String> {
    let mut text = String::new();
    for _ in 0..input.int_in_range(0..=40_u8)? {
        text.push_str(input.choose(&LINES)?);
        text.push('\n');
    }
    Ok(text)
}

fn check_bounds(policy: &Policy) {
    assert!((1..=256).contains(&policy.rules.len()));
    let names: BTreeSet<_> = policy.rules.iter().map(|rule| &rule.name).collect();
    assert_eq!(names.len(), policy.rules.len(), "rules of one name");
    assert_plain(&policy.to_string(), "a policy in words");
    for rule in &policy.rules {
        for token in &rule.tokens {
            let order = token.not_before.zip(token.not_after).is_none_or(|(from, to)| from < to);
            assert!(order, "a token that never holds");
        }
        let limits = policy.all.of_run(&rule.limits);
        for set in [&policy.all, &rule.limits] {
            for group in [&set.together, &set.each_address, &set.each_prefix] {
                assert!(group.sessions.is_none_or(|count| (1..=1024).contains(&count)));
                // A session's share is a rate that can be paced.
                assert!(group.share().is_none_or(|share| share.0 >= 64_000), "{group:?}");
                assert!(group.share() >= group.share().and(limits.rate), "{limits:?}");
            }
            let tighter = limits.streams.zip(set.run.streams).is_none_or(|(both, own)| both <= own);
            assert!(tighter, "{limits:?}");
        }
    }
}

/// Lets runs in and ends them, and counts beside.
fn check_runs(policy: Policy, input: &mut Unstructured<'_>) -> Result<()> {
    let sessions = policy.all.together.sessions.map_or(usize::MAX, |count| count as usize);
    let admission = Admission::new(policy);
    let mut now: Timestamp = "2026-12-01T12:00:00Z".parse().expect("a time");
    let (mut running, mut queued) = (Vec::new(), Vec::new());
    let addresses = ["127.0.0.1", "127.0.0.2", "::1", "2001:db8::7", "203.0.113.9"];
    for _ in 0..MAX_RUNS {
        if input.is_empty() {
            break;
        }
        let ip: IpAddr = input.choose(&addresses)?.parse().expect("an address");
        let rule = match admission.requirement(ip, input.arbitrary()?) {
            Ok(Requirement::Nothing(rule)) => rule,
            Ok(Requirement::Token) => match admission.prove(ip, |_| true, now) {
                Ok(proved) => proved.expect("it knows every token").0,
                Err(refusal) => {
                    assert_one_line(&refusal.to_string(), "a refusal");
                    continue;
                }
            },
            Err(refusal) => {
                assert_one_line(&refusal.to_string(), "a refusal");
                continue;
            }
        };
        let run = RequestedRun {
            streams: input.int_in_range(1..=3)?,
            is_udp: input.arbitrary()?,
            spins: input.arbitrary()?,
            ..RequestedRun::default()
        };
        let client = AdmittedClient { ip, rule, token: None };
        match admission.admit(&client, &run, input.arbitrary()?, now) {
            Ok(Decision::Admitted(run)) => running.push(run),
            Ok(Decision::Queued(run)) => queued.push(run),
            Err(refusal) => assert_one_line(&refusal.to_string(), "a refusal"),
        }
        assert!(running.len() <= sessions, "{} of {sessions} sessions", running.len());
        match input.int_in_range(0..=4_u8)? {
            0 if !running.is_empty() => {
                running.swap_remove(input.choose_index(running.len())?);
            }
            1 if !running.is_empty() => {
                let run = &running[input.choose_index(running.len())?];
                if let Err(refusal) = run.count_bytes(input.arbitrary()?, now) {
                    assert_one_line(&refusal.to_string(), "a refusal");
                }
            }
            2 => {
                now = now
                    .saturating_add(i64::from(input.arbitrary::<u32>()?).seconds())
                    .unwrap_or(now)
            }
            3 => {
                let Some(waiting) = queued.pop() else { continue };
                drop(waiting);
            }
            _ => {}
        }
    }
    Ok(())
}
