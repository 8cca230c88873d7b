//! netperf's own output, captured from its version 2.7.0, made again from the figures in it.

mod any;
mod banner;
mod beside;
mod classic;
mod json;
mod selected;

use super::*;
use std::time::Duration;

use crate::figures::{Confidence, CpuPercent, EndCounters, EndFigures, GrantedSocket, Interim};
use crate::options::{Buffers, ConfidenceGoal, Format, PerEnd, Selection, Unit};
use crate::test_kind::TestLength;
use podperf_model::latency::Latencies;
use podperf_sys::tcp_info::RawTcpInfo;

fn options(test: NetperfTest) -> Options {
    Options {
        test,
        shape: test.shape(),
        host: "127.0.0.1".to_owned(),
        length: TestLength::Time(Duration::from_secs(1)),
        command_line: "netperf -H 127.0.0.1".to_owned(),
        ..Options::default()
    }
}

/// The options of `-c -C`.
fn with_cpu(test: NetperfTest) -> Options {
    Options { cpu: PerEnd { local: true, remote: true }, ..options(test) }
}

/// Without banner and titles (`-P 0`).
fn unframed(options: Options) -> Options {
    Options { header: false, ..options }
}

fn selecting(mut options: Options, format: Format, blocks: Option<&[&[&str]]>) -> Options {
    let owned = |block: &&[&str]| block.iter().map(|name| (*name).to_owned()).collect();
    let blocks = blocks.map(|blocks| blocks.iter().map(owned).collect());
    options.data.selection = Some(Selection { format, blocks });
    options
}

/// A TCP end as Linux makes it by default.
fn tcp_end() -> EndFigures {
    EndFigures {
        buffers: Buffers { send: Some(16384), receive: Some(131_072) },
        socket: GrantedSocket {
            send_buffer: Some(4_194_304),
            receive_buffer: Some(131_072),
            retransmits: Some(0),
            congestion_control: Some("bbr".to_owned()),
            ..GrantedSocket::default()
        },
        ..EndFigures::default()
    }
}

fn figures(local: EndFigures, remote: EndFigures, bytes_per_second: f64) -> Figures {
    Figures {
        elapsed_seconds: 1.0,
        bytes_per_second,
        transactions_per_second: None,
        local,
        remote,
        latency: None,
        mss_bytes: Some(65483),
        remote_latency: None,
        tcp_info: None,
        confidence: None,
        stopped: None,
        native: false,
        incomplete: None,
        interim: Vec::new(),
    }
}

/// TCP_STREAM at so many Mbit/s.
fn stream(megabits: f64) -> Figures {
    let local = EndFigures { send_bytes: Some(16384), ..tcp_end() };
    let remote = EndFigures { receive_bytes: Some(131_072), ..tcp_end() };
    figures(local, remote, megabits * 1e6 / 8.0)
}

/// TCP_RR at so many transactions per second, of a byte each way.
fn transactions(rate: f64) -> Figures {
    let transactions_per_second = Some(rate);
    Figures { transactions_per_second, ..figures(tcp_end(), tcp_end(), rate * 2.0) }
}

/// UDP_STREAM: datagrams sent and received, and the receiver's Mbit/s.
fn datagrams(sent: u64, received: u64, elapsed_seconds: f64, megabits: f64) -> Figures {
    let size = Some(212_992);
    let end = EndFigures {
        buffers: Buffers { send: size, receive: size },
        socket: GrantedSocket {
            send_buffer: size,
            receive_buffer: size,
            ..GrantedSocket::default()
        },
        ..EndFigures::default()
    };
    let bytes = 65507;
    let local = EndFigures {
        send_bytes: Some(bytes),
        counters: EndCounters {
            send_calls: sent,
            bytes_sent: sent * u64::from(bytes),
            ..EndCounters::default()
        },
        ..end.clone()
    };
    let remote = EndFigures {
        receive_bytes: Some(212_992),
        counters: EndCounters {
            receive_calls: received,
            bytes_received: received * u64::from(bytes),
            ..EndCounters::default()
        },
        ..end
    };
    let figures = figures(local, remote, megabits * 1e6 / 8.0);
    Figures { elapsed_seconds, mss_bytes: None, ..figures }
}

const fn cpu(util_percent: f64) -> CpuPercent {
    CpuPercent {
        cpus: 2,
        util_percent,
        user_percent: 1.75,
        system_percent: 10.47,
        iowait_percent: 0.0,
        irq_percent: 0.0,
        softirq_percent: 22.68,
        peak: Some((1, 36.47)),
    }
}

fn measured(mut figures: Figures, local: Option<f64>, remote: Option<f64>) -> Figures {
    figures.local.cpu = local.map(cpu);
    figures.remote.cpu = remote.map(cpu);
    figures
}

fn names() -> Names {
    Names {
        local_name: "0.0.0.0".to_owned(),
        local_address: "0.0.0.0".to_owned(),
        remote_name: "127.0.0.1".to_owned(),
        remote_address: "127.0.0.1".to_owned(),
    }
}

fn shown(options: &Options, figures: &Figures) -> String {
    let uuid = "afbe8eca-e82f-11f1-9d6a-fd117f572dd9".to_owned();
    result(options, figures, &Facts { uuid, names: names() })
}

/// A text in lines, the last line end checked.
fn lines(text: &str) -> Vec<&str> {
    let text = text.strip_suffix('\n').expect("text ends in a line end");
    text.split('\n').collect()
}

const WHO: &str = "from 0.0.0.0 (0.0.0.0) port 0 AF_INET to 127.0.0.1 () port 0 AF_INET : demo";

/// Counts of microseconds.
fn latencies(counts: &[(u64, u32)]) -> Latencies {
    let mut latencies = Latencies::new();
    for &(us, count) in counts {
        (0..count).for_each(|_| latencies.record(us * 1000));
    }
    latencies
}

/// The transactions of the captures of `all`.
fn captured() -> Figures {
    let end = EndFigures {
        counters: EndCounters {
            send_calls: 18636,
            receive_calls: 18636,
            bytes_sent: 18636,
            bytes_received: 18636,
            ..EndCounters::default()
        },
        ..tcp_end()
    };
    let latency = latencies(&[(19, 1), (51, 9000), (64, 800), (92, 198), (3217, 1)]);
    let figures = Figures {
        elapsed_seconds: 1.000_28,
        latency: Some(latency),
        mss_bytes: Some(32768),
        local: end.clone(),
        remote: end,
        ..transactions(18630.721)
    };
    measured(figures, Some(34.90), Some(34.90))
}
