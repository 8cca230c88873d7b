//! The command line as clap understands it.

use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};

use super::*;
use crate::testing::typed;

#[test]
fn the_command_line_holds_together() {
    LauncherCli::command().debug_assert();
}

#[test]
fn values_are_refused_by_option_value_and_what_is_allowed() {
    for (line, option, value, allowed) in [
        ("--scenarios carrier-pigeon", "--scenarios", "carrier-pigeon", "nodeport-other"),
        ("--tests tcp_sream", "--tests", "tcp_sream", "tcp_stream"),
        ("--preset fast", "--preset", "fast", "quick"),
        ("-P 1,x", "--streams", "x", "whole number"),
        ("--rr-flows 1,x", "--rr-flows", "x", "whole number"),
        ("-t soon", "--duration", "soon", "a time such as"),
        ("-t 99999999999999999999y", "--duration", "99999999999999999999y", "a time such as"),
        ("-t 1000years", "--duration", "1000years", "at most 365days"),
        ("--timeout 366d", "--timeout", "366d", "at most 365days"),
        ("--api-timeout 9000000000000", "--api-timeout", "9000000000000", "at most 365days"),
        ("--ttl 366days", "--ttl", "366days", "at most 365days"),
        ("--samples -3", "-3", "", ""),
        ("--tolerance x", "--tolerance", "x", "0 to below 100"),
        ("--tolerance 100", "--tolerance", "100", "0 to below 100"),
        ("--tolerance -1", "--tolerance", "-1", "0 to below 100"),
        ("--tolerance NaN", "--tolerance", "NaN", "0 to below 100"),
        ("--max-slowdown -1", "--max-slowdown", "-1", "0 percent or more"),
        ("--max-slowdown NaN", "--max-slowdown", "NaN", "0 percent or more"),
        ("--max-slowdown inf", "--max-slowdown", "inf", "0 percent or more"),
        ("--run-id Upper", "--run-id", "Upper", "at most 24 characters"),
        ("--run-id a-", "--run-id", "a-", "'-' inside"),
        ("--run-id=-a", "--run-id", "-a", "'-' inside"),
        ("--run-id a.b", "--run-id", "a.b", "a to z"),
        ("--run-id abcdefghijklmnopqrstuvwxy", "--run-id", "abcdefg", "at most 24"),
        ("--label team", "--label", "team", "a key, '=', and a value"),
        ("--annotation =x", "--annotation", "=x", "a key, '=', and a value"),
        ("--pod-label podperf/pair=7", "--pod-label", "podperf/pair=7", "podperf's own"),
        ("--pod-annotation podperf/plan=x", "--pod-annotation", "podperf/plan=x", "any other key"),
        (
            "--label app.kubernetes.io/instance=x",
            "--label",
            "app.kubernetes.io/instance=x",
            "podperf's own",
        ),
        (
            "--namespace-label app.kubernetes.io/managed-by=me",
            "--namespace-label",
            "app.kubernetes.io/managed-by=me",
            "podperf's own",
        ),
        ("--ip-family 5", "--ip-family", "5", "both"),
        ("--pull-policy Maybe", "--pull-policy", "Maybe", "IfNotPresent"),
        ("--host-port 80", "--host-port", "80", "1024..=60000"),
        ("-o csv", "--output", "csv", "markdown"),
        ("--udp-rate fast", "--udp-rate", "fast", ""),
    ] {
        let refusal = typed(line).expect_err(line);
        for part in [option, value, allowed] {
            assert!(refusal.contains(part), "{line}: no {part:?} in {refusal}");
        }
    }
}

#[test]
fn options_have_the_defaults_that_the_help_tells() {
    let args = typed("").unwrap();
    assert_eq!((&*args.work.cluster.namespace, &*args.work.pods.image), ("podperf", IMAGE));
    assert_eq!(args.work.cluster.api_timeout, Duration::from_secs(120));
    assert_eq!(args.work.deadlines.ready_timeout, Duration::from_secs(120));
    assert_eq!((args.work.deadlines.timeout, args.ttl), (None, Duration::from_secs(900)));
    assert_eq!((args.work.tolerance, args.output.max_slowdown), (5.0, None));
    assert_eq!((args.output.output, args.output.out_dir), (OutputForm::Table, None));
    assert_eq!((args.work.measure.pairs, args.work.measure.services), (1, 0));
    assert_eq!((args.work.measure.req_size, args.work.measure.resp_size), (Bytes(1), Bytes(1)));
    assert!(!args.keep && !args.dry_run && !args.work.placement.guaranteed);
    assert_eq!(args.work.pods.pull_policy, "IfNotPresent");
}

#[test]
fn labels_may_have_any_value_and_many_may_be_given() {
    let args = typed("--label a=b=c --label d= --annotation e=f --pod-label g=h").unwrap();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(args.work.pods.labels, [pair("a", "b=c"), pair("d", "")]);
    assert_eq!(args.work.pods.annotations, [pair("e", "f")]);
    assert_eq!(args.work.pods.pod_labels, [pair("g", "h")]);
}

#[test]
fn engine_options_are_one_word_that_may_begin_with_a_hyphen() {
    let words = ["kubectl-podperf", "run", "--engine-options", "--send write -w 4M"];
    let LauncherCommand::Run(args) = LauncherCli::try_parse_from(words).unwrap().command else {
        panic!()
    };
    assert_eq!(args.work.measure.engine_options.as_deref(), Some("--send write -w 4M"));
}

#[test]
fn a_collection_takes_the_tolerance_from_the_plan_and_not_from_its_command_line() {
    let parse = |line: &str| LauncherCli::try_parse_from(line.split_whitespace());
    assert!(parse("kubectl-podperf collect r1 --max-slowdown 10").is_ok());
    let refusal = parse("kubectl-podperf collect r1 --tolerance 9").unwrap_err().to_string();
    assert!(refusal.contains("--tolerance"), "{refusal}");
    assert!(parse("kubectl-podperf deploy --tolerance 9").is_ok());
    for line in ["collect", "collect R1", "destroy r1 --all", "nosuch", ""] {
        assert!(parse(&format!("kubectl-podperf {line}")).is_err(), "{line}");
    }
    assert!(parse("kubectl-podperf destroy --all").is_ok());
}
