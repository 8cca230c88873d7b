//! Measuring in turn, with real processes over loopback: `podperf coordinate` and its agents, in
//! order and together; with agents, servers and the coordinator dying, untrusted peers at its port,
//! and agents that do not come, do not answer, or take too long.

#[expect(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;
use podperf_model::plan::Expect;
use podperf_model::result::run::Status;
use podperf_model::run_log::LogRecord;
use serde_json::json;

use support::agents::{
    Coordinator, LONG, SHORT, agent_config, all_end, ends, schedule, start_agent,
};
use support::process::Server;
use support::{TIMEOUT, free_port};

#[test]
fn results_stand_in_the_schedules_order_and_say_what_was_asked() {
    let (one, two) = (Server::start(&[]), Server::start(&[]));
    let steps: [(&str, &[&str]); 8] = [
        ("path", &["a"]),
        ("path", &["b"]),
        ("alone", &["c"]),
        ("together", &["b", "a"]),
        ("path", &["a"]),
        ("path", &["b"]),
        ("alone", &["c"]),
        ("together", &["b", "a"]),
    ];
    let coordinator = Coordinator::start(&schedule(&["a", "b", "c"], &steps, 20), &[], None);
    let (first, second) = (one.target(), two.target());
    let configs = [
        agent_config("c", &[("alone", &["rr"], SHORT)]),
        agent_config(
            "a",
            &[("path", &["stream", &first], SHORT), ("together", &["rr", &first], SHORT)],
        ),
        agent_config(
            "b",
            &[("path", &["rr", &second], SHORT), ("together", &["rr", &second], SHORT)],
        ),
    ];
    let agents = configs.map(|config| start_agent(coordinator.port, &config, &[], None));
    let log = coordinator.finish();
    assert_eq!(log.status, 0, "{log:#?}");
    let expected = [
        "1 path/1 a",
        "2 path/2 b",
        "3 alone/1 c",
        "4 together/1 b",
        "4 together/1 a",
        "5 path/3 a",
        "6 path/4 b",
        "7 alone/2 c",
        "8 together/2 b",
        "8 together/2 a",
    ];
    assert_eq!(log.order(), expected);
    assert_eq!((log.missing(), log.lost(), log.finished()), (vec![], vec![], (10, None)));
    for (header, run) in &log.results {
        assert_eq!((run.status, run.errors.len()), (Status::Complete, 0), "{header:?}");
        let window = run.window.as_ref().expect("it measured").seconds;
        assert!(window > 0.28, "{window} s");
    }
    let command = ["podperf", "stream", &one.target(), "-t", "300ms", "-O", "100ms", "-i", "100ms"];
    assert_eq!(log.results[0].1.command, command);
    let beats =
        log.records.iter().filter(|record| matches!(record, LogRecord::Heartbeat { .. })).count();
    assert!(beats >= 16, "{beats} beats of eight steps");
    for agent in agents {
        let messages = ends(agent, 0);
        assert!(messages.contains(": complete, "), "{messages}");
    }
    one.assert_all_freed(TIMEOUT);
    two.assert_all_freed(TIMEOUT);
}

#[test]
fn windows_of_one_step_are_open_at_one_time() {
    let server = Server::start(&[]);
    let both: [(&str, &[&str]); 1] = [("both", &["a", "b"])];
    let coordinator = Coordinator::start(&schedule(&["a", "b"], &both, 20), &[], None);
    let window: &[&str] = &["-t", "4", "-O", "0.1"];
    let target = server.target();
    let agents = ["a", "b"].map(|name| {
        start_agent(
            coordinator.port,
            &agent_config(name, &[("both", &["rr", &target], window)]),
            &[],
            None,
        )
    });
    let log = coordinator.finish();
    assert_eq!((log.status, log.results.len()), (0, 2), "{log:#?}");
    all_end(agents);
    // Each window ends right before the server says that its run is done.
    let (first, line) = server.wait_for_log(": done, ");
    let second = server.wait_for_other_log(": done, ", &line);
    let apart = second.duration_since(first);
    assert!(apart < Duration::from_secs(4), "windows of 4 s ended {apart:?} apart");
}

#[test]
fn a_path_that_is_not_as_expected_leaves_out_what_hangs_on_it() {
    let server = Server::start(&[]);
    let target = server.target();
    let nobody = format!("127.0.0.1:{}", free_port());
    let steps: [(&str, &[&str]); 4] =
        [("open", &["a"]), ("closed", &["a"]), ("closed", &["a", "b"]), ("open", &["b"])];
    let coordinator = Coordinator::start(&schedule(&["a", "b"], &steps, 20), &[], None);
    let tests: &[(&str, &[&str], &[&str])] =
        &[("open", &["rr", &target], SHORT), ("closed", &["rr", &nobody], SHORT)];
    let mut a = agent_config("a", tests);
    a["probes"] = json!([
        {"path": "open", "address": target, "expect": "answer", "tests": ["open"]},
        {"path": "shut", "address": nobody, "expect": "answer", "tests": ["closed"]},
        {"path": "dropped", "address": nobody, "expect": "no_answer", "tests": []},
        {"path": "leaking", "address": target, "expect": "no_answer", "tests": ["open"]},
    ]);
    let agents = [a, agent_config("b", tests)]
        .map(|config| start_agent(coordinator.port, &config, &[], None));
    let log = coordinator.finish();
    assert_eq!((log.status, log.order()), (4, vec!["1 open/1 a".into(), "4 open/2 b".to_owned()]));
    let missing = log.missing();
    assert_eq!(missing.len(), 3, "{missing:#?}");
    let path = format!("its path shut to {nobody} cannot be measured: ");
    assert!(missing[0].2.starts_with(&path) && missing[0].2.contains("refused"), "{missing:#?}");
    assert_eq!((missing[1].0, missing[1].1), (3, "a"));
    assert!(missing[2].1 == "b" && missing[2].2.starts_with("left out because of a: "));
    let probed: Vec<_> = log
        .records
        .iter()
        .filter_map(|record| match record {
            LogRecord::Probed { path, met, expect, .. } => Some((path.as_str(), *met, *expect)),
            _ => None,
        })
        .collect();
    let expected = [
        ("open", true, Expect::Answer),
        ("shut", false, Expect::Answer),
        ("dropped", true, Expect::NoAnswer),
        ("leaking", false, Expect::NoAnswer),
    ];
    assert_eq!(probed, expected);
    all_end(agents);
}

#[test]
fn a_agent_that_dies_costs_its_own_steps_alone() {
    let server = Server::start(&[]);
    let target = server.target();
    let steps: [(&str, &[&str]); 4] =
        [("long", &["a"]), ("brief", &["a"]), ("brief", &["b"]), ("brief", &["a", "b"])];
    let coordinator = Coordinator::start(&schedule(&["a", "b"], &steps, 60), &[], None);
    let tests: &[(&str, &[&str], &[&str])] =
        &[("long", &["stream", &target], LONG), ("brief", &["stream", &target], SHORT)];
    let a = start_agent(coordinator.port, &agent_config("a", tests), &[], None);
    let b = start_agent(coordinator.port, &agent_config("b", tests), &[], None);
    coordinator.wait_mid_run(1);
    a.signal(Signal::SIGKILL);
    let log = coordinator.finish();
    assert_eq!((log.status, log.order()), (4, vec!["3 brief/2 b".to_owned()]), "{log:#?}");
    assert_eq!(log.lost(), ["a"]);
    let missing = log.missing();
    let who: Vec<_> = missing.iter().map(|(step, agent, _)| (*step, *agent)).collect();
    assert_eq!(who, [(1, "a"), (2, "a"), (4, "a"), (4, "b")]);
    assert!(missing[1].2.starts_with("the agent is lost: "), "{missing:#?}");
    assert!(missing[3].2.starts_with("left out because of a: "), "{missing:#?}");
    ends(b, 0);
    drop(a);
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn a_agent_that_is_told_to_end_brings_what_it_has() {
    let server = Server::start(&[]);
    let steps: [(&str, &[&str]); 2] = [("long", &["a"]), ("long", &["a"])];
    let coordinator = Coordinator::start(&schedule(&["a"], &steps, 60), &[], None);
    let config = agent_config("a", &[("long", &["stream", &server.target()], LONG)]);
    let a = start_agent(coordinator.port, &config, &[], None);
    coordinator.wait_mid_run(1);
    // Twice within a moment, as timeout(1) does, is once.
    a.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(5));
    a.signal(Signal::SIGTERM);
    let log = coordinator.finish();
    assert_eq!((log.status, log.order()), (4, vec!["1 long/1 a".to_owned()]), "{log:#?}");
    assert!(log.results[0].1.throughput.is_some());
    assert_eq!((log.lost(), log.finished()), (vec!["a"], (1, Some("no agent is left"))));
    ends(a, 143);
}

#[test]
fn a_server_that_dies_gives_an_incomplete_result_and_the_rest_goes_on() {
    let (mut dying, other) = (Server::start(&[]), Server::start(&[]));
    let steps: [(&str, &[&str]); 4] =
        [("dying", &["a"]), ("dying", &["a"]), ("mixed", &["a", "b"]), ("other", &["a"])];
    let coordinator = Coordinator::start(&schedule(&["a", "b"], &steps, 60), &[], None);
    let (gone, there) = (dying.target(), other.target());
    let a = agent_config(
        "a",
        &[
            ("dying", &["stream", &gone], LONG),
            ("mixed", &["stream", &gone], SHORT),
            ("other", &["rr", &there], SHORT),
        ],
    );
    let b = agent_config("b", &[("mixed", &["stream", &there], SHORT)]);
    let agents = [a, b].map(|config| start_agent(coordinator.port, &config, &[], None));
    coordinator.wait_mid_run(1);
    dying.kill();
    let log = coordinator.finish();
    assert_eq!(log.order(), ["1 dying/1 a", "2 dying/2 a", "3 mixed/1 a", "4 other/1 a"]);
    let statuses: Vec<_> = log.results.iter().map(|(_, run)| run.status).collect();
    use Status::{Complete, Incomplete};
    assert_eq!(statuses, [Incomplete, Incomplete, Incomplete, Complete]);
    let (broken, refused) = (&log.results[0].1, &log.results[1].1);
    assert!(broken.throughput.is_some() && !broken.errors.is_empty());
    assert!(refused.throughput.is_none() && refused.errors[0].cause.contains("refused"));
    // Without the other's start it would not be the test that was asked for.
    let cause = "left out because of a: it did not get ready";
    assert_eq!((log.status, log.missing()), (4, vec![(3, "b", cause)]));
    all_end(agents);
    other.assert_all_freed(TIMEOUT);
}

#[test]
fn agents_of_a_coordinator_that_dies_end_and_name_it() {
    let server = Server::start(&[]);
    let steps: [(&str, &[&str]); 1] = [("long", &["a"])];
    let coordinator = Coordinator::start(&schedule(&["a", "b"], &steps, 60), &[], None);
    let config = |name| agent_config(name, &[("long", &["stream", &server.target()], LONG)]);
    let agents = ["a", "b"].map(|name| start_agent(coordinator.port, &config(name), &[], None));
    coordinator.wait_mid_run(1);
    let name = format!("take part with the coordinator 127.0.0.1:{}", coordinator.port);
    coordinator.signal(Signal::SIGKILL);
    for agent in agents {
        let messages = ends(agent, 4);
        assert!(messages.contains(&name), "{messages}");
    }
    server.assert_all_freed(TIMEOUT);
}

#[test]
fn a_coordinator_that_falls_silent_is_lost_within_the_peer_timeout() {
    let steps: [(&str, &[&str]); 1] = [("brief", &["a"])];
    let coordinator = Coordinator::start(&schedule(&["a", "b"], &steps, 60), &[], None);
    let config = agent_config("a", &[("brief", &["rr"], SHORT)]);
    let agent = start_agent(coordinator.port, &config, &["--peer-timeout", "1s"], None);
    coordinator.wait_for("joined", |record| matches!(record, LogRecord::Joined { .. }));
    coordinator.signal(Signal::SIGSTOP);
    let messages = ends(agent, 4);
    assert!(messages.contains("the peer was silent for 1.0 s"), "{messages}");
}

#[test]
fn a_signal_to_the_coordinator_ends_the_step_and_keeps_what_there_is() {
    let server = Server::start(&[]);
    let steps: [(&str, &[&str]); 3] = [("brief", &["a"]), ("long", &["a"]), ("long", &["a"])];
    for (signal, status, name) in
        [(Signal::SIGTERM, 143, "SIGTERM or SIGHUP"), (Signal::SIGINT, 130, "SIGINT")]
    {
        let coordinator = Coordinator::start(&schedule(&["a"], &steps, 60), &[], None);
        let target = server.target();
        let tests: &[(&str, &[&str], &[&str])] =
            &[("long", &["stream", &target], LONG), ("brief", &["stream", &target], SHORT)];
        let agent = start_agent(coordinator.port, &agent_config("a", tests), &[], None);
        coordinator.wait_mid_run(2);
        coordinator.signal(signal);
        std::thread::sleep(Duration::from_millis(5));
        coordinator.signal(signal);
        let log = coordinator.finish();
        assert_eq!(
            (log.status, log.order()),
            (status, vec!["1 brief/1 a".into(), "2 long/1 a".to_owned()])
        );
        let stopped = &log.results[1].1;
        assert_eq!(stopped.status, Status::Incomplete);
        assert!(stopped.throughput.is_some() && stopped.errors[0].cause.contains(name));
        let cause = format!("the coordinator was ended by {name}");
        assert_eq!(log.missing(), [(3, "a", cause.as_str())]);
        assert_eq!(log.finished(), (2, Some(cause.as_str())));
        ends(agent, 0);
    }
    // While it waits, too.
    let coordinator = Coordinator::start(&schedule(&["a"], &steps, 60), &[], None);
    coordinator.signal(Signal::SIGTERM);
    assert_eq!(coordinator.finish().status, 143);
}

#[test]
fn untrusted_peers_cost_nothing_and_only_named_agents_take_part_once() {
    let token = Some("correct horse");
    let server = Server::start(&[]);
    let steps: [(&str, &[&str]); 2] = [("brief", &["a"]), ("brief", &["b"])];
    let coordinator = Coordinator::start(&schedule(&["a", "b"], &steps, 20), &[], token);
    let port = coordinator.port;
    let config = |name| agent_config(name, &[("brief", &["rr", &server.target()], SHORT)]);
    let connect = || TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    // More than may wait at once.
    let idle: Vec<TcpStream> = (0..80).map(|_| connect()).collect();
    let mut noisy = connect();
    noisy.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let open: &[(&str, &[&str], &[&str])] = &[("brief", &["rr"], SHORT)];
    let a = {
        // Servers without a token are refused to who has one, so the test brings its own.
        let config = agent_config("a", open);
        let a = start_agent(port, &config, &[], token);
        coordinator.wait_for("joined", |record| matches!(record, LogRecord::Joined { .. }));
        a
    };
    for (name, token, cause) in [
        ("b", Some("battery staple"), "wrong token"),
        ("b", None, "it demands a token"),
        ("c", token, "no agent of this name"),
        ("a", token, "has joined already"),
    ] {
        let messages = ends(start_agent(port, &config(name), &["--join-timeout", "20s"], token), 3);
        assert!(messages.contains(cause), "{name}: {messages}");
    }
    let wrong = start_agent(server.port, &config("b"), &[], None);
    assert!(ends(wrong, 3).contains("a podperf server that coordinates nothing"));
    let b = start_agent(port, &agent_config("b", open), &[], token);
    let log = coordinator.finish();
    assert_eq!((log.status, log.order().len()), (0, 2), "{log:#?}");
    let joined = log.records.iter().filter(|record| matches!(record, LogRecord::Joined { .. }));
    assert_eq!(joined.count(), 2);
    assert!(log.messages.iter().any(|line| line.contains("not podperf: it sent \"GET /")));
    drop((idle, noisy));
    all_end([a, b]);
}

#[test]
fn a_step_that_takes_too_long_is_given_up_and_the_next_begins() {
    let server = Server::start(&[]);
    let target = server.target();
    let steps: [(&str, &[&str]); 2] = [("long", &["a"]), ("brief", &["a"])];
    let coordinator = Coordinator::start(&schedule(&["a"], &steps, 2), &[], None);
    let tests: &[(&str, &[&str], &[&str])] =
        &[("long", &["stream", &target], LONG), ("brief", &["stream", &target], SHORT)];
    let agent = start_agent(coordinator.port, &agent_config("a", tests), &[], None);
    let log = coordinator.finish();
    assert_eq!((log.status, log.order()), (4, vec!["2 brief/1 a".to_owned()]), "{log:#?}");
    assert_eq!(log.missing(), [(1, "a", "no result within 2 s")]);
    ends(agent, 0);
}

#[test]
fn a_agent_that_falls_silent_is_lost_within_the_peer_timeout() {
    let server = Server::start(&[]);
    let steps: [(&str, &[&str]); 2] = [("long", &["a"]), ("brief", &["b"])];
    let patient = &["--peer-timeout", "1s"];
    let coordinator = Coordinator::start(&schedule(&["a", "b"], &steps, 60), patient, None);
    let target = server.target();
    let a = agent_config("a", &[("long", &["stream", &target], LONG)]);
    let a = start_agent(coordinator.port, &a, &[], None);
    let b = agent_config("b", &[("brief", &["stream", &target], SHORT)]);
    let b = start_agent(coordinator.port, &b, &[], None);
    coordinator.wait_mid_run(1);
    a.signal(Signal::SIGSTOP);
    let log = coordinator.finish();
    assert_eq!((log.status, log.order()), (4, vec!["2 brief/1 b".to_owned()]), "{log:#?}");
    let missing = log.missing();
    assert!(missing[0].2.contains("the peer was silent for 1.0 s"), "{missing:#?}");
    ends(b, 0);
    a.signal(Signal::SIGCONT);
    assert!(ends(a, 4).contains("take part with the coordinator"));
}

#[test]
fn agents_that_do_not_come_are_not_waited_for_beyond_their_time() {
    let steps: [(&str, &[&str]); 2] = [("brief", &["a"]), ("brief", &["b"])];
    let mut short = schedule(&["a", "b"], &steps, 20);
    short["join_seconds"] = json!(2);
    let coordinator = Coordinator::start(&short, &[], None);
    let agent =
        start_agent(coordinator.port, &agent_config("b", &[("brief", &["rr"], SHORT)]), &[], None);
    let log = coordinator.finish();
    assert_eq!((log.status, log.order()), (4, vec!["2 brief/2 b".to_owned()]), "{log:#?}");
    assert_eq!(log.missing(), [(1, "a", "did not join within 2 s")]);
    ends(agent, 0);

    short["join_seconds"] = json!(1);
    let log = Coordinator::start(&short, &[], None).finish();
    assert_eq!((log.status, log.finished()), (3, (0, Some("no agent joined within 1 s"))));
    assert_eq!(log.missing().len(), 2);

    let alone = start_agent(free_port(), &agent_config("a", &[]), &["--join-timeout", "1s"], None);
    assert!(ends(alone, 3).contains("start `podperf coordinate` there"));
}
