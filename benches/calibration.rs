//! What the generator itself costs: the clock, one latency record, one tally update, one reading of
//! all counters, and one message through loopback by each transport.
//!
//! `cargo bench` runs all of it; `cargo bench -- record` one part. Compare two commits on one quiet
//! machine, interleaved; a figure alone says little.

use std::hint::black_box;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use podperf::metrics::host_reader::HostReader;
use podperf::metrics::latency::Latencies;
use podperf::metrics::{flow, roots::Roots};
use podperf::transport::read::Read;
use podperf::transport::write::Write;
use podperf::transport::{BulkReceive, BulkSend};
use podperf::workload::tally::Tally;
use socket2::Socket;

const MESSAGE_BYTES: usize = 128 << 10;

/// The clock read and the histogram update that every transaction pays.
fn record(criterion: &mut Criterion) {
    criterion.bench_function("clock/read", |bencher| bencher.iter(Instant::now));
    let mut latencies = Latencies::new();
    let mut ns = 10_000_u64;
    criterion.bench_function("latency/record", |bencher| {
        bencher.iter(|| {
            // Values spread over three decades, as real ones do.
            ns = ns.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            latencies.record(black_box(10_000 + (ns >> 42)));
        });
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
    let (one, _other) = pair();
    criterion.bench_function("sample/tcp_info", |bencher| bencher.iter(|| flow::read(one.as_fd())));
}

/// One message handed over and taken, in one thread: the cost of the two calls without a wake-up.
fn message(criterion: &mut Criterion) {
    let (one, other) = pair();
    let mut sender = Write::open(vec![&one], MESSAGE_BYTES);
    let mut receiver = Read::open(vec![&other], MESSAGE_BYTES);
    let mut group = criterion.benchmark_group("message");
    group.throughput(Throughput::Bytes(MESSAGE_BYTES as u64));
    group.bench_function("write+read", |bencher| {
        bencher.iter(|| {
            let mut left = MESSAGE_BYTES;
            while left > 0 {
                let sent = sender.step(0, left).expect("loopback takes bytes");
                left -= sent;
                let mut taken = 0;
                while taken < sent {
                    taken += receiver.step(0).expect("loopback brings bytes");
                }
            }
        });
    });
}

fn pair() -> (Socket, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("a bound socket has an address");
    let one = TcpStream::connect(address).expect("loopback connects");
    (one.into(), listener.accept().expect("the connection is there").0.into())
}

criterion_group!(benches, record, sample, message);
criterion_main!(benches);
