//! A clean run warns of nothing; each change to its ends' results warns of one thing.

mod paths;

use super::few;
use crate::latency::Latencies;
use crate::plan::{Close, ReceiveMethod, SendMethod, StreamPlan, Wait, Workload};
use crate::result::end_result::{ConnectionUse, EndResult, ReceiveUse, ScheduleAdherence, SendUse};
use crate::result::merge::{Input, merge};
use crate::result::run::{SocketFacts, Warning};
use crate::result::testing::{crr_input, open_loop_input, rr_input, stream_input};
use crate::units::{BitRate, Bytes};

/// Changes an input so that it deserves a warning.
type Change = fn(&mut Input);

fn client(input: &mut Input) -> &mut EndResult {
    input.client.as_mut().unwrap()
}

fn server(input: &mut Input) -> &mut EndResult {
    input.server.as_mut().unwrap()
}

fn stream(input: &mut Input) -> &mut StreamPlan {
    match &mut input.plan.workload {
        Workload::Stream(stream) => stream,
        other => panic!("{other:?} is no stream"),
    }
}

fn sent(input: &mut Input) -> &mut SendUse {
    client(input).report.as_mut().unwrap().send.as_mut().unwrap()
}

fn received(input: &mut Input) -> &mut ReceiveUse {
    server(input).report.as_mut().unwrap().receive.as_mut().unwrap()
}

fn sockets(end_result: &mut EndResult, change: fn(&mut SocketFacts)) {
    end_result.facts.sockets.iter_mut().for_each(change);
}

fn one_machine(input: &mut Input) {
    for end_result in [&mut input.client, &mut input.server] {
        end_result.as_mut().unwrap().facts.host.boot_id = Some("one".to_owned());
    }
}

/// The second reading says what the first did: a stall of stream `id` in one of two intervals.
fn stall(end_result: &mut EndResult, id: usize, reading: usize) {
    let before = end_result.readings[reading - 1].flows[id].clone();
    end_result.readings[reading].flows[id] = before;
}

/// Code, a part of the text or remedy, and what deserves it.
const STREAMS: &[(&str, &str, Change)] = &[
    ("same_machine", "equal boot ids", one_machine),
    ("loopback", "over loopback", |input| {
        sockets(server(input), |socket| socket.peer = "[::1]:40000".to_owned());
    }),
    ("loopback", "over loopback", |input| {
        client(input).facts.host.device.as_mut().unwrap().name = "lo".to_owned();
    }),
    ("cpu_steal", "server: the hypervisor took 0.050 of 2 CPUs", |input| {
        server(input).readings[2].host.cpu.as_mut().unwrap().total.steal = 10;
    }),
    ("quota_throttled", "client: the cgroup's CPU quota stopped the process in 3 of 20", |input| {
        client(input).readings[2].host.cgroup.as_mut().unwrap().throttled_periods = Some(3);
    }),
    ("softnet_drops", "server: the kernel dropped 7 packets", |input| {
        let softnet = server(input).readings[2].host.softnet.as_mut().unwrap();
        softnet.get_mut(&1).unwrap().dropped = 7;
    }),
    ("proc_filtered", "server: /proc/stat is rebuilt", |input| {
        server(input).facts.host.proc_filtered = Some(true);
    }),
    (
        "cpu_hotplug",
        "client: 1 CPU went online or offline in the window (2 before, 1 after)",
        |i| {
            client(i).readings[2].host.cpu.as_mut().unwrap().per_cpu.remove(&1);
        },
    ),
    (
        "cpus_changed",
        "server: the allowed CPUs were changed in mid-run: its process 0-1 before, 1 after",
        |input| server(input).readings[1].host.cpus_allowed = Some(vec![1]),
    ),
    ("workers_share_cpus", "client: 2 workers share the 1 CPU allowed", |input| {
        client(input).facts.host.cpus_allowed = vec![0];
    }),
    ("workers_share_cpus", "server: several workers are pinned to one CPU (1)", |input| {
        server(input).facts.placement.pinned_cpus = vec![Some(1), Some(1)];
    }),
    ("governor", "server: the CPU frequency governor is 'powersave'", |input| {
        server(input).facts.host.governor = Some("powersave".to_owned());
    }),
    ("slow_clock", "client: one clock read costs 750 ns (clocksource hpet)", |input| {
        let host = &mut client(input).facts.host;
        (host.clock_read_ns, host.clocksource) = (Some(750.0), Some("hpet".to_owned()));
    }),
    // Only the sender's send buffer and the receiver's receive buffer count.
    ("buffer_clamped", "server: SO_RCVBUF of 1000000 B was asked for, 65536 B granted on 2", |i| {
        i.plan.socket.buffer_bytes = Some(Bytes(1_000_000));
    }),
    ("congestion_control", "client: congestion control 'bbr' was asked for, 'cubic'", |input| {
        input.plan.socket.congestion_control = Some("bbr".to_owned());
        sockets(server(input), |socket| socket.congestion_control = Some("bbr".to_owned()));
    }),
    ("congestion_control", "client 'cubic', server 'reno'", |input| {
        sockets(server(input), |socket| socket.congestion_control = Some("reno".to_owned()));
    }),
    ("mss_clamped", "client: an MSS of 8948 B was asked for, 1448 B granted", |input| {
        input.plan.socket.mss_bytes = Some(8948);
    }),
    ("pacing_clamped", "5000000000 bit/s was asked for, 4294967295 bit/s granted", |input| {
        input.plan.socket.pacing_bits_per_second = Some(BitRate(5_000_000_000));
        sockets(client(input), |socket| socket.pacing_bits_per_second = Some(4_294_967_295));
    }),
    ("policy_rate", "the server's policy paced the run: it allows each flow 3 Gbit/s", |input| {
        input.plan.socket.policy_bits_per_second = Some(BitRate(3_000_000_000));
    }),
    ("pacing_bbr", "client: congestion control 'bbr3' paces by its own model", |input| {
        for end_result in [&mut input.client, &mut input.server] {
            sockets(end_result.as_mut().unwrap(), |socket| {
                socket.congestion_control = Some("bbr3".to_owned());
            });
        }
    }),
    ("short_window", "the window lasted 0.500 s: CPU figures move in clock ticks", |input| {
        for end_result in [&mut input.client, &mut input.server] {
            let readings = &mut end_result.as_mut().unwrap().readings;
            readings[2].at_ns = readings[0].at_ns + 500_000_000;
            readings.remove(1);
        }
    }),
    ("unaligned_windows", "lasted 2.000 s, the server's 2.500 s: 20.0 % apart", |input| {
        server(input).readings[2].at_ns += 500_000_000;
    }),
    ("start_skew", "lie 6.000 ms apart, inside the warm-up of 1.000 s", |input| {
        let flows = &mut client(input).report.as_mut().unwrap().flows;
        (flows[0].first_step_ns, flows[1].first_step_ns) = (Some(1_000_000), Some(7_000_000));
    }),
    ("start_skew", "longer than the warm-up", |input| {
        input.warm_up_seconds = 0.0;
        client(input).report.as_mut().unwrap().flows[1].first_step_ns = Some(7_000_000);
    }),
    ("goodput_from_sender", "acknowledged", |input| {
        server(input).readings.iter_mut().for_each(|reading| reading.flows.clear());
    }),
    (
        "stream_stalled",
        "1 stream (1) moved nothing for an interval or more and then went on, \
      first from 0.000 s to 1.000 s",
        |input| stall(server(input), 1, 1),
    ),
    (
        "stream_ended_early",
        "1 stream (0) moved nothing up to the end of the window, the first \
      since 1.000 s",
        |input| stall(server(input), 0, 2),
    ),
    ("not_drained", "1 stream (1) did not end in order: 500000000 B sent, 499999999 B", |input| {
        server(input).report.as_mut().unwrap().flows[1].bytes_received -= 1;
    }),
    ("not_drained", "1 stream (0)", |input| {
        server(input).report.as_mut().unwrap().flows[0].drained = false;
    }),
    ("fallback", "server: no such thing", |input| {
        server(input).facts.placement.fallbacks = vec!["no such thing".to_owned()];
    }),
    ("zerocopy_copied", "client: the kernel copied 40.0 % of 200 zero-copy sends", |input| {
        *sent(input) = SendUse {
            zerocopy_sends: 200,
            zerocopy_copied: 80,
            ..SendUse::all_by(SendMethod::Zerocopy, 1)
        };
    }),
    ("zerocopy_enobufs", "no room for 3 zero-copy sends (ENOBUFS); 9 B were sent", |input| {
        stream(input).send = SendMethod::Zerocopy;
        *sent(input) =
            SendUse { zerocopy_sends: 200, enobufs: 3, ..SendUse::all_by(SendMethod::Zerocopy, 1) };
        sent(input).add(SendUse::all_by(SendMethod::Write, 9));
    }),
    ("zerocopy_enobufs", "no room for 2 zero-copy sends (ENOBUFS); 7 B were sent", |input| {
        stream(input).send = SendMethod::UringZc;
        *sent(input) = SendUse { enobufs: 2, ..SendUse::all_by(SendMethod::UringZc, 1) };
        sent(input).add(SendUse::all_by(SendMethod::Uring, 7));
    }),
    ("stack_only", "server: what was received was discarded", |input| {
        stream(input).receive = ReceiveMethod::Trunc;
        *received(input) = ReceiveUse::all_by(ReceiveMethod::Trunc, 1);
    }),
    ("stack_only", "server: what was received was mapped", |input| {
        stream(input).receive = ReceiveMethod::Mmap;
        *received(input) = ReceiveUse::all_by(ReceiveMethod::Mmap, 10);
        received(input).add(ReceiveUse::all_by(ReceiveMethod::Read, 90));
    }),
    ("mmap_unmapped", "9.0 % of the bytes could be mapped, the rest was read; segments", |input| {
        stream(input).receive = ReceiveMethod::Mmap;
        *received(input) = ReceiveUse::all_by(ReceiveMethod::Mmap, 9);
        received(input).add(ReceiveUse::all_by(ReceiveMethod::Read, 91));
    }),
    ("retransmits", "401 of 400000 segments (0.10 %) were retransmitted", |input| {
        client(input).readings[2].flows[0].tcp.as_mut().unwrap().retransmits = 5 + 401;
    }),
];

/// Late sends, of which none was left over.
const LATE: ScheduleAdherence = ScheduleAdherence {
    due: 2_000,
    late: 30,
    max_lateness_ns: 4_000_000,
    unfinished: 0,
    pacing: None,
    spun_ns: 0,
};

const TRANSACTIONS: &[(&str, &str, Change)] = &[
    ("few_samples", "only 999 transactions", |input| {
        let mut latencies = Latencies::new();
        (0..999).for_each(|_| latencies.record(1_000_000));
        client(input).report.as_mut().unwrap().latency = Some(latencies.to_wire());
    }),
    ("schedule_late", "(1.5 %) were sent more than 100 µs after they were due, the latest", |i| {
        client(i).report.as_mut().unwrap().schedule = Some(LATE);
    }),
    ("schedule_late", "by 4.000 ms: the client kept the rate on average and caught up", |i| {
        client(i).report.as_mut().unwrap().schedule = Some(LATE);
    }),
    ("unfinished_requests", "5 of 2000 due requests had not completed", |input| {
        client(input).report.as_mut().unwrap().schedule =
            Some(ScheduleAdherence { due: 2_000, unfinished: 5, ..ScheduleAdherence::default() });
    }),
];

fn check(base: fn() -> Input, table: &[(&str, &str, Change)]) {
    assert_eq!(merge(base()).warnings, [], "a clean run");
    for (code, text, change) in table {
        let mut input = base();
        change(&mut input);
        let warnings = merge(input).warnings;
        let [Warning { code: found, text: said, remedy }] = &warnings[..] else {
            panic!("{code}: {warnings:#?}");
        };
        assert_eq!(found, code);
        assert!(format!("{said} {remedy}").contains(text), "'{said} {remedy}' lacks '{text}'");
        assert!(!remedy.is_empty());
    }
}

#[test]
fn each_flaw_of_a_stream_run_has_its_warning() {
    check(stream_input, STREAMS);
}

#[test]
fn each_flaw_of_a_request_response_run_has_its_warning() {
    check(rr_input, &TRANSACTIONS[..1]);
    check(|| open_loop_input(1_000.0), TRANSACTIONS);
}

/// What the workers of one end counted of their connections.
fn uses(end_result: &mut EndResult) -> &mut ConnectionUse {
    end_result.report.as_mut().unwrap().connections.as_mut().unwrap()
}

fn spin(end_result: &mut EndResult) {
    end_result.facts.placement.wait = Wait::Spin;
}

const CONNECTIONS: &[(&str, &str, Change)] = &[
    ("ports_exhausted", "no port (of 28232) was free for 3 attempts", |input| {
        uses(client(input)).no_port = 3;
    }),
    ("time_wait", "22586 connections are in TIME-WAIT, and there are 28232 ports", |input| {
        uses(client(input)).time_wait_after = Some(22_586);
    }),
    ("connects_failed", "client: 1 attempt to connect failed", |input| {
        uses(client(input)).failed = 1;
    }),
    ("syn_retransmits", "client: 3 SYNs were sent again before the connection stood", |input| {
        uses(client(input)).syn_retransmits = 3;
    }),
    ("foreign_connections", "server: closed 2 connections from other hosts", |input| {
        uses(server(input)).foreign = 2;
    }),
    ("worker_held", "server: 1 connection kept a worker waiting", |input| {
        uses(server(input)).held = 1;
    }),
    ("mptcp_fallback", "client: 1 socket fell back", |input| {
        input.plan.socket.mptcp = true;
        sockets(client(input), |socket| socket.mptcp = Some(false));
        // What a listener speaks is told by those who call.
        sockets(server(input), |socket| socket.mptcp = Some(false));
    }),
    ("busy_poll_idle", "client: busy polling has nothing to poll", |input| {
        sockets(client(input), |socket| {
            (socket.busy_poll_us, socket.napi_id) = (Some(50), Some(0));
        });
    }),
    ("spin_crowded", "server: 3 workers spin on 2 CPUs", |input| {
        spin(server(input));
        let placement = &mut server(input).facts.placement;
        (placement.workers, placement.pinned_cpus) = (3, vec![None; 3]);
        server(input).facts.host.cpus_allowed = vec![0, 1];
    }),
];

#[test]
fn each_flaw_of_a_run_of_connections_has_its_warning() {
    check(crr_input, &TRANSACTIONS[..1]);
    for (code, text, change) in CONNECTIONS {
        let mut input = crr_input();
        change(&mut input);
        let found = merge(input).warnings;
        let own = found.iter().find(|warning| warning.code == *code);
        let own = own.unwrap_or_else(|| panic!("no {code}: {found:#?}"));
        assert!(own.text.contains(text), "'{}' lacks '{text}'", own.text);
    }
}

#[test]
fn what_is_in_order_with_connections_is_no_warning() {
    let quiet: [Change; 5] = [
        |_| {},
        // The server keeps them, and has no ports to lose.
        |input| {
            if let Workload::Crr(crr) = &mut input.plan.workload {
                crr.close = Close::Server;
            }
            uses(client(input)).time_wait_after = Some(28_000);
        },
        |input| spin(client(input)),
        |input| sockets(client(input), |socket| socket.busy_poll_us = Some(0)),
        |input| {
            sockets(client(input), |socket| {
                (socket.busy_poll_us, socket.napi_id) = (Some(50), Some(8_193));
            });
        },
    ];
    for change in quiet {
        let mut input = crr_input();
        change(&mut input);
        assert_eq!(merge(input).warnings, []);
    }
}

#[test]
fn two_ends_that_spin_share_the_cpus_of_one_machine() {
    let mut input = rr_input();
    one_machine(&mut input);
    spin(client(&mut input));
    spin(server(&mut input));
    let codes = |input: &Input| -> Vec<String> {
        merge(input.clone()).warnings.into_iter().map(|warning| warning.code).collect()
    };
    assert_eq!(codes(&input), ["same_machine"]);
    for end_result in [&mut input.client, &mut input.server] {
        end_result.as_mut().unwrap().facts.host.cpus_allowed = vec![0];
    }
    assert_eq!(codes(&input), ["same_machine", "spin_crowded"]);
}

#[test]
fn one_process_is_told_apart_from_equal_pids_in_two_pods() {
    let codes = |input: Input| -> Vec<String> {
        merge(input).warnings.into_iter().map(|warning| warning.code).collect()
    };
    let mut input = stream_input();
    one_machine(&mut input);
    for end_result in [&mut input.client, &mut input.server] {
        end_result.as_mut().unwrap().facts.pid = 1;
    }
    assert_eq!(codes(input.clone()), ["same_machine"]);
    server(&mut input).facts.host.hostname = Some("client-host".to_owned());
    sockets(client(&mut input), |socket| socket.peer = "127.0.0.1:5210".to_owned());
    assert_eq!(codes(input), ["same_machine", "same_process", "loopback"]);
}

#[test]
fn what_was_asked_and_granted_is_no_warning() {
    let mut input = stream_input();
    input.plan.socket.buffer_bytes = Some(Bytes(65_536));
    // Timestamps take 12 B of each segment.
    input.plan.socket.mss_bytes = Some(1_460);
    input.plan.socket.congestion_control = Some("cubic".to_owned());
    assert_eq!(merge(input).warnings, []);
}

#[test]
fn an_open_loop_spreads_its_first_requests_on_purpose() {
    let mut input = open_loop_input(1_000.0);
    let flows = &mut client(&mut input).report.as_mut().unwrap().flows;
    let mut second = flows[0].clone();
    (second.id, second.first_step_ns) = (1, Some(9_000_000));
    flows.push(second);
    assert_eq!(merge(input).warnings, []);
}

#[test]
fn many_numbers_are_cut() {
    assert_eq!(few(&[3, 4]), "3, 4");
    assert_eq!(few(&[0, 1, 2, 3, 4, 5, 6]), "0, 1, 2, 3, 4 and 2 more");
}
