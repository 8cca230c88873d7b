//! netperf's own tables, and what `-v` adds to them or takes away.

use super::*;

#[test]
fn a_stream_is_one_row() {
    assert_eq!(
        lines(&shown(&options(NetperfTest::TcpStream), &stream(19419.26))),
        [
            "Recv   Send    Send                          ",
            "Socket Socket  Message  Elapsed              ",
            "Size   Size    Size     Time     Throughput  ",
            "bytes  bytes   bytes    secs.    10^6bits/sec  ",
            "",
            "131072  16384  16384    1.00     19419.26   ",
        ]
    );
    let asked = unframed(options(NetperfTest::TcpStream));
    assert_eq!(shown(&asked, &stream(20556.74)), "131072  16384  16384    1.00     20556.74   \n");
    let asked = Options { brand: Some("hello".to_owned()), ..asked };
    assert_eq!(
        shown(&asked, &stream(14549.19)),
        "131072  16384  16384    1.00     14549.19   hello\n"
    );
}

#[test]
fn a_stream_backwards_shows_the_far_sender() {
    let remote = EndFigures { send_bytes: Some(8192), ..tcp_end() };
    let figures = figures(tcp_end(), remote, 1e9 / 8.0);
    let text = shown(&with_cpu(NetperfTest::TcpMaerts), &figures);
    let lines = lines(&text);
    assert_eq!(
        lines[..4],
        [
            "Recv   Send    Send                          Utilization       Service Demand",
            "Socket Socket  Message  Elapsed              Recv     Send     Recv    Send",
            "Size   Size    Size     Time     Throughput  local    remote   local   remote",
            "bytes  bytes   bytes    secs.    10^6bits/s  % U      % U      us/KB   us/KB",
        ]
    );
    assert_eq!(
        lines[5],
        "131072  16384   8192    1.00       1000.00   -1.00    -1.00    -1.000  -1.000 "
    );
}

#[test]
fn a_stream_with_cpu_shows_shares_and_cost() {
    let figures = measured(stream(12983.13), Some(100.0), Some(100.0));
    assert_eq!(
        lines(&shown(&with_cpu(NetperfTest::TcpStream), &figures)),
        [
            "Recv   Send    Send                          Utilization       Service Demand",
            "Socket Socket  Message  Elapsed              Send     Recv     Send    Recv",
            "Size   Size    Size     Time     Throughput  local    remote   local   remote",
            "bytes  bytes   bytes    secs.    10^6bits/s  % S      % S      us/KB   us/KB",
            "",
            "131072  16384  16384    1.00       12983.13   100.00   100.00   1.262   1.262  ",
        ]
    );
    let asked = unframed(Options {
        cpu: PerEnd { local: true, remote: false },
        ..with_cpu(NetperfTest::TcpStream)
    });
    assert_eq!(
        shown(&asked, &measured(stream(17177.46), Some(100.0), None)),
        "131072  16384  16384    1.00       17177.46   100.00   -1.00    0.954   -1.000 \n"
    );
}

#[test]
fn sends_that_failed_stand_below_errors() {
    let mut figures = datagrams(0, 0, 1.0, 0.0);
    figures.local.buffers.send = Some(4608);
    figures.local.send_bytes = Some(60_000);
    figures.local.counters.failed_sends = 167_152;
    let text = shown(&options(NetperfTest::UdpStream), &figures);
    assert_eq!(lines(&text)[4], "  4608   60000   1.00            0 167152       0.00");
}

#[test]
fn datagrams_are_two_rows() {
    // The time that netperf rounded to 1.00, from bytes and rate.
    let seconds = 114_835.0 * 65507.0 * 8.0 / 60174.43e6;
    let figures = datagrams(114_835, 70350, seconds, 36863.95);
    assert_eq!(
        lines(&shown(&options(NetperfTest::UdpStream), &figures)),
        [
            "Socket  Message  Elapsed      Messages                ",
            "Size    Size     Time         Okay Errors   Throughput",
            "bytes   bytes    secs            #      #   10^6bits/sec",
            "",
            "212992   65507   1.00       114835      0    60174.43",
            "212992           1.00        70350           36863.95",
            "",
        ]
    );
    let seconds = 95994.0 * 65507.0 * 8.0 / 50212.8e6;
    let figures = datagrams(95994, 58433, seconds, 30565.3);
    assert_eq!(
        lines(&shown(
            &with_cpu(NetperfTest::UdpStream),
            &measured(figures, Some(100.0), Some(100.0))
        )),
        [
            "Socket  Message  Elapsed      Messages                   CPU      Service",
            "Size    Size     Time         Okay Errors   Throughput   Util     Demand",
            "bytes   bytes    secs            #      #   10^6bits/sec % SS     us/KB",
            "",
            "212992   65507   1.00        95994      0    50212.8     100.00   0.326 ",
            "212992           1.00        58433           30565.3     100.00   0.326 ",
            "",
        ]
    );
}

#[test]
fn transactions_are_two_rows() {
    let header = [
        "Local /Remote",
        "Socket Size   Request  Resp.   Elapsed  Trans.",
        "Send   Recv   Size     Size    Time     Rate         ",
        "bytes  Bytes  bytes    bytes   secs.    per sec   ",
        "",
    ];
    for test in [NetperfTest::TcpRr, NetperfTest::TcpCrr, NetperfTest::TcpCc] {
        let text = shown(&options(test), &transactions(68200.34));
        assert_eq!(lines(&text)[..5], header);
        assert_eq!(
            lines(&text)[5..],
            ["16384  131072 1        1       1.00     68200.34   ", "16384  131072"]
        );
    }
    let mut asked = options(NetperfTest::TcpRr);
    asked.unit = Some(Unit::Bits(2));
    asked.data.request_bytes = 16384;
    asked.data.response_bytes = 16384;
    let figures = Figures { bytes_per_second: 24321.35e6 / 8.0, ..transactions(1.0) };
    assert_eq!(
        lines(&shown(&asked, &figures)),
        [
            "Local /Remote",
            "Socket Size   Request  Resp.   Elapsed  ",
            "Send   Recv   Size     Size    Time     Throughput ",
            "bytes  Bytes  bytes    bytes   secs.    10^6bits/sec   ",
            "",
            "16384  131072 16384    16384   1.00     24321.35   ",
            "16384  131072",
        ]
    );
}

#[test]
fn transactions_with_cpu_differ_by_test() {
    let figures = measured(transactions(58512.91), Some(100.0), Some(100.0));
    assert_eq!(
        lines(&shown(&with_cpu(NetperfTest::TcpRr), &figures)),
        [
            "Local /Remote",
            "Socket Size   Request Resp.  Elapsed Trans.   CPU    CPU    S.dem   S.dem",
            "Send   Recv   Size    Size   Time    Rate     local  remote local   remote",
            "bytes  bytes  bytes   bytes  secs.   per sec  % S    % S    us/Tr   us/Tr",
            "",
            "16384  131072 1       1      1.00    58512.91  100.00 100.00 34.180  34.180 ",
            "16384  131072",
        ]
    );
    let figures = measured(transactions(12683.45), Some(53.7295), Some(52.654));
    let text = shown(&with_cpu(NetperfTest::TcpCrr), &figures);
    assert_eq!(
        lines(&text)[3..6],
        [
            "bytes  bytes  bytes   bytes  secs.   per sec  %      %      us/Tr   us/Tr",
            "",
            "16384  131072 1       1      1.00    12683.45   53.73  52.65  84.724  83.028",
        ]
    );
    let text = shown(
        &unframed(with_cpu(NetperfTest::UdpRr)),
        &measured(transactions(21014.95), Some(26.8622), Some(26.8622)),
    );
    assert_eq!(
        lines(&text)[0],
        "16384  131072 1       1      1.00    21014.95   26.86  26.86  25.565  25.565 "
    );
    let asked = Options { unit: Some(Unit::Bits(2)), ..with_cpu(NetperfTest::TcpRr) };
    let text = shown(&asked, &transactions(19375.0));
    assert_eq!(
        lines(&text)[1..4],
        [
            "Socket Size   Request Resp.  Elapsed Tput     CPU    CPU    S.dem   S.dem",
            "Send   Recv   Size    Size   Time    10^6bits local  remote local   remote",
            "bytes  bytes  bytes   bytes  secs.   per sec  % U    % U    us/KB   us/KB",
        ]
    );
}

#[test]
fn verbosity_0_is_one_number() {
    let terse = |asked: Options| Options { verbosity: 0, ..unframed(asked) };
    for (asked, figures, text) in [
        (options(NetperfTest::TcpStream), stream(19121.32), "19121.32 \n"),
        (options(NetperfTest::TcpCrr), transactions(11681.15), "11681.15\n"),
        (options(NetperfTest::UdpStream), datagrams(114_835, 70350, 1.0, 36863.95), "60179.97\n"),
        (
            with_cpu(NetperfTest::TcpStream),
            measured(stream(16260.0), Some(80.0), None),
            " 0.806 S \n",
        ),
        (
            with_cpu(NetperfTest::TcpRr),
            measured(transactions(65926.0), Some(100.0), None),
            "30.337 S \n",
        ),
        (
            with_cpu(NetperfTest::TcpCrr),
            measured(transactions(10000.0), Some(50.0), None),
            "100.000\n",
        ),
    ] {
        assert_eq!(shown(&terse(asked), &figures), text);
    }
    let tagged = Options { brand: Some("hello".to_owned()), ..terse(options(NetperfTest::TcpRr)) };
    assert_eq!(shown(&tagged, &transactions(16641.56)), "16641.56 hello\n");
}

#[test]
fn verbosity_2_adds_alignment_and_calls() {
    let full = |test| Options { verbosity: 2, ..options(test) };
    let mut figures = stream(14533.0);
    figures.local.counters.send_calls = 110_886;
    figures.local.counters.bytes_sent = 1_816_756_224;
    figures.remote.counters.receive_calls = 14748;
    figures.remote.counters.bytes_received = 1_816_756_224;
    assert_eq!(
        lines(&shown(&full(NetperfTest::TcpStream), &figures))[6..],
        [
            "",
            "Alignment      Offset         Bytes    Bytes       Sends   Bytes    Recvs",
            "Local  Remote  Local  Remote  Xfered   Per                 Per",
            "Send   Recv    Send   Recv             Send (avg)          Recv (avg)",
            "    8       8      0       0 1816756224  16384.00    110886   123186.62  14748",
            "",
            "Maximum",
            "Segment",
            "Size (bytes)",
            " 65483",
        ]
    );
    let mut figures = transactions(68999.447);
    figures.local.counters.bytes_sent = 69000;
    figures.local.counters.bytes_received = 69000;
    assert_eq!(
        lines(&shown(&full(NetperfTest::TcpRr), &figures))[7..],
        [
            "Alignment      Offset         RoundTrip  Trans    Throughput",
            "Local  Remote  Local  Remote  Latency    Rate     10^6bits/s",
            "Send   Recv    Send   Recv    usec/Tran  per sec  Outbound   Inbound",
            "    8      0       0      0   14.493   68999.447 0.552     0.552 ",
        ]
    );
    for (test, row) in [
        (NetperfTest::TcpCrr, "    8      8       0       0"),
        (NetperfTest::TcpCc, "    8      0       0      0"),
    ] {
        assert_eq!(
            lines(&shown(&full(test), &transactions(1.0)))[7..],
            [
                "",
                "Alignment      Offset",
                "Local  Remote  Local  Remote",
                "Send   Recv    Send   Recv",
                row
            ]
        );
    }
    assert_eq!(lines(&shown(&full(NetperfTest::UdpRr), &transactions(1.0))).len(), 7);
    let beyond = Options { verbosity: 3, ..options(NetperfTest::TcpStream) };
    assert!(shown(&beyond, &stream(1.0)).starts_with("\nAlignment"));
}

#[test]
fn the_result_of_perf_tests_is_found() {
    // Its expression: \s+\d+\s+\d+\s+\d+\s+\S+\s+(\S+)\s+ and the first match's group.
    let text = banner(&options(NetperfTest::TcpStream), &names())
        + &shown(&options(NetperfTest::TcpStream), &stream(19419.26));
    let words: Vec<&str> = text.split_whitespace().collect();
    let whole = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit());
    let first = words.windows(3).position(|three| three.iter().all(whole)).unwrap();
    assert_eq!(words[first + 4], "19419.26");
    // PerfKitBenchmarker wants a blank behind the last number.
    assert!(text.ends_with(" \n"));
    // super_netperf counts lines from the banner: the seventh is the row, the sixth is blank.
    let lines = lines(&text);
    assert_eq!((lines[5], lines[6].split_whitespace().last()), ("", Some("19419.26")));
    let text = banner(&options(NetperfTest::UdpStream), &names())
        + &shown(&options(NetperfTest::UdpStream), &datagrams(9, 8, 1.0, 36863.95));
    assert_eq!(text.lines().nth(6).unwrap().split_whitespace().last(), Some("36863.95"));
}
