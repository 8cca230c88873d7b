//! Merging: exact figures from synthetic results of the ends, and results of every wrong shape.

use proptest::prelude::*;

use super::merge::{Input, merge};
use super::proptest_inputs;
use super::run::{Run, Status, StreamDirection};
use super::testing::{
    STREAM_BYTES, crr_input, latencies, open_loop_input, readings, receiving, rr_input, rr_run,
    sending, server_machine, stream_input, stream_run,
};
use crate::error::{Error, Kind};
use crate::plan::{Direction, Workload};
use crate::reading::{FlowCounters, Reading};
use crate::result::end_result::EndResult;

fn close(actual: f64, expected: f64) {
    let scale = expected.abs().max(1e-9);
    assert!((actual - expected).abs() <= 1e-9 * scale, "{actual} is not {expected}");
}

fn client(input: &mut Input) -> &mut EndResult {
    input.client.as_mut().unwrap()
}

fn server(input: &mut Input) -> &mut EndResult {
    input.server.as_mut().unwrap()
}

fn direct(input: &mut Input, to: Direction) {
    let Workload::Stream(stream) = &mut input.plan.workload else { panic!("a stream run") };
    stream.direction = to;
}

#[test]
fn a_stream_run_is_what_the_receiver_got_over_its_own_clock() {
    let run = stream_run();
    assert_eq!((run.status, run.exit_status()), (Status::Complete, 0));
    assert!(run.errors.is_empty());
    let window = run.window.as_ref().unwrap();
    close(window.seconds, 2.0);
    close(window.server_seconds.unwrap(), 2.0);
    close(window.start_skew_us.unwrap(), 100.0);
    let throughput = run.throughput.as_ref().unwrap();
    close(throughput.bits_per_second, 4e9);
    close(throughput.sent_bits_per_second.unwrap(), 4e9);
    assert_eq!(throughput.bytes_received, 1_000_000_000);
    assert_eq!(throughput.bytes_sent, Some(1_000_000_000));
    close(throughput.up_bits_per_second.unwrap(), 4e9);
    assert_eq!(throughput.down_bits_per_second, None);
    assert_eq!(throughput.retransmits, Some(10));
    assert!(!throughput.from_sender);
    // (3 + 1)² / (2 · (3² + 1²))
    close(run.fairness.unwrap(), 0.8);
    assert_eq!((run.transactions.as_ref(), run.latency.as_ref()), (None, None));
}

#[test]
fn each_stream_has_its_bytes_and_the_senders_tcp() {
    let run = stream_run();
    let [a, b] = &run.streams[..] else { panic!("two streams") };
    assert_eq!((a.id, b.id, a.direction), (0, 1, StreamDirection::Up));
    assert_eq!(a.bytes_received, Some(750_000_000));
    assert_eq!(a.tcp_bytes_received, Some(750_000_000));
    assert_eq!(a.bytes_sent, Some(750_000_000));
    close(a.bits_per_second.unwrap(), 3e9);
    close(b.bits_per_second.unwrap(), 1e9);
    assert_eq!((a.retransmits, b.retransmits), (Some(10), Some(0)));
    assert_eq!((a.rtt_us, b.rtt_us), (Some(120), Some(80)));
    assert_eq!(a.transactions, None);
    close(a.mean_send_bytes.unwrap(), 125_000.0);
    close(a.mean_receive_bytes.unwrap(), 62_500.0);
    let life = a.lifetime.unwrap();
    assert_eq!((life.bytes_sent, life.bytes_received), (1_500_000_000, 1_500_000_000));
    assert!(life.drained);
    let limited = a.limited.unwrap();
    close(limited.busy, 0.9);
    close(limited.receive_window, 0.09);
    close(limited.send_buffer, 0.045);
    assert_eq!(a.tcp.server.unwrap().rtt_us, 7);
    assert_eq!(a.socket.client.as_ref().unwrap().peer, "192.0.2.2:5210");
}

#[test]
fn each_end_divides_by_its_own_clock() {
    let mut input = stream_input();
    // The server's last reading comes half a second later by its clock.
    server(&mut input).readings[2].at_ns += 500_000_000;
    let throughput = merge(input).throughput.unwrap();
    close(throughput.bits_per_second, 8e9 / 2.5);
    close(throughput.sent_bits_per_second.unwrap(), 4e9);
}

#[test]
fn cpu_is_busy_cores_by_label() {
    let run = stream_run();
    let cpu = run.cpu.client.as_ref().unwrap();
    close(cpu.modes.user, 0.10);
    close(cpu.modes.system, 0.35);
    close(cpu.modes.softirq, 0.15);
    close(cpu.modes.idle, 1.40);
    close(cpu.busy, 0.60);
    close(cpu.cores_per_gbit.unwrap(), 0.15);
    // Two CPUs, two edges, one tick of 10 ms each, over 2 s.
    close(cpu.resolution_cores, 0.02);
    assert_eq!((cpu.cpus, cpu.clamped, cpu.scope.as_str()), (2, 0, "machine"));
    assert_eq!(cpu.per_cpu.iter().map(|line| line.cpu).collect::<Vec<_>>(), [0, 1]);
    close(cpu.per_cpu[0].modes.busy(), 0.5);
    let process = cpu.process.as_ref().unwrap();
    close(process.user, 0.1);
    close(process.system, 0.3);
    // Two readings of 1 ms inside the window; the third closed it.
    close(process.sampler, 0.001);
    assert_eq!(process.max_rss_bytes, 4096 * 1024);
    let group = cpu.cgroup.as_ref().unwrap();
    close(group.usage_cores.unwrap(), 0.5);
    assert_eq!((group.periods, group.throttled_periods), (Some(20), Some(0)));
    close(run.cpu.server.as_ref().unwrap().busy, 0.90);
    let packets = run.packets.server.as_ref().unwrap();
    assert_eq!((packets.processed, packets.time_squeeze), (Some(800), Some(4)));
    assert_eq!((packets.net_rx, packets.net_tx), (Some(80), Some(6)));
    assert_eq!(packets.busiest_net_rx_cpu, Some(0));
    close(packets.busiest_net_rx_share.unwrap(), 0.75);
}

#[test]
fn a_cpu_that_goes_offline_shifts_nothing() {
    let mut input = stream_input();
    let stat = |reading: &mut Reading| reading.host.cpu.take().unwrap();
    let last = &mut client(&mut input).readings[2];
    let mut gone = stat(last);
    let first = gone.per_cpu.remove(&0).unwrap();
    gone.per_cpu.insert(7, first);
    last.host.cpu = Some(gone);
    let run = merge(input);
    let cpu = run.cpu.client.unwrap();
    assert_eq!(cpu.per_cpu.iter().map(|line| line.cpu).collect::<Vec<_>>(), [1]);
    close(cpu.per_cpu[0].modes.busy(), 0.1);
    assert!(run.warnings.iter().any(|warning| warning.code == "cpu_hotplug"));
}

#[test]
fn a_counter_that_runs_backwards_is_zero_and_counted() {
    let mut input = stream_input();
    client(&mut input).readings[0].host.cpu.as_mut().unwrap().total.iowait = 5;
    let cpu = merge(input).cpu.client.unwrap();
    close(cpu.modes.iowait, 0.0);
    assert_eq!(cpu.clamped, 1);
}

#[test]
fn without_ticks_there_is_no_cpu() {
    let mut input = stream_input();
    for reading in &mut client(&mut input).readings {
        reading.host.cpu.as_mut().unwrap().ticks_per_second = 0;
    }
    assert_eq!(merge(input).cpu.client, None);
}

#[test]
fn down_is_what_the_client_got() {
    let mut input = stream_input();
    direct(&mut input, Direction::Down);
    client(&mut input).readings = readings(&STREAM_BYTES.map(receiving), &server_machine(), 0);
    server(&mut input).readings =
        readings(&STREAM_BYTES.map(|bytes| sending(bytes, 3, 90)), &server_machine(), 0);
    let run = merge(input);
    let throughput = run.throughput.unwrap();
    close(throughput.down_bits_per_second.unwrap(), 4e9);
    assert_eq!(throughput.up_bits_per_second, None);
    assert_eq!(throughput.retransmits, Some(12));
    assert_eq!(run.streams[0].direction, StreamDirection::Down);
    assert_eq!(run.streams[0].rtt_us, Some(90));
}

#[test]
fn both_directions_add_up_and_the_less_even_one_is_the_fairness() {
    let mut input = stream_input();
    direct(&mut input, Direction::Both);
    input.plan.flows = 2;
    let even = 250_000_000;
    let [fast, slow] = STREAM_BYTES;
    let flows = |up: [FlowCounters; 2], down: [FlowCounters; 2]| up.into_iter().chain(down);
    let at_client: Vec<_> =
        flows([fast, slow].map(|bytes| sending(bytes, 1, 50)), [even; 2].map(receiving)).collect();
    let at_server: Vec<_> =
        flows([fast, slow].map(receiving), [even; 2].map(|bytes| sending(bytes, 2, 60))).collect();
    client(&mut input).readings = readings(&at_client, &server_machine(), 0);
    server(&mut input).readings = readings(&at_server, &server_machine(), 0);
    let run = merge(input);
    let throughput = run.throughput.unwrap();
    close(throughput.bits_per_second, 8e9);
    close(throughput.up_bits_per_second.unwrap(), 4e9);
    close(throughput.down_bits_per_second.unwrap(), 4e9);
    assert_eq!(throughput.retransmits, Some(12));
    close(run.fairness.unwrap(), 0.8);
    let directions: Vec<_> = run.streams.iter().map(|stream| stream.direction).collect();
    use StreamDirection::{Down, Up};
    assert_eq!(directions, [Up, Up, Down, Down]);
}

#[test]
fn a_request_response_run_counts_by_the_histogram() {
    let run = rr_run();
    assert_eq!(run.exit_status(), 0);
    let transactions = run.transactions.as_ref().unwrap();
    assert_eq!(transactions.count, 2_000);
    close(transactions.per_second, 1_000.0);
    let latency = run.latency.as_ref().unwrap();
    assert_eq!(latency.count, 2_000);
    close(latency.mean.unwrap(), 1e6);
    close(latency.stddev.unwrap(), 5e5);
    assert_eq!((latency.min, latency.max), (Some(500_000), Some(1_500_000)));
    // 0.6 busy cores over 1,000 transactions a second.
    close(run.cpu.client.as_ref().unwrap().us_per_transaction.unwrap(), 600.0);
    assert!(latency.p99.is_some() && latency.p99_9.is_none());
    let throughput = run.throughput.as_ref().unwrap();
    // 1,000 requests and as many responses of one byte, a second.
    close(throughput.bits_per_second, 16_000.0);
    assert_eq!(throughput.bytes_received, 4_000);
    assert_eq!(run.streams[0].transactions, Some(2_000));
    assert_eq!(run.streams[0].rtt_us, Some(15));
    let interval = &run.intervals[0];
    close(interval.transactions_per_second.unwrap(), 1_000.0);
    close(interval.latency_mean_ns.unwrap(), 1e6);
}

#[test]
fn connections_that_do_not_last_are_summed_and_not_told_apart_by_flow() {
    let run = merge(crr_input());
    assert_eq!(run.exit_status(), 0);
    assert_eq!(run.transactions.as_ref().unwrap().count, 2_000);
    close(run.throughput.as_ref().unwrap().bits_per_second, 16_000.0);
    let connections = run.connections.unwrap();
    let life = connections.lifetime.unwrap();
    assert_eq!((life.bytes_sent, life.bytes_received, life.drained), (8_000, 8_000, true));
    assert_eq!(connections.client.unwrap().time_wait_after, Some(4_010));
    assert_eq!(run.connect_time.as_ref().unwrap().count, 2_000);
    let flow = &run.streams[0];
    assert_eq!((flow.bytes_received, flow.bits_per_second, flow.lifetime), (None, None, None));
    assert_eq!((flow.transactions, run.fairness), (Some(2_000), Some(1.0)));

    let mut input = crr_input();
    input.server.as_mut().unwrap().report = None;
    let connections = merge(input).connections.unwrap();
    assert_eq!((connections.lifetime, connections.server), (None, None));
    assert_eq!(rr_run().connections, None);
}

#[test]
fn without_the_clients_report_tallies_count_and_latency_is_null() {
    let mut input = rr_input();
    client(&mut input).report = None;
    let run = merge(input);
    assert_eq!(run.latency, None);
    assert_eq!(run.transactions.as_ref().unwrap().count, 2_000);
    assert_eq!(run.exit_status(), 4);
    assert!(run.errors[0].to_string().contains("client's part"), "{}", run.errors[0]);
}

#[test]
fn a_damaged_histogram_is_an_error_not_a_panic() {
    let mut input = rr_input();
    let mut wire = latencies().to_wire();
    wire.histogram.truncate(10);
    client(&mut input).report.as_mut().unwrap().latency = Some(wire);
    let run = merge(input);
    assert_eq!(run.latency, None);
    assert_eq!(run.transactions.as_ref().unwrap().count, 2_000);
    assert_eq!(run.exit_status(), 4);
    assert_eq!(run.errors[0].operation, "read the latency histogram");
}

#[test]
fn open_loop_has_service_time_and_schedule() {
    let run = merge(open_loop_input(1_000.0));
    assert_eq!(run.service_time.unwrap().count, 2_000);
    assert_eq!(run.schedule.unwrap().due, 2_000);
}

#[test]
fn what_the_sender_saw_acknowledged_stands_in_for_a_lost_receiver() {
    let lost: [fn(&mut Input); 3] = [
        |input| input.server = None,
        |input| server(input).readings.clear(),
        |input| server(input).readings.truncate(1),
    ];
    for lose in lost {
        let mut input = stream_input();
        lose(&mut input);
        let run = merge(input);
        let throughput = run.throughput.as_ref().unwrap();
        close(throughput.bits_per_second, 4e9);
        assert!(throughput.from_sender);
        assert_eq!((run.status, run.exit_status()), (Status::Incomplete, 4));
        assert_eq!(run.cpu.server, None);
        assert_eq!(run.window.as_ref().unwrap().server_seconds, None);
        assert!(run.warnings.iter().any(|warning| warning.code == "goodput_from_sender"));
    }
}

#[test]
fn a_lost_sender_leaves_what_it_sent_unknown() {
    let mut input = stream_input();
    input.client = None;
    let run = merge(input);
    let throughput = run.throughput.as_ref().unwrap();
    close(throughput.bits_per_second, 4e9);
    assert_eq!((throughput.sent_bits_per_second, throughput.bytes_sent), (None, None));
    assert_eq!(throughput.retransmits, None);
    assert_eq!(run.intervals.len(), 2);
    close(run.intervals[1].end_seconds, 2.0);
}

#[test]
fn nothing_measured_is_exit_status_3() {
    let mut input = stream_input();
    (input.client, input.server) = (None, None);
    input.errors = vec![Error::new(Kind::Unmeasured, "connect to", "refused")];
    let run = merge(input);
    assert_eq!((run.throughput.as_ref(), run.window.as_ref()), (None, None));
    assert_eq!((run.status, run.exit_status()), (Status::Incomplete, 3));
    assert_eq!(run.errors.len(), 1);
    assert!(run.intervals.is_empty());
    assert_eq!(run.streams.len(), 2);
    assert_eq!(run.streams[0].bits_per_second, None);
}

#[test]
fn a_signal_or_the_deadline_decides_the_exit_status() {
    for (kind, status) in
        [(Kind::Interrupted, 130), (Kind::Terminated, 143), (Kind::Deadline, 5), (Kind::Usage, 4)]
    {
        let mut input = stream_input();
        input.errors =
            vec![Error::new(Kind::Incomplete, "a", "b"), Error::new(kind, "measure", "ended")];
        assert_eq!(merge(input).exit_status(), status, "{kind:?}");
    }
}

#[test]
fn a_signal_to_the_server_breaks_the_run_off_and_no_more() {
    let mut input = stream_input();
    let ended = Error::new(Kind::Terminated, "serve", "SIGTERM");
    server(&mut input).report.as_mut().unwrap().errors = vec![ended];
    let run = merge(input);
    assert_eq!((run.errors[0].kind, run.exit_status()), (Kind::Incomplete, 4));
}

#[test]
fn errors_of_the_ends_are_added_once_and_sorted_by_time() {
    let at = |seconds| {
        let mut error = Error::new(Kind::Incomplete, "send on", "connection reset");
        error.at_seconds = Some(seconds);
        error
    };
    let mut input = stream_input();
    input.errors = vec![at(1.5)];
    client(&mut input).report.as_mut().unwrap().errors = vec![at(0.5), at(1.5)];
    let times: Vec<_> = merge(input).errors.iter().map(|error| error.at_seconds).collect();
    assert_eq!(times, [Some(0.5), Some(1.5)]);
}

#[test]
fn intervals_match_by_time_when_an_end_missed_a_reading() {
    let mut input = stream_input();
    server(&mut input).readings.remove(0);
    let run = merge(input);
    assert_eq!(run.intervals.len(), 2);
    // The server's only interval starts at its opening, as the client's first does.
    close(run.intervals[0].bits_per_second.unwrap(), 4e9);
    assert!(run.intervals[0].cpu.server.is_some());
    assert!(run.intervals[1].cpu.server.is_none());
    // There, what the client saw acknowledged stands in.
    close(run.intervals[1].bits_per_second.unwrap(), 4e9);
}

#[test]
fn an_interval_has_times_rates_and_tcp() {
    let run = stream_run();
    let [first, second] = &run.intervals[..] else { panic!("two intervals") };
    close(first.start_seconds, 0.0);
    close(second.start_seconds, 1.0);
    close(second.end_seconds, 2.0);
    assert!(!second.partial);
    assert_eq!(second.stream_bits_per_second, [Some(3e9), Some(1e9)]);
    assert_eq!((second.retransmits, second.rtt_us), (Some(5), Some(120)));
    assert_eq!(second.cwnd_bytes, Some(2 * 100 * 1448));
    let cpu = second.cpu.server.as_ref().unwrap();
    close(cpu.busy, 0.9);
    close(cpu.busiest_cpu, 0.6);
    assert_eq!((cpu.softnet_dropped, cpu.throttled_periods), (Some(0), Some(0)));
}

#[test]
fn a_short_last_interval_is_partial() {
    let mut input = stream_input();
    client(&mut input).readings[2].at_ns -= 400_000_000;
    let run = merge(input);
    assert_eq!(run.intervals.iter().map(|i| i.partial).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn retransmits_survive_the_wrap_of_the_kernels_counter() {
    let mut input = stream_input();
    let readings = &mut client(&mut input).readings;
    for (reading, retransmits) in readings.iter_mut().zip([u32::MAX - 1, u32::MAX, 2]) {
        reading.flows[0].tcp.as_mut().unwrap().retransmits = retransmits;
    }
    assert_eq!(merge(input).streams[0].retransmits, Some(4));
}

proptest! {
    #[test]
    fn no_shape_of_results_panics_or_makes_a_number_that_is_none(
        input in proptest_inputs::input(),
    ) {
        let run = merge(input);
        // A figure that is no number would be null where the type has none.
        let text = serde_json::to_string(&run).unwrap();
        let back: Run = serde_json::from_str(&text).expect("every number is one");
        prop_assert_eq!(back.errors.is_empty(), back.status == Status::Complete);
    }
}
