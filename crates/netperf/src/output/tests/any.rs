//! Figures that no sane test has.

use proptest::prelude::*;

use super::*;

fn any_test() -> impl Strategy<Value = NetperfTest> {
    prop::sample::select(vec![
        NetperfTest::TcpStream,
        NetperfTest::TcpMaerts,
        NetperfTest::TcpSendfile,
        NetperfTest::TcpRr,
        NetperfTest::TcpCrr,
        NetperfTest::TcpCc,
        NetperfTest::UdpStream,
        NetperfTest::UdpRr,
        NetperfTest::Omni,
    ])
}

fn any_unit() -> impl Strategy<Value = Option<Unit>> {
    prop::option::of(prop_oneof![
        any::<u32>().prop_map(Unit::Bits),
        any::<u32>().prop_map(Unit::Bytes),
        Just(Unit::Transactions),
        Just(Unit::Microseconds),
    ])
}

fn any_end() -> impl Strategy<Value = EndFigures> {
    (any::<Option<u32>>(), any::<Option<u32>>(), any::<[u64; 4]>(), any::<Option<f64>>()).prop_map(
        |(send_buffer, send_bytes, counts, util)| EndFigures {
            buffers: Buffers { send: send_buffer, receive: None },
            socket: GrantedSocket { send_buffer, ..GrantedSocket::default() },
            send_bytes,
            receive_bytes: send_bytes,
            counters: EndCounters {
                send_calls: counts[0],
                receive_calls: counts[1],
                bytes_sent: counts[2],
                bytes_received: counts[3],
                failed_sends: counts[0],
                ..EndCounters::default()
            },
            cpu: util.map(cpu),
            allowed_cpus: None,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_text_is_made_of_plain_numbers(
        test in any_test(),
        unit in any_unit(),
        local in any_end(),
        remote in any_end(),
        [elapsed, bytes, rate] in any::<[f64; 3]>(),
        latency in prop::option::of(prop::collection::vec(0_u64..1 << 62, 0..4)),
        verbosity in 0_u32..4,
        percentile in any::<f64>(),
    ) {
        let figures = Figures {
            elapsed_seconds: elapsed,
            transactions_per_second: Some(rate),
            latency: latency.map(|values| {
                let mut latencies = Latencies::new();
                values.into_iter().for_each(|ns| latencies.record(ns));
                latencies
            }),
            ..figures(local, remote, bytes)
        };
        let mut asked = Options { unit, verbosity, ..with_cpu(test) };
        for format in [None, Some(Format::Csv), Some(Format::Human), Some(Format::KeyValue)] {
            if let Some(format) = format {
                asked = selecting(asked, format, Some(&[&["all"]]));
            }
            let text = shown(&asked, &figures).to_lowercase();
            let words = text.split(|char: char| char.is_whitespace() || ",=:".contains(char));
            for word in words {
                let word = word.trim_start_matches('-');
                prop_assert!(!["nan", "inf", "infinity"].contains(&word), "{text}");
                // Calculators know no exponents.
                let of_number = |char: char| char.is_ascii_digit() || ".e+-".contains(char);
                prop_assert!(!(word.contains('e') && word.chars().all(of_number)), "{word}");
            }
        }
        asked.json = true;
        asked.percentiles = vec![percentile];
        let text = shown(&asked, &figures);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        asked.json = false;
        asked.data.selection = None;
        shown(&asked, &figures);
        let reading = Interim {
            number: 0,
            bytes: u64::MAX,
            transactions: u64::MAX,
            seconds: elapsed,
            ending_seconds: bytes,
        };
        prop_assert!(!interim(&asked, &reading).contains("nan"));
    }
}
