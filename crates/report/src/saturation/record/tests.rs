//! Searches whose runs are made up: the document at their end, and what breaks them off.

use super::*;
use podperf_model::result::run::Bound;
use podperf_model::result::saturation::LinkSource;
use podperf_model::result::testing;

fn settings() -> SearchSettings {
    SearchSettings {
        max_streams: 16,
        tolerance_share: 0.05,
        samples: 5,
        repeats: 7,
        sample_time: Duration::from_millis(1_300),
        time_limit: Duration::from_secs(120),
        seed: 1,
    }
}

fn record(link: Option<BitRate>) -> SearchRecord {
    let plan = Plan { flows: 1, ..testing::stream_plan() };
    SearchRecord::new(plan, settings(), link)
}

/// A run of so many streams, bound by pacing until the path is full.
fn run(streams: u32, bits_per_second: f64) -> Run {
    let mut run = testing::stream_run();
    run.plan.flows = streams;
    run.throughput.as_mut().unwrap().bits_per_second = bits_per_second;
    run.verdict.bound_by = if streams <= 4 { Bound::Pacing } else { Bound::Path };
    run.verdict.evidence = vec![format!("round trip with {streams}")];
    run
}

fn failed(error: Error) -> Run {
    let mut run = run(1, 0.0);
    (run.throughput, run.status, run.errors) = (None, Status::Incomplete, vec![error]);
    run
}

fn lost() -> Error {
    Error::new(Kind::Incomplete, "receive from", "reset").with_code(Code::ConnectionLost)
}

/// Half a Gbit/s each, and 1.91 Gbit/s of all together.
fn search(record: &mut SearchRecord) {
    let mut samples = 0;
    while let Some(streams) = record.next_streams(Duration::ZERO) {
        samples += 1;
        let noise = 1.0 + 0.001 * f64::from(samples % 5);
        record.add(run(streams, (0.5e9 * f64::from(streams)).min(1.91e9) * noise));
    }
}

#[test]
fn the_document_has_the_answer_and_what_bounds_it() {
    let mut record = record(Some(BitRate(2_000_000_000)));
    record.add_latency(testing::rr_run());
    search(&mut record);
    assert_eq!(record.answer(), Some(4));
    let document = record.finish(Duration::from_secs(50));
    assert_eq!((document.status, document.exit_status()), (Status::Complete, 0));
    assert_eq!(document.outcome, SaturationOutcome::Saturates);
    assert_eq!(document.n95.unwrap().streams, 4);
    let bound = document.bound.unwrap();
    assert_eq!((bound.bound_by, bound.streams), (Bound::Path, vec![6, 8]), "beyond the answer");
    assert_eq!((bound.runs, bound.of_runs), (12, 12));
    assert_eq!((bound.evidence.len(), bound.cpus_full), (1, false));
    let link = document.link.unwrap();
    assert_eq!(link.source, LinkSource::Given);
    assert!((link.goodput_share.unwrap() - 0.957).abs() < 0.002, "{link:?}");
    assert_eq!(document.latency.idle.as_ref().unwrap().load_streams, 0);
    let counts: Vec<u32> = document.curve.iter().map(|point| point.streams).collect();
    assert_eq!(counts, [1, 2, 3, 4, 6, 8]);
    assert!(document.curve[0].cpu.client.unwrap().cores_per_gbit.is_some());
    assert!(document.host.client.is_some() && !document.started_at.is_empty());
    let planned: u32 =
        document.curve.iter().map(|point| point.goodput_bits_per_second.samples).sum();
    assert_eq!(planned as usize, document.samples.len());
}

#[test]
fn a_link_below_what_was_measured_is_an_error_that_says_so() {
    let mut record = record(Some(BitRate(1_000_000_000)));
    search(&mut record);
    assert_eq!(record.answer(), None);
    let document = record.finish(Duration::from_secs(5));
    assert_eq!((document.status, document.exit_status()), (Status::Incomplete, 2));
    let error = document.errors[0].to_string();
    assert!(
        error.starts_with("invalid value '1 Gbit/s' for '--link': it is below what"),
        "{error}"
    );
    assert!(!document.samples.is_empty() && !document.curve.is_empty(), "nothing is lost");
    assert_eq!(document.outcome, SaturationOutcome::NotShown);
}

#[test]
fn one_failed_sample_is_tried_again_and_told() {
    let mut record = record(None);
    assert!(record.next_streams(Duration::ZERO).is_some());
    record.add(failed(lost()));
    search(&mut record);
    let document = record.finish(Duration::from_secs(50));
    assert_eq!(document.outcome, SaturationOutcome::Saturates);
    assert_eq!((document.status, document.errors.len()), (Status::Complete, 0));
    assert_eq!(document.samples[0].errors, [lost()]);
    let warning = document.warnings.iter().find(|warning| warning.code == "samples_failed");
    assert!(warning.unwrap().text.starts_with("1 sample was incomplete"), "{warning:?}");
    assert!(document.curve.iter().all(|point| point.goodput_bits_per_second.samples >= 5));
}

#[test]
fn what_would_fail_again_ends_it_with_what_was_measured() {
    let refused = Error::new(Kind::Unmeasured, "ask", "no").with_code(Code::Refused);
    let ended = Error::new(Kind::Interrupted, "measure", "SIGINT");
    for (errors, status) in [(vec![lost(), lost()], 4), (vec![refused], 4), (vec![ended], 130)] {
        let mut record = record(None);
        let streams = record.next_streams(Duration::ZERO).unwrap();
        record.add(run(streams, 1e9));
        for error in &errors {
            assert!(record.next_streams(Duration::ZERO).is_some(), "{errors:?}");
            record.add(failed(error.clone()));
        }
        assert_eq!(record.next_streams(Duration::ZERO), None, "{errors:?}");
        let document = record.finish(Duration::from_secs(3));
        assert_eq!(document.exit_status(), status);
        assert_eq!(document.samples.len(), 1 + errors.len());
        assert_eq!(document.outcome, SaturationOutcome::NotShown);
        assert_eq!(document.curve[0].goodput_bits_per_second.mean, 1e9);
    }
}

#[test]
fn without_a_server_nothing_is_searched() {
    let refused = Error::new(Kind::Unmeasured, "connect to", "refused");
    let mut record = record(None);
    record.add_latency(failed(refused));
    assert_eq!(record.next_streams(Duration::ZERO), None);
    let document = record.finish(Duration::ZERO);
    assert_eq!((document.exit_status(), document.errors.len()), (3, 1));
}

#[test]
fn a_device_that_tells_less_than_was_measured_is_no_link() {
    let mut record = record(None);
    let slow = |mut run: Run| {
        for host in [&mut run.host.client, &mut run.host.server].into_iter().flatten() {
            host.device.get_or_insert_default().speed_bits_per_second = Some(1_000_000_000);
        }
        run
    };
    record.add_latency(slow(testing::rr_run()));
    search(&mut record);
    let document = record.finish(Duration::from_secs(50));
    assert_eq!(document.link, None);
    assert!(document.warnings.iter().any(|warning| warning.code == "link_rate_exceeded"));
}

#[test]
fn without_a_plateau_the_most_streams_tell_what_binds_them() {
    let mut record = record(None);
    let mut last = 0;
    while let Some(streams) = record.next_streams(Duration::ZERO) {
        let mut run = run(streams, 1e9 * f64::from(streams));
        run.verdict.bound_by = if streams == 16 { Bound::Unclear } else { Bound::Path };
        for cpu in [&mut run.cpu.client, &mut run.cpu.server].into_iter().flatten() {
            (cpu.modes.idle, cpu.modes.iowait) = (0.04 * f64::from(cpu.cpus), 0.0);
        }
        record.add(run);
        last = last.max(streams);
    }
    let document = record.finish(Duration::from_secs(90));
    assert_eq!((document.outcome, last), (SaturationOutcome::NoPlateau, 16));
    let bound = document.bound.unwrap();
    assert_eq!((bound.bound_by, bound.streams), (Bound::Unclear, vec![16]));
    assert!(bound.cpus_full, "both ends had 4 % left");
}
