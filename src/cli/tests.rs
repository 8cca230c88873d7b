//! Command lines and what becomes of them: the plan and target, or the exact words of the refusal.

use std::ffi::OsString;
use std::time::Duration;

use clap::CommandFactory as _;

use super::system::System;
use super::{Cli, Command, Measurement, parse};
use crate::PlanBuilder;
use podperf_engine::control::client::Target;
use podperf_model::AddressFamily;
use podperf_model::plan::{
    Direction, LoadPlan, Pin, Plan, ReceiveMethod, RrPlan, SendMethod, StopCondition, StreamPlan,
    Wait, Workload,
};
use podperf_model::units::{BitRate, Bytes};

fn resolve(line: &str) -> Result<Measurement, String> {
    let words: Vec<OsString> =
        std::iter::once("podperf").chain(line.split_whitespace()).map(OsString::from).collect();
    let cli = parse(&words).map_err(|error| {
        let text = error.to_string();
        let paragraph = text.split("\n\n").next().unwrap_or_default();
        paragraph.trim_start_matches("error: ").to_owned()
    })?;
    match cli.command {
        Command::Stream(args) => args.resolve(&System::example()),
        Command::Rr(args) => args.resolve(&System::example()),
        Command::Crr(args) => args.resolve(&System::example()),
        Command::Udp(args) => args.resolve(&System::example()),
        other => panic!("no measurement: {other:?}"),
    }
    .map_err(|error| error.to_string())
}

/// What `workload` becomes with nothing else said, here and in the builder.
pub(super) fn default_plan(workload: Workload) -> Plan {
    PlanBuilder::new(workload).build().unwrap().into_inner()
}

/// Holds the plan that a command line becomes against `expected`.
pub(super) fn assert_plan(line: &str, expected: &Plan) {
    let measurement = resolve(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    assert_eq!(*measurement.plan, *expected, "{line}");
}

#[test]
fn the_definition_of_the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn stream_options_become_a_plan() {
    type Change = fn(&mut Plan, &mut StreamPlan);
    let cases: &[(&str, Change)] = &[
        ("", |_, _| ()),
        ("h -P 4", |plan, _| plan.flows = 4),
        ("h --streams=4", |plan, _| plan.flows = 4),
        ("h -t 60", |plan, _| {
            plan.stop_condition = StopCondition::Time { window: Duration::from_secs(60) }
        }),
        ("h -t 500ms", |plan, _| {
            plan.stop_condition = StopCondition::Time { window: Duration::from_millis(500) };
        }),
        ("h -n 10G", |plan, _| {
            plan.stop_condition = StopCondition::Bytes { total_bytes: Bytes(10 << 30) }
        }),
        ("h -O 0", |plan, _| plan.warm_up = Duration::ZERO),
        ("h -i 0.1", |plan, _| plan.interval = Duration::from_millis(100)),
        ("h -l 64K", |_, stream| stream.message_bytes = Bytes(64 << 10)),
        ("h -l 1", |_, stream| stream.message_bytes = Bytes(1)),
        ("h -R", |_, stream| stream.direction = Direction::Down),
        ("h --bidir", |_, stream| stream.direction = Direction::Both),
        ("h -C cubic", |plan, _| plan.socket.congestion_control = Some("cubic".to_owned())),
        ("h -w 4M", |plan, _| plan.socket.buffer_bytes = Some(Bytes(4 << 20))),
        ("h -M 1400", |plan, _| plan.socket.mss_bytes = Some(1_400)),
        ("h -b 2.5G", |plan, _| {
            plan.socket.pacing_bits_per_second = Some(BitRate(2_500_000_000));
        }),
        ("h -S ef", |plan, _| plan.socket.dscp = Some(46)),
        ("h -S 10", |plan, _| plan.socket.dscp = Some(10)),
        ("h -N", |plan, _| plan.socket.no_delay = true),
        ("h --send write --recv read", |_, stream| stream.send = SendMethod::Write),
        ("h --send zerocopy --recv trunc", |_, stream| {
            (stream.send, stream.receive) = (SendMethod::Zerocopy, ReceiveMethod::Trunc);
        }),
        ("h --send sendfile --recv mmap", |_, stream| {
            (stream.send, stream.receive) = (SendMethod::Sendfile, ReceiveMethod::Mmap);
        }),
        ("h --send splice", |_, stream| stream.send = SendMethod::Splice),
        ("h --cork --quick-ack --mptcp", |plan, _| {
            let socket = &mut plan.socket;
            (socket.cork, socket.quick_ack, socket.mptcp) = (true, true, true);
        }),
        ("h --pin none", |plan, _| plan.client.pin = Pin::None),
        ("h --pin 0,2-3", |plan, _| plan.client.pin = Pin::List(vec![0, 2, 3])),
        // The server's CPUs are known to the server alone.
        ("h --server-pin 999", |plan, _| plan.server.pin = Pin::List(vec![999])),
        ("h -P 8 --workers 2 --server-workers 8", |plan, _| {
            (plan.flows, plan.client.workers, plan.server.workers) = (8, Some(2), Some(8));
        }),
        ("h --bidir --workers 2", |plan, stream| {
            (stream.direction, plan.client.workers) = (Direction::Both, Some(2));
        }),
    ];
    for (options, change) in cases {
        let mut stream = StreamPlan {
            direction: Direction::Up,
            message_bytes: Bytes(128 << 10),
            send: SendMethod::Auto,
            receive: ReceiveMethod::Read,
        };
        let mut plan = default_plan(Workload::Stream(stream.clone()));
        change(&mut plan, &mut stream);
        plan.workload = Workload::Stream(stream);
        assert_plan(&format!("stream {options}"), &plan);
    }
}

#[test]
fn rr_options_become_a_plan() {
    type Change = fn(&mut Plan, &mut RrPlan);
    let cases: &[(&str, Change)] = &[
        ("", |_, _| ()),
        ("h -P 16", |plan, _| plan.flows = 16),
        ("h --request 64 --response 4K", |_, rr| {
            (rr.request_bytes, rr.response_bytes) = (Bytes(64), Bytes(4_096));
        }),
        ("h --burst 8", |_, rr| rr.burst = 8),
        ("h --load 4 --load-direction both --load-length 1M", |_, rr| {
            let stream = StreamPlan {
                direction: Direction::Both,
                message_bytes: Bytes(1 << 20),
                send: SendMethod::Write,
                receive: ReceiveMethod::Read,
            };
            rr.load = Some(LoadPlan { streams: 4, stream });
        }),
        ("h --rate 2.5K", |_, rr| rr.rate_per_second = Some(2_500.0)),
        ("h --wait spin --server-wait busy-poll=50", |plan, _| {
            (plan.client.wait, plan.server.wait) = (Wait::Spin, Wait::BusyPollUs(50));
        }),
        ("h --wait block --quick-ack", |plan, _| plan.socket.quick_ack = true),
        ("h -n 1000", |plan, _| plan.stop_condition = StopCondition::Transactions { total: 1_000 }),
        ("h -C reno -w 1M -M 536 -S cs1", |plan, _| {
            plan.socket.congestion_control = Some("reno".to_owned());
            plan.socket.buffer_bytes = Some(Bytes(1 << 20));
            (plan.socket.mss_bytes, plan.socket.dscp) = (Some(536), Some(8));
        }),
    ];
    for (options, change) in cases {
        let mut rr = RrPlan::default();
        let mut plan = default_plan(Workload::Rr(rr.clone()));
        change(&mut plan, &mut rr);
        plan.workload = Workload::Rr(rr);
        assert_plan(&format!("rr {options}"), &plan);
    }
}

#[test]
fn options_that_do_not_suit_the_work_are_refused_with_the_reason() {
    const WAIT: &str = "allowed: block, spin, or busy-poll=US with 1 to 1000000 microseconds";
    assert_refused(&[
        ("rr h --wait poll", "'poll' for '--wait <HOW>'", WAIT),
        ("crr h --server-wait busy-poll=0", "'busy-poll=0' for '--server-wait <HOW>'", WAIT),
        (
            "stream h --cork -N",
            "'on' for '--cork'",
            "allowed: without --no-delay, which asks for the opposite",
        ),
        (
            "crr h --quick-ack",
            "'on' for '--quick-ack'",
            "allowed: with connections that last; a new one acknowledges quickly anyway",
        ),
        ("udp h --mptcp", "'on' for '--mptcp'", "allowed: with TCP only"),
        ("udp h --rr --quick-ack", "'on' for '--quick-ack'", "allowed: with TCP only"),
        // Without HOST both ends spin here.
        (
            "rr --wait spin --server-wait spin --pin 2 --server-pin 2",
            "'spin' for '--server-wait'",
            "allowed: with a CPU for each end, but both have only 2",
        ),
    ]);
    assert!(resolve("rr h --wait spin --server-wait spin --pin 2 --server-pin 2").is_ok());
    assert!(resolve("rr --wait spin --server-wait spin").is_ok());
}

#[test]
fn connection_options_become_a_target() {
    type Change = fn(&mut Target);
    let cases: &[(&str, Change)] = &[
        ("", |target| target.host = None),
        ("h", |_| ()),
        ("h -p 80", |target| target.port = 80),
        ("h:80", |target| target.port = 80),
        ("h:80 -p 80", |target| target.port = 80),
        ("[::1]:80 -6", |target| {
            (target.host, target.port) = (Some("::1".to_owned()), 80);
            target.family = Some(AddressFamily::V6);
        }),
        ("fe80::1%eth0", |target| target.host = Some("fe80::1%eth0".to_owned())),
        ("h -4 --bind 192.0.2.1", |target| {
            (target.family, target.bind) = (Some(AddressFamily::V4), "192.0.2.1".parse().ok());
        }),
        ("h --connect-timeout 1 --peer-timeout 2s --deadline 1m", |target| {
            target.connect_timeout = Duration::from_secs(1);
            target.peer_timeout = Duration::from_secs(2);
            target.deadline = Some(Duration::from_secs(60));
        }),
    ];
    for (options, change) in cases {
        let mut expected = Target {
            host: Some("h".to_owned()),
            port: 5210,
            family: None,
            bind: None,
            token: None,
            connect_timeout: Duration::from_secs(5),
            peer_timeout: Duration::from_secs(5),
            deadline: None,
        };
        change(&mut expected);
        let measurement = resolve(&format!("rr {options}")).expect(options);
        assert_eq!(format!("{:?}", measurement.target), format!("{expected:?}"), "{options}");
    }
}

const SIZE: &str = "allowed: a whole number of bytes below 2^64, such as 1448, 128K or 1.5M \
                    (K, M, G, T: powers of 1024)";
const COUNT: &str = "allowed: a whole number without sign or unit, below 2^32";
const TIME: &str = "allowed: a time such as 10 or 0.5 (seconds), 500ms, 1.5s, 2m or 1h30m";
const PIN: &str = "allowed: auto, none, or CPUs from 0 to 1023 such as 0,2,4-7";

fn assert_refused(cases: &[(&str, &str, &str)]) {
    for (line, refused, allowed) in cases {
        let error = resolve(line).expect_err(line);
        assert_eq!(error, format!("invalid value {refused}: {allowed}"), "{line}");
    }
}

#[test]
fn what_is_no_value_is_refused_with_option_value_and_what_is_allowed() {
    assert_refused(&[
        ("stream h -P 4x", "'4x' for '--streams <N>'", COUNT),
        ("stream h -P -1", "'-1' for '--streams <N>'", COUNT),
        ("stream h -P 4294967296", "'4294967296' for '--streams <N>'", COUNT),
        ("stream h -l -5", "'-5' for '--length <SIZE>'", SIZE),
        ("stream h -l 4x", "'4x' for '--length <SIZE>'", SIZE),
        ("stream h -l 99999999T", "'99999999T' for '--length <SIZE>'", SIZE),
        ("stream h -n 0.5", "'0.5' for '--bytes <SIZE>'", SIZE),
        ("stream h -w 1e6", "'1e6' for '--window <SIZE>'", SIZE),
        ("stream h -t -1", "'-1' for '--time <TIME>'", TIME),
        ("stream h -t 10x", "'10x' for '--time <TIME>'", TIME),
        ("stream h -O soon", "'soon' for '--omit <TIME>'", TIME),
        ("stream h -M 1400b", "'1400b' for '--mss <BYTES>'", COUNT),
        ("stream h --pin 4-", "'4-' for '--pin <CPUS>'", PIN),
        ("stream h --server-pin 4096", "'4096' for '--server-pin <CPUS>'", PIN),
        ("stream h -p 0", "'0' for '--port <PORT>'", "allowed: a port from 1 to 65535"),
        ("stream h -p 65536", "'65536' for '--port <PORT>'", "allowed: a port from 1 to 65535"),
        (
            "stream h -S af50",
            "'af50' for '--dscp <DSCP>'",
            "allowed: 0 to 63, cs0 to cs7, af11 to af43, or ef",
        ),
        (
            "stream h --bind nosuch",
            "'nosuch' for '--bind <ADDRESS>'",
            "allowed: an IPv4 or IPv6 address of this host",
        ),
        (
            "stream h -b 10GB",
            "'10GB' for '--bitrate <RATE>'",
            "allowed: a whole number of bits per second below 2^64, such as 64000, 500M or \
             2.5Gbit/s (K, M, G, T: powers of 1000)",
        ),
        (
            "rr h --rate fast",
            "'fast' for '--rate <RATE>'",
            "allowed: a number per second such as 1000, 0.5 or 20K (K, M: powers of 1000)",
        ),
        (
            "rr http://h",
            "'http://h' for '[HOST]'",
            "allowed: a name, an IPv4 address or an IPv6 address (with %zone if need be), and a \
             port as in host:5210 or [2001:db8::1]:5210",
        ),
    ]);
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    let longest = "allowed: more than 0s, at most 6days 23h 59m 59s";
    assert_refused(&[
        ("stream h -P 0", "'0' for '--streams'", "allowed: 1 to 16384"),
        ("stream h -P 99999", "'99999' for '--streams'", "allowed: 1 to 16384"),
        ("stream h -t 0", "'0s' for '--time'", longest),
        ("stream h -t 8d", "'8days' for '--time'", longest),
        ("stream h -l 0", "'0 B' for '--length'", "allowed: 1 B to 64 MiB"),
        ("stream h -l 1G", "'1 GiB' for '--length'", "allowed: 1 B to 64 MiB"),
        ("stream h -n 0", "'0 B' for '--bytes'", "allowed: at least 1 B"),
        ("stream h -i 9ms", "'9ms' for '--interval'", "allowed: 0 (none), 10ms to 7days"),
        ("stream h -w 0", "'0 B' for '--window'", "allowed: 1 B to 1073741823 B"),
        ("stream h -M 87", "'87' for '--mss'", "allowed: 88 to 32767"),
        ("stream h -b 0", "'0 bit/s' for '--bitrate'", "allowed: at least 8 bit/s"),
        ("rr h -P 0", "'0' for '--flows'", "allowed: 1 to 16384"),
        ("rr h --request 0", "'0 B' for '--request'", "allowed: 1 B to 64 MiB"),
        ("rr h --burst 0", "'0' for '--burst'", "allowed: 1 to 4096"),
        ("rr h -n 0", "'0' for '--transactions'", "allowed: at least 1"),
        (
            "rr h --rate 0",
            "'0' for '--rate'",
            "allowed: more than 0 and at most 1000000000 requests per second",
        ),
        (
            "rr h --rate 10 --burst 2",
            "'2' for '--burst'",
            "allowed: 1 together with --rate, which keeps as many requests in flight as its \
             schedule asks for",
        ),
        (
            "stream h --workers 2",
            "'2' for '--workers'",
            "allowed: 1 to 1 (no more workers than connections)",
        ),
        ("rr h --peer-timeout 0", "'0' for '--peer-timeout'", "allowed: more than 0 seconds"),
        ("rr h --deadline 0s", "'0' for '--deadline'", "allowed: more than 0 seconds"),
        ("rr h --wait-for-server 0", "'0' for '--wait-for-server'", "allowed: more than 0 seconds"),
        ("rr h:80 -p 81", "'81' for '--port'", "allowed: one port, but HOST names 80"),
        ("rr ::1 -4", "'::1' for 'HOST'", "allowed: an address of the family asked for"),
        (
            "rr 192.0.2.1 --bind ::1",
            "'::1' for '--bind'",
            "allowed: an address of the same family as HOST, -4 or -6",
        ),
    ]);
}

#[test]
fn what_this_system_lacks_is_refused_with_what_it_has() {
    assert_refused(&[
        (
            "stream h --pin 999",
            "'999' for '--pin'",
            "this process may not use CPU 999; allowed: 0-3",
        ),
        (
            "stream h --pin 0,3-4",
            "'0,3-4' for '--pin'",
            "this process may not use CPU 4; allowed: 0-3",
        ),
        ("stream h --pin 0,0", "'0' for '--pin'", "allowed: each CPU once"),
        // Without HOST the server's workers run here too.
        (
            "stream --server-pin 999",
            "'999' for '--server-pin'",
            "this process may not use CPU 999; allowed: 0-3",
        ),
        (
            "stream h -C nosuch",
            "'nosuch' for '--congestion'",
            "this kernel has none of it; allowed: reno, cubic",
        ),
        ("rr h -C bbr", "'bbr' for '--congestion'", "not permitted to this user; allowed: reno"),
        (
            "stream h -C ../etc",
            "'../etc' for '--congestion'",
            "allowed: a name of 1 to 15 characters out of a-z, 0-9, _ and -",
        ),
    ]);
}

#[test]
fn options_that_exclude_each_other_are_named_both() {
    for (line, expected) in [
        (
            "stream h -t 1 -n 1M",
            "the argument '--time <TIME>' cannot be used with '--bytes <SIZE>'",
        ),
        (
            "rr h -n 10 -t 1",
            "the argument '--transactions <N>' cannot be used with '--time <TIME>'",
        ),
        ("stream h -R --bidir", "the argument '--reverse' cannot be used with '--bidir'"),
        ("udp h --rr -b 1M", "the argument '--rr' cannot be used with '--bitrate <RATE>'"),
        ("udp h --response 4K", "the following required arguments were not provided:\n  --rr"),
        ("udp h --timeout 1s", "the following required arguments were not provided:"),
        ("udp h --send write", "unexpected argument '--send' found"),
        ("stream h -4 -6", "the argument '--ipv4' cannot be used with '--ipv6'"),
        ("stream h -b 1G --burst 2", "unexpected argument '--burst' found"),
        ("stream h i", "unexpected argument 'i' found"),
        ("stream h --token secret", "unexpected argument '--token' found"),
        ("stream h --send pigeon", "invalid value 'pigeon' for '--send <METHOD>'"),
    ] {
        let error = resolve(line).expect_err(line);
        assert!(error.starts_with(expected), "{line}: {error}");
    }
}
