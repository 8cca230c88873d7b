//! Warnings that judge by what happened to packets: offloads, the place of losses, messages that
//! came late; and machines that both ends share.

use super::LATE;
use crate::facts::DeviceFacts;
use crate::reading::DevicePackets;
use crate::result::end_result::{DatagramUse, EndResult, ScheduleAdherence};
use crate::result::merge::{Input, merge};
use crate::result::run::Warning;
use crate::result::testing::{open_loop_input, stream_input, udp_input};

/// The device of one end: which offloads are off, and the mean size of its packets in bytes.
fn device(end_result: &mut EndResult, off: &[&str], [sent, received]: [u64; 2]) {
    let all = ["tx", "sg", "tso", "gso", "gro", "rx"];
    end_result.facts.host.device = Some(DeviceFacts {
        name: "eth0".to_owned(),
        driver: Some("veth".to_owned()),
        mtu_bytes: Some(1500),
        offloads: all.map(|name| (name.to_owned(), !off.contains(&name))).into(),
        ..DeviceFacts::default()
    });
    for (number, reading) in (1..).zip(&mut end_result.readings) {
        let packets = 10_000 * number;
        reading.host.device = Some(DevicePackets {
            received: packets,
            sent: packets,
            bytes_received: received * packets,
            bytes_sent: sent * packets,
        });
    }
}

/// The warnings of a stream up between two such devices.
fn told(client: (&[&str], u64), server: (&[&str], u64)) -> Vec<Warning> {
    let mut input = stream_input();
    device(input.client.as_mut().unwrap(), client.0, [client.1, 66]);
    device(input.server.as_mut().unwrap(), server.0, [66, server.1]);
    merge(input).warnings
}

#[test]
fn offloads_that_are_off_and_cost_nothing_are_no_warning() {
    // As on every veth pair: nothing is joined, and nothing needs to be.
    assert_eq!(told((&["gro"], 64_000), (&["gro"], 64_000)), []);
    // TCP made them so, by its own pace.
    assert_eq!(told((&["gro"], 1_514), (&["gro"], 1_514)), []);
    // A device that counts what it cut by itself.
    assert_eq!(told((&["gso"], 1_510), (&[], 1_510)), []);
}

#[test]
fn a_sender_without_checksums_is_told_by_its_packets_and_by_what_depends_on_them() {
    let warnings = told((&["tx", "sg", "tso", "gso", "gro"], 1_514), (&["gro"], 1_514));
    let [Warning { code, text, remedy }] = &warnings[..] else { panic!("{warnings:#?}") };
    assert_eq!(code, "offloads_off");
    for part in [
        "client: eth0 (veth) sent packets of 1514 B on average",
        "it has off checksums of sent packets (tx), scatter-gather (sg), TCP segmentation",
        "each needs the one before it",
    ] {
        assert!(text.contains(part), "'{text}' lacks '{part}'");
    }
    assert!(remedy.starts_with("ethtool -K eth0 tx on sg on tso on gso on"), "{remedy}");
}

#[test]
fn what_nobody_joins_is_told_at_the_receiver() {
    let warnings = told((&["gro"], 64_000), (&["gro"], 1_514));
    let [Warning { code, text, .. }] = &warnings[..] else { panic!("{warnings:#?}") };
    assert_eq!(code, "offloads_off");
    assert!(text.contains("server: eth0 (veth) received packets of 1514 B"), "{text}");
    assert!(text.contains("generic receive offload (gro)"), "{text}");
}

#[test]
fn mean_packet_sizes_stand_in_the_result() {
    let mut input = stream_input();
    device(input.client.as_mut().unwrap(), &[], [64_000, 66]);
    let packets = merge(input).packets.client.unwrap();
    assert_eq!((packets.device_sent, packets.device_received), (Some(20_000), Some(20_000)));
    assert_eq!(packets.mean_sent_packet_bytes, Some(64_000.0));
    assert_eq!(packets.mean_received_packet_bytes, Some(66.0));
}

/// 1,040 of 4,000 datagrams lost, for so many of which the kernel found the socket full.
fn losing(buffers: u32) -> Input {
    let mut input = udp_input();
    let server = input.server.as_mut().unwrap();
    let report = server.report.as_mut().unwrap();
    report.datagrams = Some(DatagramUse { joined: Some(false), ..DatagramUse::default() });
    report.flows[0].datagrams.as_mut().unwrap().window.received = 1_000;
    for (reading, drops) in server.readings.iter_mut().zip([0, buffers / 2, buffers]) {
        reading.flows[0].datagrams.as_mut().unwrap().socket_drops = Some(drops);
        reading.flows[1].datagrams.as_mut().unwrap().socket_drops = Some(0);
    }
    input
}

fn codes(input: Input) -> Vec<(String, String)> {
    let warnings = merge(input).warnings.into_iter();
    let lost = warnings.filter(|one| one.code.contains("lost") || one.code.contains("full"));
    lost.map(|one| (one.code, one.text)).collect()
}

#[test]
fn advice_fits_the_place_where_most_was_lost() {
    let few = codes(losing(4));
    let [(code, text)] = &few[..] else { panic!("{few:#?}") };
    assert_eq!(code, "datagrams_lost");
    assert!(
        text.contains("1036 on the path, 4 at the socket of the server (4 buffers found"),
        "{text}"
    );
    let most = codes(losing(5_000));
    let [(code, text)] = &most[..] else { panic!("{most:#?}") };
    assert_eq!(code, "receive_buffer_full");
    assert!(text.contains(": 0 on the path"), "{text}");
}

#[test]
fn a_rate_that_was_not_kept_is_told_as_that() {
    let mut input = open_loop_input(1_000.0);
    input.client.as_mut().unwrap().report.as_mut().unwrap().schedule = Some(ScheduleAdherence {
        due: 2_000,
        late: 300,
        unfinished: 200,
        max_lateness_ns: 1,
        ..LATE
    });
    let warnings = merge(input).warnings;
    let late = warnings.iter().find(|one| one.code == "schedule_late").unwrap();
    assert!(late.text.ends_with("the client did not keep the rate"), "{}", late.text);
}

#[test]
fn windows_that_differ_by_a_queued_message_are_not_blamed_on_clocks() {
    let mut input = stream_input();
    input.server.as_mut().unwrap().readings[2].at_ns += 500_000_000;
    for reading in &mut input.client.as_mut().unwrap().readings {
        reading.flows[0].tcp.as_mut().unwrap().rtt_us = 400_000;
    }
    let warnings = merge(input).warnings;
    let [Warning { code, text, remedy }] = &warnings[..] else { panic!("{warnings:#?}") };
    assert_eq!(code, "unaligned_windows");
    assert!(text.contains("waited in the path's queue (round trip up to 400.00 ms)"), "{text}");
    assert!(!remedy.contains("clocks"), "{remedy}");
}

#[test]
fn a_machine_of_both_ends_is_warned_of_once() {
    let mut input = stream_input();
    for end_result in [&mut input.client, &mut input.server] {
        let host = &mut end_result.as_mut().unwrap().facts.host;
        host.boot_id = Some("one".to_owned());
        host.governor = Some("powersave".to_owned());
    }
    let warnings = merge(input).warnings;
    let governors: Vec<_> = warnings.iter().filter(|one| one.code == "governor").collect();
    let [Warning { text, .. }] = &governors[..] else { panic!("{warnings:#?}") };
    assert!(text.starts_with("both ends: the CPU frequency governor is"), "{text}");
}

#[test]
fn a_little_steal_is_no_warning() {
    let mut input = stream_input();
    // 0.6 % of two CPUs.
    input.server.as_mut().unwrap().readings[2].host.cpu.as_mut().unwrap().total.steal = 2;
    assert_eq!(merge(input).warnings, []);
}
