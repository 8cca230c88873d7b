//! Figures by their names, and the rules by which netperf's users read them.

use super::*;

#[test]
fn selected_figures_come_as_netperf_prints_them() {
    let asked = unframed(options(NetperfTest::TcpStream));
    let figures = stream(33917.09);
    let odd: &[&[&str]] = &[&["THROUGHPUT", "BOGUS_NAME", "elapsed_time"]];
    let show = |asked: &Options, format, blocks| {
        shown(&selecting(asked.clone(), format, Some(blocks)), &figures)
    };
    assert_eq!(show(&asked, Format::Csv, odd), "33917.09,, 1.00\n");
    assert_eq!(show(&asked, Format::KeyValue, odd), "THROUGHPUT=33917.09\nELAPSED_TIME=1.00\n");
    let two: &[&[&str]] = &[&["THROUGHPUT", "THROUGHPUT_UNITS"], &["ELAPSED_TIME"]];
    assert_eq!(show(&asked, Format::Human, two), "33917.09   10^6bits/s  \n\n1.00    \n");
    assert_eq!(show(&asked, Format::Csv, two), "33917.09,10^6bits/s,1.00\n");

    let titled = options(NetperfTest::TcpStream);
    assert_eq!(show(&titled, Format::Csv, odd), "Throughput,Elapsed Time (sec)\n33917.09,, 1.00\n");
    let empty: &[&[&str]] = &[&["OUTPUT_NONE", "THROUGHPUT", "RESULT_BRAND"]];
    assert_eq!(show(&titled, Format::Csv, empty), " ,Throughput,Result Tag\n ,33917.09,,\n");
    let empty: &[&[&str]] = &[&[
        "OUTPUT_NONE",
        "THROUGHPUT",
        "RESULT_BRAND",
        "LOCAL_FILL_FILE",
        "OUTPUT_END",
        "PROTOCOL",
    ]];
    assert_eq!(
        lines(&show(&titled, Format::Human, empty)),
        [
            "   Throughput Result Local ",
            "              Tag    Fill  ",
            "                     File  ",
            "                           ",
            "   33917.09                ",
        ]
    );
    let branded = Options { brand: Some("tag".to_owned()), ..titled };
    assert_eq!(
        show(&branded, Format::KeyValue, empty),
        "OUTPUT_NONE= \nTHROUGHPUT=33917.09\nRESULT_BRAND=\"tag\"\nLOCAL_FILL_FILE=\n"
    );
    let unknown: &[&[&str]] = &[&["THROUGHPUT", "BOGUS", "PROTOCOL", "RESULT_BRAND"]];
    assert_eq!(
        lines(&shown(
            &selecting(options(NetperfTest::TcpStream), Format::Human, Some(unknown)),
            &figures
        ))[0],
        "Throughput  Protocol Result "
    );
}

#[test]
fn without_a_list_the_direction_chooses() {
    let asked = options(NetperfTest::Omni);
    assert_eq!(
        lines(&shown(&asked, &stream(14531.97))),
        [
            "Local       Remote      Local  Elapsed Throughput Throughput  ",
            "Send Socket Recv Socket Send   Time               Units       ",
            "Size        Size        Size   (sec)                          ",
            "Final       Final                                             ",
            "4194304     131072      16384  1.00    14531.97   10^6bits/s  ",
        ]
    );
    let asked = selecting(options(NetperfTest::TcpMaerts), Format::Csv, None);
    assert!(shown(&asked, &stream(1.0)).starts_with(
        "Remote Send Socket Size Final,Local Recv Socket Size Final,Remote Send Size,"
    ));
    let asked = selecting(unframed(options(NetperfTest::TcpRr)), Format::Csv, None);
    assert_eq!(
        shown(&asked, &transactions(72526.25)),
        "4194304,131072,131072,4194304,1,1,1.00,72526.25,Trans/s\n"
    );
    let asked = selecting(unframed(with_cpu(NetperfTest::TcpRr)), Format::KeyValue, None);
    let text = shown(&asked, &measured(transactions(2000.0), Some(50.0), None));
    assert_eq!(lines(&text).len(), 9 + 17);
    assert!(text.ends_with("LOCAL_SD=500.000\nREMOTE_SD=-1.000\nSD_UNITS=usec/Tran\n"));
    assert!(text.contains("REMOTE_CPU_UTIL=-1.00\n"));
}

/// Every digit of a text as `#`, and where `run` is set every row of them as one.
fn masked(text: &str, run: bool) -> String {
    let mut masked = String::new();
    for char in text.chars() {
        let digit = char.is_ascii_digit();
        if !(run && digit && masked.ends_with('#')) {
            masked.push(if digit { '#' } else { char });
        }
    }
    masked
}

fn all_of(captured_text: &str, format: Format, flag: &str, run: bool) {
    let uuid = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
    let mut asked = selecting(with_cpu(NetperfTest::TcpRr), format, Some(&[&["all"]]));
    asked.command_line =
        format!("netperf -p 22311 -H 127.0.0.1 -l 1 -t TCP_RR -c -C -- -{flag} all");
    let facts = Facts { uuid: uuid.to_owned(), names: names() };
    let ours = banner(&asked, &names()) + &result(&asked, &captured(), &facts);
    // The one figure that is no number and never the same.
    let at = captured_text.find("-11f1-").expect("a UUID") - 13;
    let theirs = captured_text.replace(&captured_text[at..at + 36], uuid);
    for (ours, theirs) in masked(&ours, run).lines().zip(masked(&theirs, run).lines()) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
}

#[test]
fn all_figures_stand_where_netperf_has_them() {
    let human = include_str!("../../../tests/fixtures/netperf/tcp_rr_all_human.txt");
    let csv = include_str!("../../../tests/fixtures/netperf/tcp_rr_all_csv.txt");
    let key_value = include_str!("../../../tests/fixtures/netperf/tcp_rr_all_key_value.txt");
    all_of(human, Format::Human, "O", false);
    all_of(csv, Format::Csv, "o", true);
    all_of(key_value, Format::KeyValue, "k", true);
}

#[test]
fn the_listing_has_every_name_once() {
    let text = listing(Format::KeyValue);
    let names: Vec<&str> = text.trim_end().split(',').collect();
    assert_eq!((names[0], names[names.len() - 1]), ("OUTPUT_NONE", "OUTPUT_END"));
    assert_eq!(names.len(), 175 + 3);
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len());
    assert!(names.iter().all(|name| is_name(&name.to_lowercase())));
    assert!(!is_name("elapsed time (sec)") && !is_name("BOGUS"));
    assert_eq!(listing(Format::Human).lines().count(), names.len());
}

#[test]
fn latency_is_wanted_where_it_is_shown() {
    let asked = options(NetperfTest::TcpStream);
    assert!(!wants_latency(&asked));
    assert!(wants_latency(&Options { statistics: true, ..asked.clone() }));
    assert!(wants_latency(&Options { json: true, ..asked.clone() }));
    assert!(wants_latency(&Options { verbosity: 2, ..asked.clone() }));
    assert!(wants_latency(&Options { percentiles: vec![99.9], ..asked.clone() }));
    for (name, wanted) in [
        ("p99_latency", true),
        ("P9999_LATENCY", true),
        ("all", true),
        ("RT_LATENCY", false),
        ("THROUGHPUT", false),
    ] {
        let asked = selecting(asked.clone(), Format::Csv, Some(&[&[name]]));
        assert_eq!(wants_latency(&asked), wanted, "{name}");
    }
}

#[test]
fn readers_of_selected_figures_find_theirs() {
    // Cilium: one line starts with a digit and has nine fields.
    let names: &[&[&str]] = &[&[
        "MIN_LATENCY",
        "MEAN_LATENCY",
        "MAX_LATENCY",
        "P50_LATENCY",
        "P90_LATENCY",
        "P99_LATENCY",
        "TRANSACTION_RATE",
        "THROUGHPUT",
        "THROUGHPUT_UNITS",
    ]];
    let latency = Some(latencies(&[(3, 5), (9, 1)]));
    let asked = selecting(options(NetperfTest::TcpStream), Format::Csv, Some(names));
    let text = shown(&asked, &Figures { latency, ..stream(940.0) });
    let rows: Vec<&str> =
        text.lines().filter(|line| line.starts_with(|char: char| char.is_ascii_digit())).collect();
    assert_eq!(rows, ["3,4.00,9,3,9,9,1.000,940.00,10^6bits/s"]);
    // k8s-netperf: literal -1.000 for streams, -1 for retransmissions of UDP.
    let names: &[&[&str]] = &[&["rt_latency", "p99_latency", "local_transport_retrans"]];
    let asked = selecting(options(NetperfTest::UdpStream), Format::KeyValue, Some(names));
    let mut figures = datagrams(9, 8, 1.0, 1.0);
    figures.local.socket.retransmits = Some(0);
    assert_eq!(
        shown(&asked, &figures),
        "RT_LATENCY=-1.000\nP99_LATENCY=-1\nLOCAL_TRANSPORT_RETRANS=-1\n"
    );
}
