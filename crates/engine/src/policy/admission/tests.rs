//! Who is let in, who waits, and who is refused.

use podperf_model::units::BitRate;

use super::*;
use crate::policy::file::read_policy;

const NOW: &str = "2026-11-30T11:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn policy(text: &str) -> Policy {
    read_policy(text, &|_| Err("no file".into())).unwrap()
}

fn client(ip: &str, rule: &str) -> AdmittedClient {
    AdmittedClient { ip: ip.parse().unwrap(), rule: rule.into(), token: None }
}

fn run(streams: u32) -> RequestedRun {
    RequestedRun { streams, ..RequestedRun::default() }
}

fn admitted(admission: &Admission, client: &AdmittedClient) -> AdmittedRun {
    match admission.admit(client, &run(1), false, at(NOW)) {
        Ok(Decision::Admitted(run)) => run,
        other => panic!("{other:?}"),
    }
}

fn queued(admission: &Admission, client: &AdmittedClient) -> QueuedRun {
    match admission.admit(client, &run(1), true, at(NOW)) {
        Ok(Decision::Queued(run)) => run,
        other => panic!("{other:?}"),
    }
}

fn place(run: &QueuedRun) -> Option<u32> {
    match run.look(at(NOW)).unwrap() {
        QueueState::Place(place) => Some(place),
        QueueState::Admitted(_) => None,
    }
}

const QUEUE: &str = r#"
[[rule]]
name = "lab"
addresses = ["10.0.0.0/8"]
anonymous = true
sessions = 2
each_address = { sessions = 1 }
queue = { length = 3, wait = "1m" }

[[rule]]
name = "others"
addresses = ["any"]
anonymous = true
sessions = 1
"#;

#[test]
fn who_waits_is_told_its_place_and_goes_on_in_order() {
    let admission = Admission::new(policy(QUEUE));
    let [a, b, c, d] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"].map(|ip| client(ip, "lab"));
    let first = admitted(&admission, &a);
    let second = admitted(&admission, &b);
    // The first lacks room of its address too, which keeps nobody else waiting.
    let again = queued(&admission, &a);
    let third = queued(&admission, &c);
    let fourth = queued(&admission, &d);
    assert_eq!([&again, &third, &fourth].map(place), [Some(1), Some(2), Some(3)]);
    let full = admission.admit(&d, &run(1), true, at(NOW)).unwrap_err();
    assert_eq!(
        (full.limit, full.cause.contains("and 3 runs wait already")),
        (PolicyLimit::Queue, true)
    );
    // Another rule's clients do not mind.
    drop(admitted(&admission, &client("192.0.2.1", "others")));
    while third.changed.try_recv().is_ok() {}
    drop(second);
    assert!(third.changed.try_recv().is_ok(), "it is woken");
    assert_eq!(place(&fourth), Some(3), "who came before has the room");
    let third = match third.look(at(NOW)).unwrap() {
        QueueState::Admitted(run) => run,
        QueueState::Place(place) => panic!("{place}"),
    };
    assert_eq!((place(&again), place(&fourth)), (Some(1), Some(2)));
    drop(first);
    assert_eq!(place(&again), None);
    drop((again, third));
    assert_eq!(place(&fourth), None);
    drop(fourth);
    assert_eq!(admission.lock().queue.len(), 0);
    let used = admission.lock().usage.groups.values().map(|used| used.sessions).sum::<u32>();
    assert_eq!(used, 0);
}

#[test]
fn who_may_not_wait_and_who_is_beyond_what_time_heals_are_refused() {
    let admission = Admission::new(policy(QUEUE));
    let other = client("192.0.2.1", "others");
    let _run = admitted(&admission, &other);
    let refused = admission.admit(&other, &run(1), true, at(NOW)).unwrap_err();
    assert_eq!(refused.limit, PolicyLimit::Sessions);
    let _first = admitted(&admission, &client("10.0.0.1", "lab"));
    let refused = admission.admit(&client("10.0.0.1", "lab"), &run(1), false, at(NOW)).unwrap_err();
    assert_eq!(refused.limit, PolicyLimit::Sessions);
    let gone = admission.admit(&client("10.0.0.1", "nosuch"), &run(1), true, at(NOW)).unwrap_err();
    assert_eq!(gone.limit, PolicyLimit::Address);
}

#[test]
fn another_policy_holds_at_once_and_what_is_used_stays_used() {
    let with = |limit: &str| {
        policy(&format!(
            "[[rule]]\nname = \"lab\"\naddresses = [\"any\"]\nanonymous = true\n{limit}"
        ))
    };
    let admission = Admission::new(with("bytes_per_day = 1000"));
    let one = client("10.0.0.1", "lab");
    let under_way = admitted(&admission, &one);
    under_way.count_bytes(600, at(NOW)).unwrap();
    admission.replace(with("bytes_per_day = 500"));
    let ended = under_way.count_bytes(1, at(NOW)).unwrap_err();
    assert_eq!(ended.again, Some(at("2026-12-01T00:00:00Z")));
    admission.replace(with("bytes_per_day = 2000\nsessions = 1"));
    under_way.count_bytes(1, at(NOW)).unwrap();
    admission.replace(with("queue = { length = 1, wait = 1 }\nsessions = 1"));
    let (waits, helped) = (queued(&admission, &one), admission.clone());
    assert_eq!(place(&waits), Some(1));
    helped.replace(with("run.time = 1"));
    assert_eq!(place(&waits), None);
    drop(under_way);
    let used: Vec<u32> = admission.lock().usage.groups.values().map(|used| used.sessions).collect();
    assert_eq!(used.iter().sum::<u32>(), 0);
}

const TOKENS: &str = r#"
[[rule]]
name = "first"
addresses = ["10.0.0.0/8"]
[[rule.token]]
secret = "token one"
not_after = 2026-11-30T12:00:00Z
[[rule.token]]
secret = "token two"
not_before = 2026-11-30T10:00:00Z

[[rule]]
name = "second"
addresses = ["10.0.0.0/8", "192.0.2.0/24"]
[[rule.token]]
secret = "token three"

[[rule]]
name = "free"
addresses = ["10.0.0.0/8"]
anonymous = true
"#;

#[test]
fn a_token_decides_the_rule_and_two_hold_while_one_takes_the_place_of_the_other() {
    let admission = Admission::new(policy(TOKENS));
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let (lab, far) = (ip("10.0.0.1"), ip("192.0.2.1"));
    let needs = |ip, has_token| admission.requirement(ip, has_token);
    assert_eq!(needs(lab, true), Ok(Requirement::Token));
    assert_eq!(needs(lab, false), Ok(Requirement::Nothing("free".into())));
    assert_eq!(needs(far, false), Ok(Requirement::Token));
    let nobody = needs(ip("198.51.100.1"), true).unwrap_err();
    assert_eq!(nobody.limit, PolicyLimit::Address);
    assert!(nobody.cause.contains("takes clients at 198.51.100.1"), "{nobody}");

    let prove = |ip, secret: &str, now: &str| {
        let asked = std::cell::Cell::new(0);
        let own = Token::from_text(secret).unwrap();
        let proof = own.prove(podperf_model::plan::Role::Client, "a", "b");
        let knows = |token: &Token| {
            asked.set(asked.get() + 1);
            token.verify(podperf_model::plan::Role::Client, "a", "b", &proof)
        };
        let found = admission.prove(ip, knows, at(now));
        let rule = found.map(|found| found.map(|(rule, _)| rule.to_string()));
        (rule.map_err(|refusal| refusal.cause), asked.get())
    };
    type Found<T> = Result<Option<String>, T>;
    fn in_rule<T>(name: &str) -> Found<T> {
        Ok(Some(name.to_owned()))
    }
    for (now, one, two) in [
        ("2026-11-30T09:00:00Z", in_rule("first"), Err("this token holds from")),
        ("2026-11-30T11:00:00Z", in_rule("first"), in_rule("first")),
        ("2026-11-30T12:00:00Z", Err("this token ended at 2026-11-30T12:00:00Z"), in_rule("first")),
    ] {
        for (secret, expected) in [("token one", one), ("token two", two)] {
            let (found, asked) = prove(lab, secret, now);
            assert_eq!(asked, 3, "every token is looked at");
            match (found, expected) {
                (Err(cause), Err(part)) => assert!(cause.contains(part), "{secret} {now}: {cause}"),
                (found, expected) => {
                    assert_eq!(found.ok(), expected.ok(), "{secret} at {now}");
                }
            }
        }
    }
    assert_eq!(prove(far, "token three", NOW), (in_rule("second"), 1));
    assert_eq!(prove(far, "token one", NOW), (Ok(None), 1));
    assert_eq!(prove(lab, "token nine", NOW), (Ok(None), 3));
}

#[test]
fn a_run_beyond_a_limit_of_its_own_is_refused_by_name() {
    let admission = Admission::new(policy(
        "[[rule]]\nname = \"lab\"\naddresses = [\"any\"]\nanonymous = true\n\
         run = { streams = 4, time = \"10s\", rate = \"1G\", udp_rate = \"10M\", cpus = \"0-3\", \
         spin = false }\n",
    ));
    let long = |seconds| Some(std::time::Duration::from_secs(seconds));
    let one = RequestedRun { streams: 1, ..RequestedRun::default() };
    for (run, limit, words) in [
        (run(5), PolicyLimit::RunStreams, "streams of a run of rule 'lab': 5 asked for, 4 allowed"),
        (
            RequestedRun { time: long(11), ..one.clone() },
            PolicyLimit::RunTime,
            "time of a run of rule 'lab': 11s asked for, 10s allowed",
        ),
        (
            RequestedRun { is_udp: true, datagram_rate: Some(BitRate(20_000_000)), ..one.clone() },
            PolicyLimit::Rate,
            "rate of datagrams of rule 'lab': 20 Mbit/s asked for, 10 Mbit/s allowed",
        ),
        (
            RequestedRun { is_udp: true, datagram_rate: Some(BitRate(u64::MAX)), ..one.clone() },
            PolicyLimit::Rate,
            "as fast as it can asked for, 10 Mbit/s allowed",
        ),
        (
            RequestedRun { cpus: vec![2, 4], ..one.clone() },
            PolicyLimit::Cpus,
            "the server is to run on 2,4, and CPUs 0-3 may be named",
        ),
        (RequestedRun { spins: true, ..one.clone() }, PolicyLimit::Spin, "spinning: rule 'lab'"),
    ] {
        let refusal = admission.admit(&client("::1", "lab"), &run, true, at(NOW)).unwrap_err();
        assert_eq!(refusal.limit, limit);
        assert!(refusal.cause.contains(words), "{refusal}");
    }
    let allowed = RequestedRun {
        time: long(10),
        is_udp: true,
        datagram_rate: Some(BitRate(10_000_000)),
        cpus: vec![0, 3],
        ..run(4)
    };
    let decision = admission.admit(&client("::1", "lab"), &allowed, false, at(NOW)).unwrap();
    let Decision::Admitted(run) = decision else { panic!("it waits") };
    assert_eq!(run.limits().rate, Some(BitRate(1_000_000_000)));
    assert_eq!(run.rule(), "lab");
}
