//! Reading a policy: every key, and every way to break one.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Policy, PolicyFault> {
    read_policy(text, &|path| match path.to_str() {
        Some("token") => Token::from_text("from a file").map_err(|error| error.cause),
        _ => Err("no such file".into()),
    })
}

/// Everything that a policy may say.
const WHOLE: &str = r#"
state = "/var/lib/podperf/policy.json"

[all]
sessions = 16
rate = "16G"
bytes_per_day = "10T"
each_prefix = { sessions = 12 }

[[rule]]
name = "lab"
addresses = ["10.0.0.0/8", "2001:db8::/48"]
sessions = 4
streams = 256
rate = "4 Gbit/s"
bytes_per_day = 1_000_000
runs_per_hour = 60
each_address = { sessions = 2, bytes_per_day = "1.5G" }
queue = { length = 3, wait = "2m" }

[rule.run]
streams = 64
time = 600
rate = "2G"
udp = true
udp_rate = "100M"
cpus = "0,2-3"
spin = true

[[rule.token]]
file = "token"
not_after = 2026-12-02

[[rule.token]]
secret = "the next one"
not_before = 2026-12-01T00:00:00Z

[[rule]]
name = "others"
addresses = ["any"]
anonymous = true
run.udp = false
run.cpus = "none"
"#;

#[test]
fn a_policy_is_read_with_every_key() {
    let policy = read(WHOLE).unwrap();
    assert_eq!(policy.state, Some("/var/lib/podperf/policy.json".into()));
    assert_eq!(policy.all.each_prefix.sessions, Some(12));
    let [lab, others] = policy.rules.as_slice() else { panic!("two rules") };
    assert_eq!(&*lab.name, "lab");
    assert_eq!(lab.limits.together.bytes_per_day, Some(Bytes(1_000_000)));
    assert_eq!(lab.limits.each_address.bytes_per_day, Some(Bytes(3 << 29)));
    assert_eq!(lab.queue, Some(QueueLimits { length: 3, wait: Duration::from_secs(120) }));
    assert_eq!(lab.limits.run.time, Some(Duration::from_secs(600)));
    assert_eq!(lab.limits.run.cpus, Some(CpuChoice::Of(vec![0, 2, 3])));
    assert_eq!(lab.tokens.len(), 2);
    assert_eq!(lab.tokens[0].not_after.unwrap().to_string(), "2026-12-02T00:00:00Z");
    assert!(others.tokens.is_empty());
    assert_eq!(others.limits.run.udp, Some(false));
    let words = policy.to_string();
    for part in [
        "counts are kept in /var/lib/podperf/policy.json\n",
        "rule 'lab': clients at 10.0.0.0/8, 2001:db8::/48\n",
        "token 1, which holds until 2026-12-02T00:00:00Z\n",
        "4 sessions at once; 256 streams at once; 4 Gbit/s each way, 1 Gbit/s for each session",
        "each address (IPv6: each /64): 2 sessions at once; 1536 MiB a day, both ways\n",
        "64 streams; 10m long; 2 Gbit/s each way; UDP allowed; UDP at 100 Mbit/s each way; a \
         choice among the CPUs 0,2-3; spinning allowed\n",
        "queue: 3 runs may wait, each for 2m at most\n",
        "rule 'others': clients at any\n  need no token\n  each run: no UDP; no choice of CPUs\n",
    ] {
        assert!(words.contains(part), "{part} in {words}");
    }
    assert!(!words.contains("next one"), "{words}");
}

#[test]
fn what_is_broken_is_told_with_line_column_and_key() {
    const RULE: &str = "[[rule]]\nname = \"a\"\naddresses = [\"any\"]\nanonymous = true\n";
    for (text, expected) in [
        ("", "line 1, column 1: the key 'rule' is missing".to_owned()),
        ("x = [", "line 1, column 6: ".into()),
        ("rule = 3", "line 1, column 1, rule: allowed: tables, each as [[rule]]".into()),
        ("rule = []", "line 1, column 1, rule: allowed: 1 to 256 rules".into()),
        ("[[rule]]\n", "line 1, column 1, rule[1]: the key 'name' is missing".into()),
        (
            &format!("{RULE}sesions = 2\n"),
            "line 5, column 1, rule[1].sesions: there is no such key; allowed here: name, \
             addresses, anonymous, token, each_address, each_prefix, run, sessions, streams, \
             runs_per_hour, bytes_per_day, rate, queue"
                .into(),
        ),
        (
            &format!("{RULE}sessions = 0\n"),
            "line 5, column 1, rule[1].sessions: allowed: a whole number from 1 to 1024".into(),
        ),
        (&format!("{RULE}{RULE}"), "rule[2]: another rule is named 'a' already".into()),
        (
            "[[rule]]\nname = \"a\"\naddresses = [\"10.0.0.0/8\",\n  \"10.1.0.0/8\"]\n",
            "line 4, column 3, rule[1].addresses: '10.1.0.0/8': it has bits beyond".into(),
        ),
        (
            "[[rule]]\nname = \"a\"\naddresses = [\"any\"]\n",
            "line 1, column 1, rule[1]: who may come is not said".into(),
        ),
        (&format!("{RULE}rate = \"1G\""), "rule[1].rate: each session has an equal share".into()),
        (
            &format!("{RULE}sessions = 2\nrate = \"127K\""),
            "line 6, column 1, rule[1].rate: allowed: at least 128 Kbit/s".into(),
        ),
        (&format!("{RULE}bytes_per_day = \"x\""), "rule[1].bytes_per_day: allowed: a whole".into()),
        (
            &format!("{RULE}run = {{ time = \"8d\" }}"),
            "line 5, column 9, rule[1].run.time: allowed: more than 0s, at most 7days".into(),
        ),
        (
            &format!("{RULE}run = {{ udp = false, udp_rate = \"1M\" }}"),
            "rule[1].run.udp_rate: there is no udp here".into(),
        ),
        (&format!("{RULE}run.cpus = \"5-2\""), "rule[1].run.cpus: allowed: \"none\"".into()),
        (&format!("{RULE}queue.length = 2"), "rule[1].queue: the key 'wait' is missing".into()),
        (
            &format!("{RULE}[[rule.token]]\nsecret = \"long enough\""),
            "rule[1]: it has tokens, so it is not anonymous".into(),
        ),
        (
            "[[rule]]\nname = \"a\"\naddresses = [\"any\"]\n[[rule.token]]\nfile = \"gone\"",
            "line 5, column 1, rule[1].token[1].file: 'gone': no such file".into(),
        ),
        (
            "[[rule]]\nname = \"a\"\naddresses = [\"any\"]\n[[rule.token]]\nsecret = \"short\"",
            "rule[1].token[1].secret: it has 5 bytes, at least 8".into(),
        ),
        (
            "[[rule]]\nname = \"a\"\naddresses = [\"any\"]\n[[rule.token]]\nfile = \"token\"\n\
             not_before = 2026-02-01\nnot_after = \"2026-01-01\"",
            "rule[1].token[1]: not_after has to be later".into(),
        ),
    ] {
        let fault = read(text).unwrap_err().to_string();
        assert!(fault.contains(&expected), "'{text}' is told as '{fault}', not '{expected}'");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text: String, cut in 0..WHOLE.len(), byte: char) {
        let _ = read(&text);
        let mut changed: String = WHOLE.chars().take(cut).collect();
        changed.push(byte);
        changed.extend(WHOLE.chars().skip(cut + 1));
        let _ = read(&changed).map(|policy| policy.to_string());
    }
}
