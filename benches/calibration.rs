//! What the generator itself costs and can do: the steps of its loops, one reading of all counters,
//! one send and one receive by each method, goodput over loopback by method and number of streams,
//! and the round trip by way of waiting and placement.
//!
//! `cargo bench` runs all of it and closes with the table of `podperf calibrate`, taken over a
//! longer time; `cargo bench -- record` runs one part, without the table. Compare two commits on
//! one quiet machine, interleaved; a figure alone says little.

use std::hint::black_box;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group};
use crossbeam_channel::Receiver;
use podperf_engine::calibration::calls::{messages, transfer};
use podperf_engine::calibration::steps::Spread;
use podperf_engine::calibration::{MESSAGE_BYTES, calibrate, runs};
use podperf_engine::metrics::host_reader::HostReader;
use podperf_engine::metrics::topology::Topology;
use podperf_engine::metrics::{flow, roots::Roots};
use podperf_engine::workload::tally::Tally;
use podperf_model::error::{Kind, Result};
use podperf_model::latency::Latencies;
use podperf_model::plan::Choice as _;
use podperf_model::plan::{Plan, ReceiveMethod, SendMethod, StopCondition};
use podperf_model::units::Bytes;
use podperf_report::text::render_calibration;

/// The time budget of the table at the end.
const TABLE_BUDGET: Duration = Duration::from_secs(45);

/// The clock read and the histogram update that every transaction pays.
fn record(criterion: &mut Criterion) {
    criterion.bench_function("clock/read", |bencher| bencher.iter(Instant::now));
    let (mut latencies, mut spread) = (Latencies::new(), Spread::default());
    criterion.bench_function("latency/record", |bencher| {
        bencher.iter(|| latencies.record(black_box(spread.next())));
    });
    let mut last = Instant::now();
    criterion.bench_function("latency/clock+record", |bencher| {
        bencher.iter(|| {
            let now = Instant::now();
            latencies.record(u64::try_from((now - last).as_nanos()).unwrap_or(u64::MAX));
            last = now;
        });
    });
    let tally = Tally::default();
    criterion.bench_function("tally/sent", |bencher| bencher.iter(|| tally.sent(black_box(1))));
}

/// One reading, as the sampler takes at every interval and edge: at 1 s intervals, 5 ms would be
/// 0.5 % of a core.
fn sample(criterion: &mut Criterion) {
    let mut reader = HostReader::open(&Roots::default());
    criterion.bench_function("sample/host", |bencher| bencher.iter(|| reader.read()));
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("a bound socket has an address");
    let socket = TcpStream::connect(address).expect("loopback connects");
    criterion
        .bench_function("sample/tcp_info", |bencher| bencher.iter(|| flow::read(socket.as_fd())));
}

/// CPU time of one message sent and of one received, by method; the other end uses the plain one.
fn call(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("call");
    group.throughput(Throughput::Bytes(MESSAGE_BYTES));
    group.sample_size(10).warm_up_time(GROUP_TIME).measurement_time(GROUP_TIME);
    let sends = SendMethod::concrete();
    let sends = sends.map(|send| ("send", send.name(), send, ReceiveMethod::Read));
    let receives = ReceiveMethod::ALL.iter();
    let receives = receives.map(|&receive| ("receive", receive.name(), SendMethod::Write, receive));
    for (way, method, send, receive) in sends.chain(receives) {
        if let Err(error) = transfer(send, receive, messages(1)) {
            eprintln!("left out: {way} {method}: {error}");
            continue;
        }
        group.bench_function(format!("{way}/{method}"), |bencher| {
            bencher.iter_custom(|count| {
                let moved = transfer(send, receive, messages(count)).expect("it worked before");
                if way == "send" { moved.send.cpu } else { moved.receive.cpu }
            });
        });
    }
}

/// Time of one message over loopback by the real client, server and engine, and of one
/// transaction, by everything that a calibration runs.
fn loopback(criterion: &mut Criterion) {
    let (_keep, stop) = crossbeam_channel::bounded(1);
    let cpus = Topology::read(&Roots::default()).order(None);
    let mut group = criterion.benchmark_group("loopback");
    // What a run costs beside its iterations falls out: linear sampling fits a slope.
    group.sampling_mode(SamplingMode::Linear);
    group.sample_size(10).warm_up_time(GROUP_TIME).measurement_time(GROUP_TIME);
    for planned in runs::plans(&cpus) {
        let flows = u64::from(planned.plan.flows);
        let round_trip = planned.rr.is_some();
        if let Err(error) = runs::measure(&planned, runs::MIN_RUN * 2, &stop) {
            eprintln!("left out: {}: {error}", planned.name);
            continue;
        }
        let bytes = if round_trip { 2 } else { MESSAGE_BYTES };
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function(&planned.name, |bencher| {
            bencher.iter_custom(|count| {
                // Every flow moves something, so few iterations are rounded up and scaled back.
                let whole = count.max(flows);
                let stop_condition = if round_trip {
                    StopCondition::Transactions { total: whole }
                } else {
                    StopCondition::Bytes { total_bytes: Bytes(messages(whole)) }
                };
                let plan = Plan { stop_condition, ..planned.plan.clone() };
                let time = window(&plan, &stop).expect("it worked before");
                time.mul_f64(fraction(count, whole))
            });
        });
    }
}

const GROUP_TIME: Duration = Duration::from_millis(1_000);

/// How long a run by count took, by the client's clock.
fn window(plan: &Plan, stop: &Receiver<Kind>) -> Result<Duration> {
    let seconds = runs::run(plan, stop)?.window.map_or(0.0, |window| window.seconds);
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

#[expect(clippy::cast_precision_loss, reason = "a scale; 53 bits are enough")]
fn fraction(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// The table of `podperf calibrate`.
fn table() {
    let (_keep, stop) = crossbeam_channel::bounded(1);
    println!();
    match calibrate(TABLE_BUDGET, &mut |_| {}, &stop) {
        Ok(record) => render_calibration(&record, &mut io::stdout()).expect("it can be printed"),
        Err(error) => eprintln!("no table: {error}"),
    }
}

criterion_group!(benches, record, sample, call, loopback);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    // Whoever asks for one part, or only whether it runs, wants no table.
    if std::env::args().skip(1).eq(["--bench".to_owned()]) {
        table();
    }
}
