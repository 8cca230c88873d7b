//! Runs held against a calibration of the client's machine.

use super::testing::calibration;
use super::{Calibration, LeftOut, Machine, RunPlacement, hold_against, put_aside};
use crate::plan::{Wait, Workload};
use crate::result::merge::merge;
use crate::result::run::{Bound, Run};
use crate::result::testing::{crr_input, open_loop_input, rr_run, stream_run};

type Change = fn(&mut Calibration);

fn held(mut run: Run, change: Change) -> Run {
    let mut record = calibration();
    change(&mut record);
    hold_against(&mut run, &record);
    run
}

fn pinned(run: &mut Run, [client, server]: [Option<u32>; 2]) {
    run.placement.client.as_mut().unwrap().pinned_cpus = vec![client];
    run.placement.server.as_mut().unwrap().pinned_cpus = vec![server];
}

/// A median of 500 µs.
fn round_trips() -> Run {
    let mut run = rr_run();
    run.latency.as_mut().unwrap().p50 = Some(500_000);
    run
}

fn one_machine(run: &mut Run) {
    for host in [&mut run.host.client, &mut run.host.server] {
        host.as_mut().unwrap().boot_id = Some("one".to_owned());
    }
}

#[test]
fn a_stream_is_held_against_the_nearest_number_of_streams() {
    let run = held(stream_run(), |_| {});
    let ceiling = run.ceiling.unwrap();
    assert_eq!(ceiling.figure, "write/read, 2 streams of 128 KiB messages");
    assert_eq!((ceiling.bits_per_second, ceiling.share), (Some(5e9), 0.8));
    assert_eq!(run.no_ceiling, None);
    assert!(run.warnings.iter().all(|warning| warning.code != "calibration_ignored"));

    // Of 1 and 8, one stream is nearer to two by its ratio.
    let run = held(stream_run(), |record| _ = record.streams.remove(1));
    assert_eq!(run.ceiling.unwrap().bits_per_second, Some(2e9));
    // Four streams are as far from 2 as from 8: the first stands.
    let mut four = stream_run();
    four.plan.flows = 4;
    assert_eq!(held(four, |_| {}).ceiling.unwrap().bits_per_second, Some(5e9));
}

#[test]
fn without_a_figure_that_fits_there_is_no_ceiling_and_the_reason_is_told() {
    let mut unmeasured = stream_run();
    unmeasured.throughput = None;
    let mut many = round_trips();
    many.plan.flows = 2;
    let mut burst = round_trips();
    let Workload::Rr(plan) = &mut burst.plan.workload else { panic!("a round trip") };
    plan.burst = 2;
    let mut differ = round_trips();
    differ.plan.server.wait = Wait::Spin;
    let mut spin = differ.clone();
    spin.plan.client.wait = Wait::Spin;
    let nothing: Change = |_| {};
    let cases: [(Run, Change, &str); 11] = [
        (stream_run(), |record| record.streams.clear(), "no write/read: it pairs each send"),
        (stream_run(), |record| record.streams[1].bits_per_second = 0.0, "no write/read"),
        (stream_run(), |record| leave_out(record, "write/read, 2 streams"), ": no time left"),
        // Another method of a like name.
        (stream_run(), |record| leave_out(record, "write/reading"), "no write/read: it pairs"),
        (unmeasured, nothing, "the run has no figure"),
        (merge(open_loop_input(1_000.0)), nothing, "one flow with one request in flight"),
        (many, nothing, "one flow with one request in flight"),
        (burst, nothing, "one flow with one request in flight"),
        (differ, nothing, "no round trip of ends that wait differently"),
        (spin, nothing, "no round trip, spin, on two CPUs"),
        (merge(crr_input()), nothing, "no connections"),
    ];
    for (run, change, reason) in cases {
        let run = held(run, change);
        let told = run.no_ceiling.unwrap_or_else(|| panic!("{reason}: {:?}", run.ceiling));
        assert!(told.contains(reason), "{told}");
        assert_eq!(run.ceiling, None, "{told}");
    }
}

fn leave_out(record: &mut Calibration, what: &str) {
    record.streams.clear();
    let (what, reason) = (what.to_owned(), "no time left".to_owned());
    record.left_out.push(LeftOut { what, reason });
}

#[test]
fn a_round_trip_is_held_against_the_floor_of_its_placement() {
    let share = |change: fn(&mut Run)| {
        let mut run = round_trips();
        change(&mut run);
        held(run, |_| {}).ceiling.unwrap().share
    };
    assert_eq!(share(|_| {}), 0.08);
    // Both pinned to CPU 0.
    assert_eq!(share(one_machine), 0.04);
    assert_eq!(
        share(|run| {
            one_machine(run);
            pinned(run, [Some(0), None]);
        }),
        0.1
    );
    assert_eq!(
        share(|run| {
            one_machine(run);
            pinned(run, [Some(0), Some(1)]);
        }),
        0.08
    );
    let unknown = held(round_trips(), |record| record.rr[2].p50_ns = None);
    assert_eq!(unknown.ceiling, None);
}

#[test]
fn a_calibration_of_another_machine_is_put_aside_with_the_difference() {
    type Change = fn(&mut Machine);
    let cases: [(Change, &str); 5] = [
        (|machine| machine.podperf_version = "0.0.1".to_owned(), "podperf was 0.0.1 and is 0.1.0"),
        (|machine| machine.kernel = None, "kernel was unknown and is 6.12.0"),
        (|machine| machine.cpu_model = Some("Old".to_owned()), "CPU was Old and is Example CPU"),
        (|machine| machine.cpus_allowed = 8, "CPUs allowed was 8 and is 2"),
        (|machine| machine.cpu_quota_cores = Some(0.5), "CPU quota was 0.5 cores and is no quota"),
    ];
    for (change, difference) in cases {
        let mut run = stream_run();
        let before = run.verdict.clone();
        let mut record = calibration();
        change(&mut record.machine);
        hold_against(&mut run, &record);
        assert_eq!((&run.ceiling, &run.verdict), (&None, &before));
        let warning = run.warnings.last().unwrap();
        assert_eq!(warning.code, "calibration_ignored");
        assert!(warning.text.ends_with(difference), "{}", warning.text);
    }
    let mut run = stream_run();
    put_aside(&mut run, "it is damaged");
    assert!(run.warnings.last().unwrap().text.ends_with("it is damaged"));
}

#[test]
fn a_run_near_the_ceiling_is_bound_by_the_generator() {
    let run = held(stream_run(), |record| record.streams[1].bits_per_second = 4.2e9);
    assert_eq!(run.verdict.bound_by, Bound::Generator);
    assert_eq!(
        run.verdict.evidence[0],
        "goodput 4.000 Gbit/s is 95 % of the 4.200 Gbit/s over loopback (write/read, 2 streams of \
         128 KiB messages, calibrated 2026-01-01T00:00:00Z)"
    );
    assert_eq!(run.verdict.evidence.len(), 3);
    let run = held(round_trips(), |record| record.rr[2].p50_ns = Some(490_000));
    assert_eq!(run.verdict.bound_by, Bound::Generator);
    assert!(
        run.verdict.evidence[0]
            .starts_with("median latency 500.0 µs; the 490.0 µs over loopback are 98 % of it"),
        "{:?}",
        run.verdict
    );
    assert_eq!(RunPlacement::TwoCpus, calibration().rr[2].placement);
}
