//! What a command line settles to, and what it is refused for.

use proptest::prelude::*;

use super::*;
use crate::plan::options::LauncherCli;
use crate::testing::{settings, settled, typed};

fn names(settings: &Settings) -> (String, String) {
    let paths: Vec<String> = settings.paths.iter().map(|path| path.name()).collect();
    let tests: Vec<String> = settings.tests.iter().map(|test| test.name()).collect();
    (paths.join(","), tests.join(","))
}

#[test]
fn each_preset_settles_to_what_its_help_says() {
    let base = "tcp_stream,tcp_rr";
    let all = "tcp_stream,tcp_rr,tcp_crr";
    let ladder: &[u32] = &[1, 2, 4, 8, 16, 32];
    let steep: &[u32] = &[1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
    let services = "host,pod,clusterip,nodeport,nodeport-other,hairpin";
    for (preset, paths, tests, streams, flows, times, policies) in [
        ("quick", "host,pod", base, &[1_u32, 8][..], &[1_u32][..], (5, 1, 3), 0),
        ("default", "host,pod", base, ladder, &[1, 16], (60, 5, 5), 0),
        ("paper", "host,pod", base, &[1, 3], &[1], (600, 5, 3), 0),
        ("saturate", "host,pod", "tcp_stream", steep, &[1, 16], (10, 2, 3), 0),
        ("services", services, all, &[1, 8], &[1], (10, 2, 5), 0),
        ("policies", "host,pod,policies", all, &[1, 8], &[1], (10, 2, 5), 100),
    ] {
        let settled = settings(&format!("--preset {preset}"));
        assert_eq!(names(&settled), (paths.to_owned(), tests.to_owned()), "{preset}");
        assert_eq!((&*settled.streams, &*settled.rr_flows), (streams, flows), "{preset}");
        let seconds = (settled.duration.as_secs(), settled.warmup.as_secs(), settled.samples);
        assert_eq!(seconds, times, "{preset}");
        assert_eq!(settled.policies, policies, "{preset}");
    }
    let quick = test_plan::expected(&settings("--preset quick"));
    assert!(quick < Duration::from_secs(180), "{quick:?}");
}

#[test]
fn options_win_over_the_preset() {
    let settled = settings(
        "--preset paper --scenarios pod,clusterip --tests tcp_crr -P 5 --rr-flows 7,9 -t 3 -O 0 \
         --samples 2",
    );
    assert_eq!(names(&settled), ("pod,clusterip".to_owned(), "tcp_crr".to_owned()));
    assert_eq!((&*settled.streams, &*settled.rr_flows), (&[5][..], &[7, 9][..]));
    assert_eq!((settled.duration.as_secs(), settled.warmup.as_secs()), (3, 0));
    assert_eq!((settled.samples, &*settled.run_id, settled.seed), (2, "r1", 7));
}

#[test]
fn paths_come_once_in_the_order_of_their_list_and_other_options_add_theirs() {
    for (line, paths) in [
        ("--scenarios pod,host,pod", "host,pod"),
        ("--via a.example:443", "host,pod,via"),
        ("--scenarios via,pod --via [2001:db8::1]:443", "pod,via"),
        ("--policies 3", "host,pod,policies"),
        ("--policies 0", "host,pod"),
        ("--scenarios hairpin,host", "host,hairpin"),
    ] {
        assert_eq!(names(&settings(line)).0, paths, "{line}");
    }
    let once = settings("-P 8,1,8 --tests tcp_rr,tcp_stream,tcp_rr");
    assert_eq!((&*once.streams, names(&once).1), (&[8, 1][..], "tcp_rr,tcp_stream".to_owned()));
}

#[test]
fn policies_are_counted_only_with_their_path() {
    for (line, count) in [
        ("--scenarios policies", 1),
        ("--scenarios policies --policies 5", 5),
        ("--policies 5", 5),
        ("--preset policies --policies 7", 7),
        ("--preset policies --scenarios policies", 100),
        // The preset's policies have nothing to select here, so there are none.
        ("--preset policies --scenarios host,pod", 0),
    ] {
        assert_eq!(settings(line).policies, count, "{line}");
    }
}

#[test]
fn what_does_not_go_together_is_refused_by_option_value_and_what_is_allowed() {
    // The order of the samples would fit, but not the client's command lines.
    let many = (1..=1300).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let many = format!("--scenarios pod --tests tcp_stream -P {many} --samples 1");
    for (line, parts) in [
        ("--scenarios via", ["--scenarios", "'via'", "--via HOST:PORT"]),
        ("--via nowhere", ["--via", "'nowhere'", "HOST:PORT"]),
        ("--via a.example:0", ["--via", "'a.example:0'", "HOST:PORT"]),
        ("--via 2001:db8::1:443", ["--via", "'2001:db8::1:443'", "brackets"]),
        ("--scenarios policies --policies 0", ["--policies", "'0'", "at least 1"]),
        ("--preset policies --policies 0", ["--policies", "'0'", "at least 1"]),
        (
            "--client-node a --server-node a",
            ["--server-node", "'a'", "the path same-node measures within one"],
        ),
        ("--samples 0", ["--samples", "'0'", "1 to 1000"]),
        ("--samples 1001", ["--samples", "'1001'", "1 to 1000"]),
        ("--pairs 0", ["--pairs", "'0'", "1 to 32"]),
        ("--pairs 33", ["--pairs", "'33'", "1 to 32"]),
        ("--policies 10001", ["--policies", "'10001'", "0 to 10000"]),
        ("--idle-policies 10001", ["--idle-policies", "'10001'", "0 to 10000"]),
        ("--services 10001", ["--services", "'10001'", "0 to 10000"]),
        ("--guaranteed --cpus 0", ["--cpus", "'0'", "1 to 1024"]),
        ("--ready-timeout 0", ["--ready-timeout", "'0s'", "1s or more"]),
        ("--ready-timeout 999ms", ["--ready-timeout", "'999ms'", "1s or more"]),
        ("--samples 200", ["2000", "3200 samples", "fewer"]),
        ("--pairs 32 --samples 100", ["specification", "1600 samples by 32 pairs", "fewer"]),
        (&many, ["specification", "1300 samples by 1 pairs", "at most 120000"]),
        // The engine's own rules, with the test that they broke.
        ("-P 0", ["--streams", "'0'", "1 to 16384"]),
        ("--rr-flows 0", ["test tcp_rr", "'0'", "1 to"]),
        ("-t 0", ["test tcp_stream", "'0s'", "more than 0"]),
        ("--req-size 0", ["test tcp_rr", "--request", "1 B to 64 MiB"]),
        ("--rr-rate 0", ["test tcp_rr", "--rate", "more than 0"]),
        ("--msg-size 1T", ["test tcp_stream", "--length", "64 MiB"]),
        ("--engine-options -J", ["test tcp_stream", "no -J", "--output"]),
        ("--engine-options --nosuch", ["test tcp_stream", "--nosuch", "unexpected"]),
        (
            "--tests tcp_crr --scenarios nodeport",
            ["'tcp_crr' for '--tests'", "allowed there", "tcp_rr"],
        ),
        ("--engine-options stray", ["test tcp_stream", "stray", "unexpected"]),
        ("--tests tcp_rr --engine-options --bidir", ["test tcp_rr", "--bidir", ""]),
    ] {
        let refusal = settled(line).expect_err(line);
        for part in parts {
            assert!(refusal.contains(part), "{line}: no {part:?} in {refusal}");
        }
    }
}

fn refused(line: &str) -> podperf_model::error::Error {
    let args = typed(line).unwrap();
    args.work.settle(args.ttl, true).unwrap_err()
}

#[test]
fn every_refusal_is_a_usage_error() {
    for line in ["--samples 0", "--scenarios via", "--samples 200", "--engine-options -J"] {
        assert_eq!(refused(line).kind, Kind::Usage, "{line}");
    }
}

#[test]
fn long_times_are_accepted() {
    let year = "365days";
    let settled = settings(&format!(
        "-t 1day -O 1day --ready-timeout {year} --ttl {year} --timeout {year} --samples 1000 \
         --scenarios pod --tests tcp_rr --rr-flows 1 --api-timeout {year}"
    ));
    assert!(test_plan::expected(&settled).mul_f64(1.5) > Duration::from_secs(3000 * 24 * 3600));
    assert!(settled.deadlines.timeout.is_some());
}

#[test]
fn names_drawn_by_lot_may_be_typed_again() {
    use clap::Parser as _;
    for _ in 0..200 {
        let name = {
            let args = typed("").unwrap();
            args.work.settle(args.ttl, true).unwrap().run_id
        };
        assert_eq!(name.len(), 6);
        let parsed = LauncherCli::try_parse_from(["kubectl-podperf", "collect", &name]);
        assert!(parsed.is_ok(), "{name}");
    }
}

proptest! {
    #[test]
    fn numbers_typed_settle_or_are_refused(
        samples in 0_u32..3000,
        pairs in 0_u32..40,
        streams in proptest::collection::vec(0_u32..20_000, 1..12),
        policies in 0_u32..20_000,
    ) {
        let streams: Vec<String> = streams.iter().map(u32::to_string).collect();
        let line = format!(
            "--samples {samples} --pairs {pairs} -P {} --policies {policies}", streams.join(",")
        );
        match settled(&line) {
            Ok(settled) => {
                let steps = test_plan::rows(&settled).len() * settled.samples as usize;
                prop_assert!(steps > 0 && steps <= MAX_STEPS);
                prop_assert_eq!(settled.policies, policies);
            }
            Err(refusal) => prop_assert!(refusal.contains("allowed") || refusal.contains("most")),
        }
    }
}
