//! Each limit on its own, by a client that goes beyond it.

use std::io::Write as _;

use serde_json::{Value, json};

use super::{PolicyFolder, anonymous, assert_refused, run_from, start_from};
use crate::support::wire::{ReadyClient, WireClient, plan};
use crate::support::{TIMEOUT, count, number, text};

/// A run that ends at once.
const SHORT: &str = "rr -n 10";

#[test]
fn what_a_plan_asks_beyond_a_rule_is_refused_before_it_starts() {
    let rule =
        "run = { streams = 3, time = \"7s\", udp_rate = \"5M\", cpus = \"none\", spin = false }";
    let folder = PolicyFolder::new(
        &(anonymous("tight", 2, rule)
            + &anonymous("no datagrams", 3, "run.udp = false\nstreams = 2")),
    );
    let server = folder.serve(&[]);
    for (host, words, parts) in [
        (2, "stream -P 4 -t 1", &["streams of a run of rule 'tight': 4 asked for, 3 allowed"][..]),
        (2, "stream -t 8 -O 0", &["time of a run of rule 'tight': 8s asked for, 7s allowed"]),
        (2, "stream -t 6 -O 2", &["8s asked for, 7s allowed", "ask for a shorter run"]),
        (
            2,
            "udp -t 1 -O 0 -b 3M -P 2",
            &["rate of datagrams of rule 'tight': 6 Mbit/s asked for, 5 Mbit/s allowed"],
        ),
        (2, "udp -t 1 -O 0 -b 0", &["as fast as it can asked for, 5 Mbit/s allowed"]),
        (2, "rr -n 9 --server-pin 0", &["CPUs of rule 'tight'", "none may be named"]),
        (2, "rr -n 9 --server-wait spin", &["spinning: rule 'tight'"]),
        (3, "udp -t 1", &["rule 'no datagrams' allows no runs of UDP", "measure by TCP"]),
        (3, "udp --rr --transactions 5", &["rule 'no datagrams' allows no runs of UDP"]),
        (3, "rr -n 9 -P 3", &["streams of rule 'no datagrams' together: 3 asked for, 2 allowed"]),
        (9, SHORT, &["no rule of this server's policy takes clients at 127.0.0.9", "operator"]),
    ] {
        assert_refused(&run_from(&server, host, words), parts);
    }
    for (host, words) in
        [(2, "udp -t 0.5 -O 0 -b 2M -P 2"), (3, "rr -n 9 -P 2"), (1, "stream -t 0.5 -O 0 -P 8")]
    {
        let outcome = run_from(&server, host, words);
        assert_eq!(outcome.status, 0, "{words}: {outcome:#?}");
    }
}

#[test]
fn sessions_and_streams_at_once_are_bounded_by_rule_address_and_prefix() {
    let network = |name: &str, lines: &str| {
        anonymous(name, 7, lines).replace("\"127.0.0.7\"", "\"127.0.7.0/24\"")
    };
    let lines = "each_address = { sessions = 1 }\neach_prefix = { streams = 5 }";
    let folder =
        PolicyFolder::new(&(anonymous("one", 2, "sessions = 1") + &network("network", lines)));
    let server = folder.serve(&[]);
    let from = |own: &str, words: &str| {
        let target = server.target();
        let words: Vec<&str> = words.split_whitespace().collect();
        let args = [&[words[0], &target, "--bind", own, "-J"], &words[1..]].concat();
        crate::support::process::Client::start(&args)
    };
    let long = "stream -t 60 -O 0 -b 1M";
    let mut under_way = vec![start_from(&server, 2, long)];
    server.wait_for_log("127.0.0.2:");
    let refused = run_from(&server, 2, SHORT);
    let words = "sessions at once of rule 'one' together: 1 of 1 used; come again when another run";
    assert_refused(&refused, &[words]);

    under_way.push(from("127.0.7.1", "stream -P 3 -t 60 -O 0 -b 1M"));
    server.wait_for_log("127.0.7.1:");
    let refused = from("127.0.7.1", SHORT).wait(TIMEOUT);
    assert_refused(&refused, &["sessions at once of rule 'network' from 127.0.7.1: 1 of 1 used"]);
    let refused = from("127.0.7.2", "rr -P 3 -n 10").wait(TIMEOUT);
    let words = "streams at once of rule 'network' from 127.0.7.0/24: 3 of 5 used, 3 asked for";
    assert_refused(&refused, &[words]);
    let fits = from("127.0.7.2", "rr -P 2 -n 10").wait(TIMEOUT);
    assert_eq!(fits.status, 0, "{fits:#?}");
    let untouched = run_from(&server, 1, "rr -n 100 -P 8");
    assert_eq!(untouched.status, 0, "{untouched:#?}");
    drop(under_way);
    server.assert_all_freed(TIMEOUT);
    let free = run_from(&server, 2, SHORT);
    assert_eq!(free.status, 0, "{free:#?}");
}

#[test]
fn both_ends_pace_what_they_send_to_the_rate_of_the_rule_and_the_result_says_so() {
    let folder = PolicyFolder::new(&anonymous("slow", 2, "sessions = 2\nrate = \"80M\""));
    let server = folder.serve(&[]);
    // A share of 40 Mbit/s: two sessions may run.
    for (words, flows) in [
        ("stream -t 3 -O 0", 1),
        ("stream -t 3 -O 0 -P 2", 2),
        ("stream -R -t 3 -O 1 -P 4", 4),
        ("udp -R -t 2 -O 0 -b 400M -P 2", 2),
        ("rr -t 3 -O 0 -P 2 --request 64K --response 1", 2),
    ] {
        let paced = run_from(&server, 2, words);
        assert_eq!(paced.status, 0, "{words}: {paced:#?}");
        let rate = number(&paced.json, "/throughput/bits_per_second");
        assert!((10e6..44e6).contains(&rate), "{words}: {rate} bit/s under 40 Mbit/s");
        let each = count(&paced.json, "/plan/socket/policy_bits_per_second");
        assert_eq!(each, 40_000_000 / flows, "{words}");
    }
    let kept = run_from(&server, 2, "stream -t 3 -O 0 -P 2 -b 15M");
    assert_eq!(kept.status, 0, "{kept:#?}");
    assert_eq!(kept.json["plan"]["socket"]["policy_bits_per_second"], Value::Null);
    let untouched = run_from(&server, 1, "stream -t 1 -O 0");
    assert!(number(&untouched.json, "/throughput/bits_per_second") > 44e6, "{untouched:#?}");
    assert_eq!(untouched.status, 0, "{untouched:#?}");
}

#[test]
fn a_client_that_does_not_keep_to_the_rate_is_told_and_cut_off() {
    let folder = PolicyFolder::new("");
    folder.write(&anonymous("slow", 1, "sessions = 2\nrate = \"80M\""));
    let server = folder.serve(&[]);
    let mut plan = plan();
    plan["stop_condition"]["window_seconds"] = json!(50.0);
    let ReadyClient { mut client, mut data, connect, .. } = WireClient::ready(server.port, &plan);
    assert_eq!(count(&connect, "/connect/rate_bits_per_second"), 40_000_000);
    client.send(&json!("start"));
    client.send(&json!("open"));
    // Until the server cuts it off.
    let sender = std::thread::spawn(move || while data.write_all(&[0; 64 << 10]).is_ok() {});
    let told = |message: &Value| message["flow_ended"]["error"].is_object();
    let messages = std::iter::repeat_with(|| client.receive());
    let message = messages.take_while(|message| !message.is_null()).find(told).expect("an error");
    let cause = text(&message, "/flow_ended/error/cause");
    assert!(
        cause.contains("rate of a run of rule 'slow': more is received than 40 Mbit/s allow"),
        "{cause}"
    );
    assert!(text(&message, "/flow_ended/error/remedy").contains("--bitrate"), "{message:#}");
    sender.join().expect("it ends");
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn bytes_of_a_day_end_the_run_that_uses_them_up_and_the_next_is_told_when_to_come_again() {
    let folder = PolicyFolder::new(&anonymous("little", 2, "bytes_per_day = \"64M\""));
    let server = folder.serve(&[]);
    for words in ["stream -t 60 -O 0 -b 800M", "stream -R -t 60 -O 0 -b 800M"] {
        let ended = run_from(&server, 2, words);
        let spent = "bytes a day of rule 'little' together: 64 MiB of 64 MiB used";
        if ended.status == 3 {
            assert_refused(&ended, &[spent, "; come again at ", "T00:00:00Z"]);
            continue;
        }
        // The first, or the first of a new day.
        ended.assert_failed(4, &[spent, "; come again at ", "T00:00:00Z"]);
        assert_eq!(text(&ended.json, "/status"), "incomplete");
        assert!(count(&ended.json, "/throughput/bytes_received") > 32 << 20, "{:#}", ended.json);
    }
    let untouched = run_from(&server, 1, "stream -n 128M");
    assert_eq!(untouched.status, 0, "{untouched:#?}");
}

#[test]
fn runs_of_an_hour_are_counted_by_address() {
    let rule = "[[rule]]\nname = \"few\"\naddresses = [\"127.0.0.2\", \"127.0.0.3\"]\n\
                anonymous = true\neach_address.runs_per_hour = 2\n";
    let folder = PolicyFolder::new(rule);
    let server = folder.serve(&[]);
    // An hour may end meanwhile.
    let served = (0..5).map(|_| run_from(&server, 2, SHORT)).take_while(|run| run.status == 0);
    assert!((2..5).contains(&served.count()), "{:#?}", server.log());
    let refused = run_from(&server, 2, SHORT);
    let words = "runs an hour of rule 'few' from 127.0.0.2: 2 of 2 used; come again at ";
    assert_refused(&refused, &[words, ":00:00Z"]);
    for host in [3, 1] {
        let untouched = run_from(&server, host, SHORT);
        assert_eq!(untouched.status, 0, "{untouched:#?}");
    }
}
