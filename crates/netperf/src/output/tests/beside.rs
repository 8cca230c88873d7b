//! What comes before and behind a table: warnings, interim results, histogram, percentiles.

use super::*;

#[test]
fn missed_confidence_is_warned_of_in_tables_alone() {
    let confidence = Some(Confidence {
        iterations: 3,
        throughput_percent: 315.854,
        local_cpu_percent: 0.0,
        remote_cpu_percent: 0.0,
        reached: false,
    });
    let figures = Figures { confidence, ..transactions(46902.26) };
    assert_eq!(
        lines(&shown(&unframed(options(NetperfTest::TcpRr)), &figures)),
        [
            "!!! WARNING",
            "!!! Desired confidence was not achieved within the specified iterations.",
            "!!! This implies that there was variability in the test environment that",
            "!!! must be investigated before going further.",
            "!!! Confidence intervals: Throughput      : 315.854%",
            "!!!                       Local CPU util  : 0.000%",
            "!!!                       Remote CPU util : 0.000%",
            "",
            "16384  131072 1        1       1.00     46902.26   ",
            "16384  131072",
        ]
    );
    let chosen = ["CONFIDENCE_ITERATION", "THROUGHPUT_CONFID"];
    let asked = selecting(options(NetperfTest::TcpRr), Format::KeyValue, Some(&[&chosen]));
    assert_eq!(shown(&asked, &figures), "CONFIDENCE_ITERATION=3\nTHROUGHPUT_CONFID=315.854\n");
}

#[test]
fn interim_results_come_in_the_form_of_the_selection() {
    let reading = Interim {
        number: 0,
        bytes: 2_288_904_375,
        transactions: 0,
        seconds: 0.5,
        ending_seconds: 1_795_390_642.051,
    };
    let asked = options(NetperfTest::TcpStream);
    let human = "Interim result: 36622.47 10^6bits/s over 0.500 seconds ending at 1795390642.051\n";
    assert_eq!(interim(&asked, &reading), human);
    assert_eq!(interim(&selecting(asked.clone(), Format::Human, None), &reading), human);
    assert_eq!(
        interim(&selecting(asked.clone(), Format::KeyValue, None), &reading),
        "NETPERF_INTERIM_RESULT[0]=36622.47\nNETPERF_UNITS[0]=10^6bits/s\n\
         NETPERF_INTERVAL[0]=0.500\nNETPERF_ENDING[0]=1795390642.051\n"
    );
    let gigabytes = Options { unit: Some(Unit::Bytes(3)), ..asked };
    assert_eq!(
        interim(&selecting(gigabytes, Format::Csv, None), &reading),
        "   4.26,GBytes/s,0.500,1795390642.051\n"
    );
    let reading = Interim { transactions: 9244, seconds: 0.647, ..reading };
    assert_eq!(
        interim(&options(NetperfTest::TcpRr), &reading),
        "Interim result: 14287.48 Trans/s over 0.647 seconds ending at 1795390642.051\n"
    );
}

#[test]
fn the_dump_of_tcp_info_is_netperfs() {
    let info = RawTcpInfo {
        rto: 204_000,
        pmtu: 65535,
        rcv_ssthresh: 65495,
        rtt: 27,
        rttvar: 17,
        snd_ssthresh: 8,
        snd_cwnd: 16,
        reordering: 15,
        ..RawTcpInfo::default()
    };
    assert_eq!(
        tcp_info(&info),
        "tcpi_rto 204000 tcpi_ato 0 tcpi_pmtu 65535 tcpi_rcv_ssthresh 65495\n\
         tcpi_rtt 27 tcpi_rttvar 17 tcpi_snd_ssthresh 8 tpci_snd_cwnd 16\n\
         tcpi_reordering 15 tcpi_total_retrans 0\n"
    );
}

#[test]
fn the_histogram_has_a_row_a_decade() {
    let latency =
        latencies(&[(3, 2), (12, 3814), (99, 546), (100, 391), (1500, 1), (11_000_000, 7)]);
    let asked = Options { verbosity: 2, ..options(NetperfTest::TcpRr) };
    let figures = Figures { latency: Some(latency), ..transactions(19170.0) };
    let block = [
        "",
        "Histogram of request/response times",
        "UNIT_USEC     :    0:    0:    0:    2:    0:    0:    0:    0:    0:    0",
        "TEN_USEC      :    0: 3814:    0:    0:    0:    0:    0:    0:    0:  546",
        "HUNDRED_USEC  :    0:  391:    0:    0:    0:    0:    0:    0:    0:    0",
        "UNIT_MSEC     :    0:    1:    0:    0:    0:    0:    0:    0:    0:    0",
        "TEN_MSEC      :    0:    0:    0:    0:    0:    0:    0:    0:    0:    0",
        "HUNDRED_MSEC  :    0:    0:    0:    0:    0:    0:    0:    0:    0:    0",
        "UNIT_SEC      :    0:    0:    0:    0:    0:    0:    0:    0:    0:    0",
        "TEN_SEC       :    0:    7:    0:    0:    0:    0:    0:    0:    0:    0",
        ">100_SECS: 0",
        "HIST_TOTAL:       4761",
    ];
    assert_eq!(lines(&shown(&asked, &figures))[11..], block);
    // PerfKitBenchmarker reads it behind selected figures, from one word to the other.
    let text = shown(&selecting(asked, Format::Csv, Some(&[&["P50_LATENCY"]])), &figures);
    let rows = &text[text.find("UNIT_USEC").unwrap()..text.find(">100_SECS").unwrap()];
    for row in rows.lines() {
        let cells: Vec<u64> =
            row.split(':').skip(1).map(|cell| cell.trim().parse().unwrap()).collect();
        assert_eq!(cells.len(), 10);
    }
    assert_eq!(rows.lines().count(), 8);
    let streamed =
        selecting(Options { verbosity: 2, ..options(NetperfTest::TcpStream) }, Format::Csv, None);
    assert!(shown(&streamed, &figures).contains("\nHistogram of send times\n"));
}

#[test]
fn percentiles_follow_the_table() {
    let mut asked = unframed(options(NetperfTest::TcpRr));
    asked.percentiles = vec![50.0, 99.9];
    let latency = Some(latencies(&[(10, 999), (500, 1)]));
    let text = shown(&asked, &Figures { latency, ..transactions(1.0) });
    assert_eq!(
        lines(&text)[2..],
        [
            "",
            "Percentile  Latency",
            "%           Microseconds",
            "50          10.007",
            "99.9        10.007"
        ]
    );
}
