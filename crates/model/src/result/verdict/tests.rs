//! One synthetic run for each bound, made from a run that nothing bound.

mod path;
mod recorded;

use std::collections::BTreeMap;

use super::judge;
use crate::facts::DeviceFacts;
use crate::plan::{Direction, Workload};
use crate::result::merge::merge;
use crate::result::run::{Bound, Ceiling, CgroupUse, Ends, Limited, Run, ScheduleFacts, Verdict};
use crate::result::testing::{crr_input, open_loop_input, rr_run, stream_run};
use crate::units::BitRate;

/// The run reached this share of podperf's own goodput over loopback.
fn reached(run: &mut Run, share: f64) {
    run.ceiling = Some(Ceiling {
        figure: "write/read, 2 streams of 128 KiB messages".to_owned(),
        taken_at: "2026-01-01T00:00:00Z".to_owned(),
        bits_per_second: Some(4e9 / share),
        latency_p50_ns: None,
        share,
    });
}

/// Changes a run so that something bound it.
type Change = fn(&mut Run);

fn judged(mut run: Run, change: Change) -> Verdict {
    change(&mut run);
    judge(&run)
}

fn one_machine(run: &mut Run) {
    for host in [&mut run.host.client, &mut run.host.server] {
        host.as_mut().unwrap().boot_id = Some("one".to_owned());
    }
    let copy = run.cpu.client.as_ref().unwrap().process.clone();
    run.cpu.server.clone_from(&run.cpu.client);
    run.cpu.server.as_mut().unwrap().process = copy;
}

fn process(run: &mut Run, [client, server]: [f64; 2]) {
    for (cpu, cores) in [(&mut run.cpu.client, client), (&mut run.cpu.server, server)] {
        let process = cpu.as_mut().unwrap().process.as_mut().unwrap();
        (process.user, process.system) = (0.0, cores);
    }
}

fn all_busy(run: &mut Run) {
    for cpu in [&mut run.cpu.client, &mut run.cpu.server] {
        (cpu.as_mut().unwrap().modes.idle, cpu.as_mut().unwrap().modes.iowait) = (0.02, 0.02);
    }
}

fn device(run: &mut Run, end: &str, speed: u64) {
    let host = if end == "client" { &mut run.host.client } else { &mut run.host.server };
    host.as_mut().unwrap().device = Some(DeviceFacts {
        name: "eth1".to_owned(),
        speed_bits_per_second: Some(speed),
        mtu_bytes: Some(1500),
        offloads: BTreeMap::new(),
        ..DeviceFacts::default()
    });
}

fn limits(run: &mut Run, receive_window: f64, send_buffer: f64) {
    for stream in &mut run.streams {
        stream.limited = Some(Limited { busy: 0.8, receive_window, send_buffer });
    }
}

fn direct(run: &mut Run, to: Direction) {
    let Workload::Stream(stream) = &mut run.plan.workload else { panic!("a stream run") };
    stream.direction = to;
}

const STREAMS: &[(Bound, &str, Change)] = &[
    (Bound::Unclear, "the receive window 9 %", |_| {}),
    (Bound::Unclear, "nothing was measured", |run| run.throughput = None),
    // 2 × 2.1 Gbit/s asked, 4 reached: within 5 %.
    (Bound::Pacing, "4.000 Gbit/s of 4.200 Gbit/s", |run| {
        run.plan.socket.pacing_bits_per_second = Some(BitRate(2_100_000_000));
    }),
    (Bound::Unclear, "busy", |run| {
        run.plan.socket.pacing_bits_per_second = Some(BitRate(3_000_000_000));
    }),
    // 4.5 Gbit/s · 1448 / 1538 = 4.237 Gbit/s; 4 of it are 94 %. The faster device does not count.
    (Bound::Link, "94 % of the 4.237 Gbit/s payload that server's eth1", |run| {
        device(run, "server", 4_500_000_000);
        device(run, "client", 25_000_000_000);
    }),
    (Bound::Unclear, "busy", |run| device(run, "server", 5_000_000_000)),
    (Bound::CpuQuota, "server: CPU quota used up in 6 of 100 periods", |run| {
        run.cpu.server.as_mut().unwrap().cgroup = Some(CgroupUse {
            periods: Some(100),
            throttled_periods: Some(6),
            ..CgroupUse::default()
        });
    }),
    (Bound::SoftirqCore, "server: CPU 1 spent 90 % of the window in softirqs", |run| {
        run.cpu.server.as_mut().unwrap().per_cpu[1].modes.softirq = 0.9;
    }),
    // Two workers on two CPUs.
    (Bound::SenderCpu, "client: the process used 1.90 cores with 2 workers on 2 CPUs", |run| {
        process(run, [1.9, 0.4]);
    }),
    (Bound::ReceiverCpu, "server: the process used 1.85 cores", |run| process(run, [1.8, 1.85])),
    (Bound::SenderCpu, "server: the process used", |run| {
        direct(run, Direction::Down);
        process(run, [0.3, 1.9]);
    }),
    (Bound::SenderCpu, "server: the process used", |run| {
        direct(run, Direction::Both);
        process(run, [0.3, 1.9]);
    }),
    // One worker, pinned to CPU 1, whose time goes to softirqs as much as to the process.
    (Bound::ReceiverCpu, "server: workers' 1 CPU 97 % busy", |run| {
        let placement = run.placement.server.as_mut().unwrap();
        (placement.workers, placement.pinned_cpus) = (1, vec![Some(1)]);
        let line = &mut run.cpu.server.as_mut().unwrap().per_cpu[1];
        (line.modes.system, line.modes.softirq) = (0.5, 0.47);
    }),
    (Bound::ReceiverCpu, "server: busiest 1 CPU 97 % busy", |run| {
        let placement = run.placement.server.as_mut().unwrap();
        (placement.workers, placement.pinned_cpus) = (1, vec![None]);
        let line = &mut run.cpu.server.as_mut().unwrap().per_cpu[1];
        (line.modes.system, line.modes.softirq) = (0.5, 0.47);
    }),
    (Bound::SenderCpu, "client: all CPUs are busy (2.0 % idle)", |run| {
        run.placement.client.as_mut().unwrap().pinned_cpus.clear();
        let cpu = run.cpu.client.as_mut().unwrap();
        (cpu.modes.idle, cpu.modes.iowait) = (0.02, 0.02);
    }),
    // On one machine only the processes tell the ends apart.
    (Bound::ReceiverCpu, "server: the process used", |run| {
        one_machine(run);
        all_busy(run);
        process(run, [0.4, 1.9]);
    }),
    (Bound::Unclear, "all CPUs of the shared machine are busy (2.0 % idle)", |run| {
        one_machine(run);
        all_busy(run);
    }),
    (Bound::Unclear, "all CPUs of the shared machine are busy", |run| {
        one_machine(run);
        all_busy(run);
        process(run, [1.9, 0.4]);
        run.warnings.push(crate::result::run::Warning {
            code: "same_process".to_owned(),
            text: String::new(),
            remedy: String::new(),
        });
    }),
    (Bound::Generator, "4.000 Gbit/s is 90 % of the 4.444 Gbit/s over loopback", |run| {
        reached(run, 0.9);
    }),
    (Bound::Unclear, "busy", |run| reached(run, 0.89)),
    // Between two machines loopback may well be passed, and then it tells nothing.
    (Bound::Unclear, "busy", |run| reached(run, 1.2)),
    (Bound::Generator, "120 % of", |run| {
        one_machine(run);
        reached(run, 1.2);
    }),
    // Full CPUs of one machine are what the ceiling is made of; a full end of two says more.
    (Bound::Generator, "95 % of", |run| {
        one_machine(run);
        all_busy(run);
        process(run, [0.4, 1.9]);
        reached(run, 0.95);
    }),
    (Bound::SenderCpu, "client: the process used", |run| {
        process(run, [1.9, 0.4]);
        reached(run, 0.95);
    }),
    (Bound::Pacing, "asked for by pacing", |run| {
        run.plan.socket.pacing_bits_per_second = Some(BitRate(2_000_000_000));
        reached(run, 1.0);
    }),
    (Bound::SoftirqCore, "CPU 1 spent 90 %", |run| {
        run.cpu.server.as_mut().unwrap().per_cpu[1].modes.softirq = 0.9;
        reached(run, 1.0);
    }),
    // The receiver that is as slow as over loopback closes its window.
    (Bound::Generator, "100 % of", |run| {
        limits(run, 0.48, 0.1);
        reached(run, 1.0);
    }),
    (Bound::ReceiveWindow, "receive window 60 % of its busy time", |run| limits(run, 0.48, 0.1)),
    (Bound::SendBuffer, "send buffer 50 % of its busy time", |run| limits(run, 0.1, 0.4)),
    (Bound::Unclear, "busy", |run| limits(run, 0.39, 0.1)),
    (Bound::Pacing, "that the server's policy allows the run", |run| {
        run.plan.socket.pacing_bits_per_second = Some(BitRate(2_000_000_000));
        run.plan.socket.policy_bits_per_second = Some(BitRate(2_000_000_000));
    }),
    // What comes first decides: the pacing that was asked for, not the CPU it kept busy.
    (Bound::Pacing, "asked for by pacing", |run| {
        run.plan.socket.pacing_bits_per_second = Some(BitRate(2_000_000_000));
        process(run, [1.9, 1.9]);
    }),
    // A receiver without CPU closes its window.
    (Bound::ReceiverCpu, "server", |run| {
        process(run, [0.2, 1.9]);
        limits(run, 0.7, 0.0);
    }),
    (Bound::Unclear, "", |run| {
        run.cpu = Ends::default();
        run.streams.clear();
    }),
];

#[test]
fn every_bound_of_a_stream_has_its_evidence() {
    for (number, (bound, evidence, change)) in STREAMS.iter().enumerate() {
        let verdict = judged(stream_run(), *change);
        assert_eq!(verdict.bound_by, *bound, "row {number}: {verdict:?}");
        let text = verdict.evidence.join("; ");
        assert!(text.contains(evidence), "row {number}: '{text}' lacks '{evidence}'");
    }
}

#[test]
fn a_closed_loop_with_cpu_to_spare_waits_for_the_round_trip() {
    let verdict = judged(rr_run(), |_| {});
    assert_eq!(verdict.bound_by, Bound::RoundTrip);
    assert_eq!(
        verdict.evidence[0],
        "1000 transactions/s × mean latency 1000.0 µs = 1.00 of 1 in flight"
    );
}

#[test]
fn connections_one_after_the_other_wait_for_their_round_trips() {
    let mut run = merge(crr_input());
    assert_eq!(judge(&run).bound_by, Bound::RoundTrip);
    process(&mut run, [0.95, 0.2]);
    assert_eq!(judge(&run).bound_by, Bound::SenderCpu);
}

#[test]
fn a_closed_loop_is_bound_by_a_full_end_first() {
    let verdict = judged(rr_run(), |run| process(run, [0.2, 0.95]));
    assert_eq!(verdict.bound_by, Bound::ReceiverCpu);
}

#[test]
fn a_closed_loop_that_leaves_requests_unsent_is_unclear() {
    let verdict = judged(rr_run(), |run| run.latency.as_mut().unwrap().mean = Some(20_000.0));
    assert_eq!(verdict.bound_by, Bound::Unclear);
    let verdict = judged(rr_run(), |run| run.cpu.server = None);
    assert_eq!(verdict.bound_by, Bound::Unclear);
}

#[test]
fn an_open_loop_is_bound_by_its_rate_while_it_is_kept() {
    let kept = judge(&merge(open_loop_input(1_000.0)));
    assert_eq!(kept.bound_by, Bound::OfferedRate);
    let slower = judge(&merge(open_loop_input(2_000.0)));
    assert_eq!(slower.bound_by, Bound::Unclear);
    let late = judged(merge(open_loop_input(1_000.0)), |run| {
        run.schedule = Some(ScheduleFacts { due: 2_000, late: 100, ..ScheduleFacts::default() });
    });
    assert_eq!(late.bound_by, Bound::Unclear);
}
