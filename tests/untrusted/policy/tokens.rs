//! Tokens of rules: which one decides, and one that takes the place of another.

use serde_json::{Value, json};

use super::{PolicyFolder, assert_refused, reload, rule, run_from};
use crate::support::process::{Client, Outcome, Server, podperf};
use crate::support::{TIMEOUT, eventually};

/// A client at 127.0.0.`host` that knows a token.
fn run_with(server: &Server, host: u8, token: &str) -> Outcome {
    let (target, own) = (server.target(), format!("127.0.0.{host}"));
    let mut command = podperf(None);
    command.env("PODPERF_TOKEN", token);
    let args = ["stream", &target, "--bind", &own, "-n", "1M", "-P", "2", "-J"];
    Client::launch(command, &args).wait(TIMEOUT)
}

#[test]
fn a_token_decides_the_rule_and_what_does_not_hold_is_told_since_when() {
    let token =
        |secret: &str, when: &str| format!("[[rule.token]]\nsecret = \"{secret}\"\n{when}\n");
    let old = token("an old token", "not_after = 2026-01-02")
        + &token("a late token", "not_before = 2999-12-31T12:00:00Z")
        + &token("the token of now", "not_before = 2001-01-01");
    let two = token("token of two", "") + "[[rule.token]]\nfile = \"other\"\n";
    let one = "run.streams = 1\n".to_owned() + &token("token of one", "");
    let folder =
        PolicyFolder::new(&(rule("two", 2, &two) + &rule("one", 2, &one) + &rule("old", 3, &old)));
    std::fs::write(folder.path("other"), "token in a file\n").unwrap();
    let server = folder.serve(&[]);
    for (host, token) in [(2, "token of two"), (2, "token in a file"), (3, "the token of now")] {
        let outcome = run_with(&server, host, token);
        assert_eq!(outcome.status, 0, "{token}: {outcome:#?}");
    }
    let refused = run_with(&server, 2, "token of one");
    assert_refused(&refused, &["streams of a run of rule 'one': 2 asked for, 1 allowed"]);
    for (host, token, part) in [
        (2, "the token of now", "wrong token"),
        (2, "token of nobody", "wrong token"),
        (3, "an old token", "this token ended at 2026-01-02T00:00:00Z"),
        (3, "a late token", "this token holds from 2999-12-31T12:00:00Z on"),
        (1, "token of two", "it has no token"),
    ] {
        assert_refused(&run_with(&server, host, token), &[part]);
    }
    assert_refused(&run_from(&server, 2, "rr -n 10"), &["it demands a token"]);
    server.assert_serves();
}

#[test]
fn a_new_token_is_given_out_while_the_old_one_holds_and_the_old_one_goes() {
    let with = |tokens: &[&str]| {
        let tokens = tokens.iter().map(|token| format!("[[rule.token]]\nsecret = \"{token}\"\n"));
        rule("rotated", 2, &tokens.collect::<String>()) + super::UNTOUCHED
    };
    let folder = PolicyFolder::new("");
    folder.write(&with(&["first token"]));
    let server = folder.serve(&[]);
    let (first, second) = ("first token", "second token");
    let served = |token| run_with(&server, 2, token).status == 0;
    assert_eq!([first, second].map(served), [true, false]);
    folder.write(&with(&[first, second]));
    reload(&server, "is read again");
    assert_eq!([first, second].map(served), [true, true]);
    folder.write(&with(&[second]));
    reload(&server, "is read again");
    assert_eq!([first, second].map(served), [false, true]);
}

#[test]
fn the_log_of_json_names_the_token_of_each_run_and_never_the_secret() {
    let token = |name: &str, secret: &str| {
        let name = if name.is_empty() { String::new() } else { format!("name = \"{name}\"\n") };
        format!("[[rule.token]]\n{name}secret = \"{secret}\"\n")
    };
    let tokens =
        token("nightly", "nightly secret") + &token("", "plain secret") + &token("ci", "ci secret");
    let folder = PolicyFolder::new(&rule("jobs", 2, &tokens));
    let server = folder.serve(&["--log", "json"]);
    for secret in ["ci secret", "plain secret", "nightly secret"] {
        let outcome = run_with(&server, 2, secret);
        assert_eq!(outcome.status, 0, "{secret}: {outcome:#?}");
    }
    let untouched = run_from(&server, 1, "rr -n 10");
    assert_eq!(untouched.status, 0, "{untouched:#?}");
    let told = || -> Vec<[Value; 2]> {
        let lines = server.log();
        let objects = lines.iter().map(|line| serde_json::from_str(line).expect("an object"));
        let runs = objects.filter(|object: &Value| object["event"] == "run");
        runs.map(|run| ["rule", "token"].map(|key| run[key].clone())).collect()
    };
    assert!(eventually(TIMEOUT, || told().len() == 4), "{:#?}", server.log());
    let jobs = |name: Option<&str>| [json!("jobs"), json!(name)];
    let untouched = [json!("untouched"), json!(null)];
    assert_eq!(told(), [jobs(Some("ci")), jobs(None), jobs(Some("nightly")), untouched]);
    for secret in ["ci secret", "plain secret", "nightly secret"] {
        assert!(!server.log().iter().any(|line| line.contains(secret)), "{:#?}", server.log());
    }
}
