//! Rows, words and the order of the samples.

use podperf_model::AddressFamily;
use std::collections::BTreeSet;

use proptest::prelude::*;

use clap::ValueEnum as _;

use super::*;
use crate::testing::{EVERY_PATH, settings};

const EVERY_TEST: &str = "--tests tcp_stream,tcp_rr,tcp_crr,udp_stream,udp_rr";

fn ids(settings: &Settings) -> Vec<String> {
    rows(settings).into_iter().map(TestRow::id).collect()
}

#[test]
fn a_row_for_every_path_test_and_number_of_flows() {
    let settings = settings("--scenarios host,pod -P 1,8 --rr-flows 4");
    let wanted = [
        "tcp_stream.1@host",
        "tcp_stream.8@host",
        "tcp_rr.4@host",
        "tcp_stream.1@pod",
        "tcp_stream.8@pod",
        "tcp_rr.4@pod",
    ];
    assert_eq!(ids(&settings), wanted);
    assert!(left_out(&settings).is_empty());
}

#[test]
fn tests_that_use_the_servers_own_ports_are_left_out_where_those_are_others() {
    let settings = settings(&format!("{EVERY_PATH} {EVERY_TEST} -P 1 --rr-flows 1"));
    let paths = |test: TestKind| -> BTreeSet<String> {
        rows(&settings)
            .into_iter()
            .filter(|row| row.test == test)
            .map(|row| row.path.name())
            .collect()
    };
    let all = paths(TestKind::TcpStream);
    assert_eq!(all.len(), 11);
    assert_eq!(paths(TestKind::TcpRr), all);
    for test in [TestKind::TcpCrr, TestKind::UdpStream, TestKind::UdpRr] {
        let mut without = all.clone();
        ["nodeport", "nodeport-other", "via"].iter().for_each(|path| _ = without.remove(*path));
        assert_eq!(paths(test), without, "{}", test.name());
    }
    let left_out = left_out(&settings);
    assert_eq!(left_out.len(), 9);
    assert_eq!(rows(&settings).len() + left_out.len(), 11 * 5);
}

#[test]
fn paths_are_named_by_family_and_a_given_address_comes_once() {
    for (family, names) in [
        ("", "pod clusterip via"),
        ("--ip-family 4", "pod clusterip via"),
        ("--ip-family 6", "pod-v6 clusterip-v6 via"),
        ("--ip-family both", "pod clusterip via pod-v6 clusterip-v6"),
    ] {
        let line = format!("--scenarios pod,clusterip --via a.example:443 {family}");
        let settings = settings(&line);
        let found: Vec<String> = paths(&settings).into_iter().map(PathByFamily::name).collect();
        assert_eq!(found.join(" "), names, "{line}");
        let ids = ids(&settings);
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{line}");
    }
}

#[test]
fn the_engine_parses_the_words_of_every_path_and_test() {
    for more in ["", "--ip-family both", "--msg-size 8K --rr-rate 1000 --req-size 200"] {
        let settings =
            settings(&format!("{EVERY_PATH} {EVERY_TEST} {more} -P 1,9 -t 1.5 -O 250ms"));
        for row in rows(&settings) {
            for target in ["10.1.2.3:5210", "[2001:db8::1]:30123", "lb.example:443"] {
                let words = words(&settings, row, target);
                podperf::check_command_line(&words)
                    .unwrap_or_else(|error| panic!("{words:?}: {error}"));
                assert_eq!(words[1], target);
            }
        }
    }
}

#[test]
fn words_say_what_was_asked_for() {
    let of = |line: &str| -> String {
        let settings = settings(&format!("--scenarios pod {line}"));
        words(&settings, rows(&settings)[0], "S:1").join(" ")
    };
    for (line, wanted) in [
        (
            "--tests tcp_stream -P 3 -t 90 -O 0 --msg-size 64K",
            "stream S:1 -P 3 -t 1m30s -O 0s -l 65536",
        ),
        (
            "--tests tcp_rr --rr-flows 2 --req-size 5 --resp-size 7 -t 2 -O 1 --rr-rate 1K",
            "rr S:1 -P 2 -t 2s -O 1s --request 5 --response 7 --rate 1K",
        ),
        (
            "--tests tcp_crr --rr-flows 2 -t 2 -O 1 --rr-rate 1K",
            "crr S:1 -P 2 -t 2s -O 1s --request 1 --response 1",
        ),
        (
            "--tests udp_stream -P 2 -t 2 -O 1 --udp-rate 2G",
            "udp S:1 -P 2 -t 2s -O 1s -b 2000000000",
        ),
        (
            "--tests udp_rr --rr-flows 2 -t 2 -O 1",
            "udp S:1 -P 2 -t 2s -O 1s --request 1 --response 1 --rr",
        ),
    ] {
        assert_eq!(of(line), wanted, "{line}");
    }
    let mut more = settings("--scenarios pod --tests tcp_stream -P 1 -t 1 -O 1");
    more.measure.engine_options = Some("--send write  -w 4M".to_owned());
    let words = words(&more, rows(&more)[0], "S:1").join(" ");
    assert_eq!(words, "stream S:1 -P 1 -t 1s -O 1s --send write -w 4M");
}

#[test]
fn datagrams_have_no_congestion_control_and_are_asked_for_none() {
    let settings = settings(&format!("{EVERY_TEST} -C cubic --scenarios pod -P 1 --rr-flows 1"));
    for row in rows(&settings) {
        let words = words(&settings, row, "192.0.2.1:5210");
        let asked = words.windows(2).any(|pair| pair == ["-C", "cubic"]);
        assert_eq!(asked, row.id().starts_with("tcp"), "{words:?}");
    }
}

#[test]
fn each_round_has_every_row_once_and_the_seed_alone_decides_the_order() {
    let with = |seed: u64| {
        let mut settings = settings("--preset services --samples 4");
        settings.seed = seed;
        let steps = order(&settings, |row| vec![row.path.name()]);
        (ids(&settings), steps)
    };
    let (ids, steps) = with(7);
    assert_eq!(steps.len(), 4 * ids.len());
    let all: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    for (round, part) in (1..).zip(steps.chunks(ids.len())) {
        let found: BTreeSet<&str> = part.iter().map(|step| &*step.test).collect();
        assert_eq!(found, all, "round {round}");
        assert!(part.iter().all(|step| step.sample == round));
    }
    assert!(steps.iter().all(|step| step.test.ends_with(&format!("@{}", step.agents[0]))));
    assert_eq!(with(7).1, steps);
    assert_ne!(with(8).1, steps);
}

#[test]
fn a_step_may_take_its_windows_and_a_minute_and_a_run_the_sum() {
    let settings = settings("--scenarios pod -P 1 --rr-flows 1 --samples 3 -t 10 -O 2");
    assert_eq!(order(&settings, |_| Vec::new())[0].limit_seconds, 72);
    assert_eq!(expected(&settings), Duration::from_secs(2 * 3 * 13));
}

#[test]
fn names_of_no_row_are_not_parsed() {
    for id in ["", "tcp_rr", "tcp_rr.1", "tcp_rr@pod", "tcp_rr.x@pod", "tcp_rr.-1@pod", "@."] {
        assert_eq!(parse_id(id), None, "{id}");
    }
}

proptest! {
    #[test]
    fn the_name_of_a_row_is_parsed_back(
        test in 0_usize..5,
        flows in 1_u32..20_000,
        path in 0_usize..22,
    ) {
        let test = TestKind::value_variants()[test];
        let network_path = NetworkPath::value_variants()[path / 2];
        let family = [None, Some(AddressFamily::V6)][path % 2];
        let row = TestRow { path: PathByFamily { network_path, family }, test, flows };
        let id = row.id();
        prop_assert_eq!(parse_id(&id), Some((&*test.name(), flows, &*row.path.name())));
    }
}

#[test]
fn a_plan_says_what_the_settings_say() {
    let settings = settings(
        "--scenarios host,clusterip --tests tcp_stream,tcp_rr -P 8,1 --rr-flows 2,1 -t 10 -O 2 \
         --samples 4 --tolerance 3 --pairs 2 --services 9 --idle-policies 6 -n net",
    );
    let plan = cluster_plan(&settings);
    assert_eq!((&*plan.namespace, plan.paths.join(",")), ("net", "host,clusterip".to_owned()));
    assert_eq!(
        (plan.tests.join(","), &*plan.flows),
        ("tcp_stream,tcp_rr".to_owned(), &[1, 2, 8][..])
    );
    assert_eq!((plan.rows.len(), plan.samples, plan.pairs, plan.seed), (8, 4, 2, 7));
    assert_eq!((plan.window_seconds, plan.warm_up_seconds), (10.0, 2.0));
    assert_eq!((plan.policies, plan.idle_policies, plan.background_services), (0, 6, 9));
    assert!((plan.tolerance_share - 0.03).abs() < 1e-12);
    // The document and the schedule have the same rows.
    let planned: Vec<String> =
        plan.rows.iter().map(|row| format!("{}.{}@{}", row.test, row.flows, row.path)).collect();
    assert_eq!(planned, ids(&settings));
}
