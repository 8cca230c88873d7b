//! netperf's output of any figures, as any options ask for it.

use std::ffi::OsString;

use arbitrary::{Result, Unstructured};
use podperf_model::error::Kind;
use podperf_model::latency::Latencies;
use podperf_netperf::figures::{
    Confidence, CpuPercent, EndCounters, EndFigures, Figures, GrantedSocket, Interim,
};
use podperf_netperf::options::{Buffers, Format, Options};
use podperf_netperf::output::{Facts, banner, interim, rate, result};

use super::netperf_options;

const TESTS: [&str; 9] = [
    "TCP_STREAM",
    "TCP_MAERTS",
    "TCP_SENDFILE",
    "TCP_RR",
    "TCP_CRR",
    "TCP_CC",
    "UDP_STREAM",
    "UDP_RR",
    "OMNI",
];
const GLOBAL: [&str; 18] = [
    "-c",
    "-C",
    "-j",
    "-v",
    "2",
    "-P",
    "0",
    "-f",
    "x",
    "-fG",
    "-D",
    "1",
    "-I",
    "99,5",
    "--json",
    "--percentiles",
    "50,99.9",
    "-B brand",
];
const OWN: [&str; 18] = [
    "-o",
    "-O",
    "-k",
    "all",
    "THROUGHPUT,ELAPSED_TIME",
    "P99_LATENCY",
    "?",
    "-D",
    "-m",
    "1",
    "-r",
    "100,200",
    "-s",
    "64K",
    "-b",
    "4",
    "-d",
    "rr",
];

/// Checks the output of one test.
pub fn check(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(words) = words(&mut input) else { return };
    let Ok(options) = netperf_options::options(&words) else { return };
    let Ok(figures) = figures(&mut input) else { return };
    let facts = Facts::default();
    let text = result(&options, &figures, &facts);
    if options.json {
        let json: serde_json::Value = serde_json::from_str(&text).expect("--json prints JSON");
        assert!(json.is_object());
    } else {
        assert_plain_numbers(&text);
        assert_selected(&options, &text);
    }
    assert_plain_numbers(&rate(&options, &figures));
    let shown = Interim {
        number: 0,
        bytes: figures.local.counters.bytes_sent,
        transactions: figures.local.counters.transactions,
        seconds: figures.elapsed_seconds,
        ending_seconds: figures.bytes_per_second,
    };
    assert_plain_numbers(&interim(&options, &shown));
    let _ = banner(&options, &facts.names);
}

fn words(input: &mut Unstructured<'_>) -> Result<Vec<OsString>> {
    let mut words = vec!["-t".to_owned(), (*input.choose(&TESTS)?).to_owned()];
    for set in [GLOBAL, OWN] {
        for _ in 0..input.int_in_range(0..=6_u8)? {
            words.push((*input.choose(&set)?).to_owned());
        }
        words.push("--".to_owned());
    }
    words.pop();
    Ok(words.into_iter().map(OsString::from).collect())
}

fn figures(input: &mut Unstructured<'_>) -> Result<Figures> {
    let mut latencies = || -> Result<Option<Latencies>> {
        if !input.arbitrary()? {
            return Ok(None);
        }
        let mut latencies = Latencies::new();
        for _ in 0..input.int_in_range(0..=12_u8)? {
            // Up to 36 years: the sum of their squares fits.
            latencies.record(input.arbitrary::<u64>()? >> input.int_in_range(4..=63_u8)?);
        }
        Ok(Some(latencies))
    };
    let (latency, remote_latency) = (latencies()?, latencies()?);
    let [local, remote] = [end(input)?, end(input)?];
    let [throughput_percent, local_cpu_percent, remote_cpu_percent]: [f64; 3] =
        input.arbitrary()?;
    let confidence = Confidence {
        iterations: input.arbitrary()?,
        throughput_percent,
        local_cpu_percent,
        remote_cpu_percent,
        reached: input.arbitrary()?,
    };
    Ok(Figures {
        elapsed_seconds: input.arbitrary()?,
        bytes_per_second: input.arbitrary()?,
        transactions_per_second: input.arbitrary()?,
        local,
        remote,
        latency,
        remote_latency,
        mss_bytes: input.arbitrary()?,
        tcp_info: None,
        confidence: input.arbitrary::<bool>()?.then_some(confidence),
        stopped: *input.choose(&[None, Some(Kind::Interrupted), Some(Kind::Deadline)])?,
        native: input.arbitrary()?,
        incomplete: None,
        interim: Vec::new(),
    })
}

fn end(input: &mut Unstructured<'_>) -> Result<EndFigures> {
    let counters = EndCounters {
        bytes_sent: input.arbitrary()?,
        bytes_received: input.arbitrary()?,
        send_calls: input.arbitrary()?,
        receive_calls: input.arbitrary()?,
        failed_sends: input.arbitrary()?,
        transactions: input.arbitrary()?,
        lost_transactions: input.arbitrary()?,
    };
    let cpu = if input.arbitrary()? {
        let [util, user, system, iowait, irq, softirq]: [f64; 6] = input.arbitrary()?;
        Some(CpuPercent {
            cpus: input.arbitrary()?,
            util_percent: util,
            user_percent: user,
            system_percent: system,
            iowait_percent: iowait,
            irq_percent: irq,
            softirq_percent: softirq,
            peak: input.arbitrary()?,
        })
    } else {
        None
    };
    Ok(EndFigures {
        buffers: Buffers { send: input.arbitrary()?, receive: input.arbitrary()? },
        socket: GrantedSocket {
            send_buffer: input.arbitrary()?,
            retransmits: input.arbitrary()?,
            ..GrantedSocket::default()
        },
        send_bytes: input.arbitrary()?,
        receive_bytes: input.arbitrary()?,
        counters,
        cpu,
        allowed_cpus: None,
    })
}

/// No figure is what a calculator cannot read.
fn assert_plain_numbers(text: &str) {
    let lower = text.to_lowercase();
    for word in lower.split(|char: char| char.is_whitespace() || ",=:".contains(char)) {
        let word = word.trim_start_matches('-');
        assert!(!["nan", "inf", "infinity"].contains(&word), "{text}");
        let of_number = |char: char| char.is_ascii_digit() || ".e+-".contains(char);
        let exponent = word.starts_with(|char: char| char.is_ascii_digit())
            && word.contains('e')
            && word.chars().all(of_number);
        assert!(!exponent, "{word}");
    }
}

/// CSV has as many values as titles, and every line of `-k` is a pair.
fn assert_selected(options: &Options, text: &str) {
    let Some(selection) = &options.data.selection else { return };
    if options.verbosity > 1 {
        return;
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    match selection.format {
        Format::KeyValue => assert!(lines.iter().all(|line| line.contains('=')), "{text}"),
        Format::Csv if options.header => {
            for pair in lines.chunks(2) {
                // What is typed stands in quotes.
                let fields = |line: &&str| -> usize {
                    line.split('"').step_by(2).map(|part| part.matches(',').count()).sum()
                };
                assert_eq!(pair.first().map(fields), pair.last().map(fields), "{text}");
            }
        }
        Format::Csv | Format::Human => {}
    }
}
