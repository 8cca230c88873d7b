//! Rows with figures that are known in advance, and the warnings about them.

use crate::analysis::simulation::{Shape, Simulation, TimeOrder};
use crate::analysis::testing::{plan, requests, samples, streams};
use crate::analysis::{SIGNIFICANCE, differs, rank_test, ratio, summarise, warnings};
use podperf_model::error::{Error, Kind};
use podperf_model::result::cluster::{ClusterPlan, Difference, Row, Sample, Summary};
use podperf_model::result::merge::merge;
use podperf_model::result::run::{Bound, Status, Warning};
use podperf_model::result::testing::udp_input;

fn row<'a>(summary: &'a Summary, path: &str, test: &str, flows: u32) -> &'a Row {
    let own = |row: &&Row| (row.path.as_str(), row.test.as_str(), row.flows) == (path, test, flows);
    summary.rows.iter().find(own).unwrap()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * b.abs().max(1e-12)
}

fn codes(plan: &ClusterPlan, samples: &[Sample]) -> Vec<String> {
    let found = warnings(plan, samples, &summarise(plan, samples));
    found.into_iter().map(|warning| warning.code).collect()
}

#[test]
fn rows_come_in_the_order_of_the_plan() {
    let mut plan = plan(2);
    let samples = samples(&plan);
    plan.rows.reverse();
    let summary = summarise(&plan, &samples);
    let keys: Vec<_> =
        summary.rows.iter().map(|row| format!("{} {} {}", row.path, row.test, row.flows)).collect();
    assert_eq!(
        keys[..5],
        [
            "host tcp_stream 1",
            "host tcp_stream 8",
            "host tcp_rr 1",
            "host tcp_rr 8",
            "pod tcp_stream 1"
        ]
    );
    assert_eq!((keys.len(), summary.baseline.as_deref()), (12, Some("host")));
}

#[test]
fn a_row_of_streams_has_goodput_cost_and_its_ratio() {
    let plan = plan(5);
    let summary = summarise(&plan, &samples(&plan));
    let pod = row(&summary, "pod", "tcp_stream", 8);
    assert_eq!((pod.samples, pod.failed, &pod.missing), (5, 0, &None));
    // Shares of 1.01, 1.02, 1.00, 1.01, 1.02: 1.012 in the mean, by two thirds.
    let goodput = pod.goodput_bits_per_second.unwrap();
    assert!(near(goodput.mean, 4e9 * 1.012 * 2.0 / 3.0), "{goodput:?}");
    assert_eq!((goodput.samples, pod.transactions_per_second), (5, None));
    let versus = pod.rate_vs_baseline.unwrap();
    assert!(near(versus.ratio.ratio, 2.0 / 3.0));
    assert_eq!((versus.difference, versus.over_tolerance), (Difference::Slower, true));
    assert_eq!((pod.latency_vs_baseline, &pod.latency), (None, &None));
    // Ten segments over 10^9 bytes in two seconds.
    assert!(near(pod.retransmitted_segments_per_gb.unwrap(), 10.0));
    assert_eq!((pod.bound_by, pod.same_machine), (Some(Bound::SoftirqCore), false));
    let client = pod.cpu.client.unwrap();
    assert!(near(client.user_cores, 0.10) && near(client.system_cores, 0.35));
    assert!(near(client.softirq_cores, 0.15) && near(client.busy_cores, 0.60));
    assert!(near(client.hottest_cpu_softirq_percent.unwrap(), 10.0));
    // The mean of the samples' quotients.
    assert!((client.cores_per_gbit.unwrap() - 0.6 / (goodput.mean / 1e9)).abs() < 1e-4);
    assert!(near(pod.cpu.server.unwrap().hottest_cpu_softirq_percent.unwrap(), 30.0));
    let host = row(&summary, "host", "tcp_stream", 8);
    assert_eq!(host.rate_vs_baseline, None);
}

#[test]
fn a_row_of_transactions_pools_its_latency() {
    let plan = plan(5);
    let summary = summarise(&plan, &samples(&plan));
    let pod = row(&summary, "pod", "tcp_rr", 1);
    assert_eq!(pod.goodput_bits_per_second, None);
    let rate = pod.transactions_per_second.unwrap();
    assert!(near(rate.mean, 1_000.0 * 1.012 * 2.0 / 3.0), "{rate:?}");
    let latency = pod.latency.unwrap();
    assert_eq!((latency.count, latency.max_ns), (10_000, Some(1_500_000)));
    assert!((499_000..502_000).contains(&latency.p50_ns.unwrap()));
    assert!((1_490_000..1_510_000).contains(&latency.p99_9_ns.unwrap()));
    assert!(near(pod.latency_mean_ns.unwrap().mean, latency.mean_ns));
    let versus = pod.latency_vs_baseline.unwrap();
    assert!(near(versus.ratio.ratio, 1.5), "{versus:?}");
    assert_eq!((versus.difference, versus.over_tolerance), (Difference::Slower, true));
    assert_eq!(pod.retransmitted_segments_per_gb, None);
    let client = pod.cpu.client.unwrap();
    assert_eq!(client.cores_per_gbit, None);
    assert!((client.us_per_transaction.unwrap() - 600.0 / (1.012 * 2.0 / 3.0)).abs() < 0.1);
}

#[test]
fn pairs_add_up_and_a_machine_counts_once() {
    let plan = ClusterPlan { pairs: 2, ..plan(1) };
    let mut one = samples(&plan).remove(0);
    one.runs.push(one.runs[0].clone());
    let summary = summarise(&plan, std::slice::from_ref(&one));
    let shared = row(&summary, "host", "tcp_stream", 1);
    assert!(near(shared.goodput_bits_per_second.unwrap().mean, 8.08e9));
    assert_eq!(shared.goodput_bits_per_second.unwrap().low, None);
    assert!(near(shared.cpu.client.unwrap().busy_cores, 0.6));
    assert!(near(shared.cpu.client.unwrap().cores_per_gbit.unwrap(), 0.6 / 8.08));
    one.runs[1].host.client.as_mut().unwrap().boot_id = Some("another".to_owned());
    let summary = summarise(&plan, &[one]);
    let apart = row(&summary, "host", "tcp_stream", 1);
    assert!(near(apart.cpu.client.unwrap().busy_cores, 1.2));
}

#[test]
fn samples_that_are_not_whole_are_counted_and_told() {
    let plan = plan(5);
    let mut samples = samples(&plan);
    let pod = |sample: &&mut Sample| sample.path == "pod" && sample.test == "tcp_stream";
    let mut broken: Vec<&mut Sample> =
        samples.iter_mut().filter(pod).filter(|sample| sample.flows == 1).collect();
    broken[0].missing = Some("the pod was evicted".to_owned());
    broken[0].runs.clear();
    broken[1].runs[0].status = Status::Incomplete;
    broken[1].runs[0].errors.push(Error::new(Kind::Incomplete, "read from", "connection reset"));
    let last = broken[2].step;
    samples.retain(|sample| sample.step != last);
    let summary = summarise(&plan, &samples);
    let row = row(&summary, "pod", "tcp_stream", 1);
    assert_eq!((row.samples, row.failed), (2, 3));
    assert_eq!(
        row.missing.as_deref(),
        Some("the pod was evicted; read from: connection reset; 1 sample never begun")
    );
    let found = warnings(&plan, &samples, &summary);
    assert_eq!(found[0].code, "failed_samples");
    assert!(found[0].text.contains("3 samples"), "{}", found[0].text);
    assert!(found[0].text.contains("pod tcp_stream, 1 flow: 3 of 5"), "{}", found[0].text);
    assert_eq!(found[1].code, "few_samples_per_row");
    assert!(found[1].text.contains("about 50 %"), "{}", found[1].text);
}

#[test]
fn nothing_measured_leaves_every_row_with_its_reason() {
    let plan = plan(3);
    let summary = summarise(&plan, &[]);
    assert_eq!((summary.rows.len(), &summary.baseline), (12, &None));
    for row in &summary.rows {
        assert_eq!((row.samples, row.failed), (0, 3));
        assert_eq!(row.missing.as_deref(), Some("3 samples never begun"));
        assert_eq!((row.rate(), row.bound_by, row.cpu.client), (None, None, None));
    }
    assert_eq!(codes(&plan, &[]), ["failed_samples", "no_baseline"]);
    assert_eq!(summarise(&ClusterPlan::default(), &[]), Summary::default());
}

#[test]
fn what_was_not_planned_is_not_lost() {
    let plan = plan(1);
    let mut samples = samples(&plan);
    samples[0].path = "elsewhere".to_owned();
    let summary = summarise(&plan, &samples);
    let stray = summary.rows.last().unwrap();
    assert_eq!((stray.path.as_str(), stray.samples, stray.failed), ("elsewhere", 1, 0));
    assert_eq!(stray.rate_vs_baseline, None);
    assert_eq!(row(&summary, "host", "tcp_stream", 1).failed, 1);
}

#[test]
fn rates_of_different_kinds_are_not_compared() {
    let plan = plan(5);
    let mut samples = samples(&plan);
    for sample in samples.iter_mut().filter(|sample| sample.path == "host") {
        sample.runs = vec![if sample.test == "tcp_rr" { streams(1.0) } else { requests(1.0) }];
    }
    let summary = summarise(&plan, &samples);
    assert!(summary.rows.iter().all(|row| row.rate_vs_baseline.is_none()));
}

#[test]
fn loss_is_pooled() {
    let plan = ClusterPlan { tests: vec!["udp_stream".to_owned()], ..plan(1) };
    let mut sample = samples(&plan).remove(0);
    sample.runs = vec![merge(udp_input())];
    let summary = summarise(&plan, &[sample]);
    let own = row(&summary, "host", "udp_stream", 1);
    let udp = merge(udp_input()).udp.unwrap().datagrams.unwrap();
    assert_eq!(own.loss_share, udp.loss_share);
    assert!(own.loss_share.unwrap() > 0.0);
}

#[test]
fn a_quiet_run_with_enough_samples_has_no_warning() {
    let plan = plan(5);
    assert_eq!(codes(&plan, &samples(&plan)), [""; 0]);
}

#[test]
fn doubts_about_the_baseline_are_told() {
    let plan = plan(5);
    let mut samples = samples(&plan);
    for sample in samples.iter_mut().filter(|sample| sample.test == "tcp_stream") {
        let run = &mut sample.runs[0];
        let factor = match (sample.path.as_str(), sample.flows) {
            ("host", 1) => 1.0 + 0.2 * f64::from(sample.sample),
            ("pod", 8) => 2.0,
            _ => 1.0,
        };
        run.throughput.as_mut().unwrap().bits_per_second *= factor;
        if sample.flows == 8 {
            run.verdict.bound_by = Bound::Link;
        }
        if sample.path == "service" && sample.flows == 1 {
            run.verdict.bound_by = Bound::Generator;
        }
        run.host.server = run.host.client.clone();
    }
    let found = warnings(&plan, &samples, &summarise(&plan, &samples));
    let codes: Vec<_> = found.iter().map(|warning| warning.code.as_str()).collect();
    let own =
        ["baseline_noise", "baseline_slower", "link_bound", "generator_bound", "same_machine"];
    assert_eq!(codes, own);
    assert!(found[0].text.contains("host tcp_stream, 1 flow: ± "), "{}", found[0].text);
    assert!(found[1].text.contains("pod tcp_stream, 8 flows: rate 133.3 %"), "{}", found[1].text);
    assert!(found[2].text.contains("pod tcp_stream, 8 flows; service tcp"), "{}", found[2].text);
    assert!(found[3].text.contains("service tcp_stream, 1 flow"), "{}", found[3].text);
    assert!(found[4].text.contains("and 2 more"), "{}", found[4].text);
}

#[test]
fn the_engine_is_heard_once_a_code() {
    let plan = plan(5);
    let mut samples = samples(&plan);
    let steal = |text: &str| Warning {
        code: "cpu_steal".to_owned(),
        text: text.to_owned(),
        remedy: "use another machine".to_owned(),
    };
    samples[3].runs[0].warnings = vec![steal("0.5 cores"), steal("0.6 cores")];
    samples[4].runs[0].warnings = vec![steal("0.7 cores")];
    let found = warnings(&plan, &samples, &summarise(&plan, &samples));
    assert_eq!(
        found,
        [Warning {
            text: "in 2 samples, first in host tcp_stream with 8 flows: 0.5 cores".to_owned(),
            ..steal("")
        }]
    );
    for (number, sample) in samples.iter_mut().enumerate() {
        let code = format!("code {number}");
        sample.runs[0].warnings = vec![Warning { code, ..steal("text") }];
    }
    let found = warnings(&plan, &samples, &summarise(&plan, &samples));
    assert_eq!(found.len(), 21);
    assert!(found[20].text.starts_with("40 further kinds"), "{}", found[20].text);
}

/// As `compare` calls one row.
fn called(one: &[f64], other: &[f64]) -> bool {
    let p = rank_test(other, one);
    p.is_some_and(|p| p < SIGNIFICANCE) && ratio(other, one).is_some_and(|own| differs(&own, p))
}

/// A small one of the bench `error_rates`. The bounds leave three standard deviations of the draw.
#[test]
fn false_alarms_are_few_and_a_loss_is_found() {
    let usual = Simulation {
        samples: 7,
        noise_share: 0.02,
        shape: Shape::Normal,
        order: TimeOrder::Independent,
        true_ratio: 1.0,
        seed: 7,
    };
    for shape in [Shape::Normal, Shape::Skewed] {
        for order in [TimeOrder::Independent, TimeOrder::Interleaved] {
            let rate = Simulation { shape, order, ..usual }.rate(200, called);
            assert!(rate <= 0.09, "{shape:?} {order:?}: {rate}");
        }
    }
    let blocks = Simulation { order: TimeOrder::Blocks, ..usual }.rate(200, called);
    assert!(blocks > 0.05, "AR(1) in blocks looks like a difference: {blocks}");
    let found = Simulation { true_ratio: 0.95, ..usual }.rate(40, called);
    assert!(found >= 0.85, "{found}");
}
