//! What people see: the answer first, and nothing wider than the terminal.

use std::time::Duration;

use super::*;
use crate::saturation::{SearchRecord, SearchSettings};
use podperf_model::plan::Plan;
use podperf_model::result::testing;
use podperf_model::units::BitRate;

fn searched(most: f64, max_streams: u32, link: Option<u64>) -> Saturation {
    let settings = SearchSettings {
        max_streams,
        tolerance_share: 0.05,
        samples: 5,
        repeats: 7,
        sample_time: Duration::from_millis(1_300),
        time_limit: Duration::from_secs(120),
        seed: 1,
    };
    let plan = Plan { flows: 1, ..testing::stream_plan() };
    let mut record = SearchRecord::new(plan, settings, link.map(BitRate));
    record.add_latency(testing::rr_run());
    let mut samples = 0;
    while let Some(streams) = record.next_streams(Duration::ZERO) {
        samples += 1;
        let mut run = testing::stream_run();
        run.plan.flows = streams;
        let noise = 1.0 + 0.001 * f64::from(samples % 5);
        let goodput = (0.5e9 * f64::from(streams)).min(most) * noise;
        run.throughput.as_mut().unwrap().bits_per_second = goodput;
        run.verdict.bound_by = Bound::Path;
        run.verdict.evidence = vec!["round trip 50.1 ms, 0.1 ms at the least".to_owned()];
        record.add(run);
    }
    record.finish(Duration::from_secs_f64(55.25))
}

fn text(document: &Saturation) -> String {
    let mut out = Vec::new();
    render(document, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_path_that_four_streams_fill() {
    insta::assert_snapshot!(text(&searched(1.91e9, 16, Some(2_000_000_000))));
}

#[test]
fn the_answer_comes_first_and_nothing_is_wider_than_80_columns() {
    let found = text(&searched(1.91e9, 64, None));
    let begins = |text: &str, label: &str, rest: &str| {
        let begins =
            text.strip_prefix(label).is_some_and(|text| text.trim_start().starts_with(rest));
        assert!(begins, "{text}");
    };
    begins(&found, "result", "4 streams fill this path");
    let none = text(&searched(1e12, 64, None));
    begins(&none, "result", "no plateau: up to 64 streams");
    let mut broken = searched(1.91e9, 64, Some(1_000_000_000));
    broken.target = "long.".repeat(40);
    let broken = text(&broken);
    begins(&broken, "status", "INCOMPLETE: a part was measured");
    assert!(broken.contains("invalid value '1 Gbit/s' for '--link'"), "{broken}");
    for text in [found, none, broken] {
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}

#[test]
fn an_interval_of_one_number_is_not_told_twice() {
    let needed = |low, high| StreamsNeeded { streams: 4, low, high };
    assert_eq!(streams(&needed(Some(4), Some(4))), "4 streams");
    assert_eq!(streams(&needed(Some(3), Some(6))), "4 streams (3 to 6)");
    assert_eq!(streams(&needed(None, None)), "4 streams");
}

#[test]
fn each_bound_says_where_to_look() {
    assert_eq!(words(Bound::Path, true), "the network (path)");
    assert_eq!(words(Bound::ReceiverCpu, true), "the CPU (receiver CPU)");
    assert_eq!(words(Bound::CpuQuota, false), "the CPU quota");
    assert_eq!(words(Bound::ReceiveWindow, false), "the receive window");
    assert_eq!(words(Bound::Unclear, false), "unclear");
    assert_eq!(words(Bound::Unclear, true), "the CPU (of which end is unclear)");
}

#[test]
fn a_search_without_a_sample_tells_the_window_that_was_asked_for() {
    let mut none = searched(1.91e9, 64, None);
    none.samples.clear();
    let StopCondition::Time { window } = none.plan.stop_condition else { panic!("by time") };
    let told = search_line(&none);
    let expected = format!("0 samples of {:.2} s after", window.as_secs_f64());
    assert!(told.starts_with(&expected), "{told}");
}
