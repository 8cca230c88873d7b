//! How words are read, and numbers in them.

use podperf_model::AddressFamily;
use proptest::prelude::*;

use super::*;

#[test]
fn words_are_read_as_getopt_reads_them() {
    let options = quiet("-cCj -P0 -v2 bare -H127.0.0.1 -H last -dd more -- -DC word -m1K -m 2K");
    assert_eq!(options.cpu, pair(true, true));
    assert_eq!((options.header, options.verbosity, options.debug), (false, 2, 2));
    assert_eq!(options.host, "last");
    assert!(options.data.no_delay && options.data.cork);
    assert_eq!(options.data.send_bytes.local, Some(2048));
    assert_eq!(quiet("host -p 1").host, "localhost");
    assert_eq!(quiet("-c 2400 -H h").host, "h", "a CPU rate is a value of -c");
    assert!(quiet("-c -C -j").statistics);
    assert_eq!(quiet("-B =x").brand.as_deref(), Some("=x"));
    assert_eq!(quiet("-B=x").brand.as_deref(), Some("=x"));
    assert_eq!(quiet("-H --").host, "--", "a value is a value, whatever it is");
    assert!(quiet("-- -k -D").data.no_delay, "-D is no list");
    assert_eq!(quiet("-- -k").data.selection.unwrap().blocks, None);
    assert_eq!(quiet("-- -- -D"), Options { command_line: "netperf -- -- -D".into(), ..quiet("") });
}

#[test]
fn what_is_not_known_stops_the_run_before_the_mark_and_not_behind_it() {
    let refused = refusal("-Q");
    assert!(refused.err.starts_with("netperf: invalid option -- 'Q'\n\nUsage: netperf "));
    assert_eq!((refused.out.as_str(), refused.status), ("", 1));
    let refused = refusal("-H");
    assert!(refused.err.starts_with("netperf: option requires an argument -- 'H'\n"));
    assert!(refusal("--what=ever").err.starts_with("netperf: unrecognized option '--what'\n"));
    let options = run(&words("-- -xD --long=3 -C -m"));
    assert_eq!(
        options.notes,
        [
            "netperf: invalid option -- 'x'",
            "netperf: unrecognized option '--long'",
            "netperf: option requires an argument -- 'm'",
        ]
    );
    assert!(options.data.no_delay && options.data.cork);
    assert_eq!(refusal("-- --json").err, "netperf: --json stands before --, not behind\n");
    assert!(refusal("-N").err.contains("leave -N out"));
    let not_utf8 = [OsString::from("-H"), OsString::from_vec(vec![0xff])];
    let Err(refusal) = netperf(&not_utf8) else { panic!("read") };
    assert!(refusal.err.ends_with(" is not UTF-8\n"));
}

#[test]
fn pairs_come_in_two_families() {
    let options = quiet("-T 1 -Y ef,cs1 -y ,3 -p 1,2 -W 4, -a 16 -O 5");
    assert_eq!(options.cpus, pair(Some(1), Some(1)));
    assert_eq!(options.tos, pair(Some(0xb8), Some(0x20)));
    assert_eq!(options.priority, pair(None, Some(3)));
    assert_eq!(options.ports, pair(2, 1));
    assert_eq!(options.layout.width, pair(Some(4), None));
    assert_eq!(options.layout.align, pair(16, 8));
    assert_eq!(options.layout.offset, pair(0, 5));
    assert_eq!(quiet("-T ,2").cpus, pair(None, Some(2)));
    assert_eq!(quiet("-p ,9").ports, pair(9, 12865));
    let options = quiet("-H ::1,6 -- -r ,5 -M ,7 -K ,reno -p ,6000 -H d,inet6");
    assert_eq!((options.host.as_str(), options.family), ("::1", Some(AddressFamily::V6)));
    let data = options.data;
    assert_eq!((data.request_bytes, data.response_bytes), (1, 5));
    assert_eq!(data.receive_bytes, pair(Some(7), None));
    assert_eq!(data.congestion_control, pair(None, Some("reno".to_owned())));
    assert_eq!(data.client_ports, Some((5000, 6000)));
    assert_eq!((data.host.as_deref(), data.family), (Some("d"), Some(AddressFamily::V6)));
}

#[test]
fn numbers_mean_what_netperf_means_or_nothing() {
    for (word, bytes) in [("10", 10), ("64K", 65_536), ("2M", 2 << 20), ("1G", 1 << 30)] {
        assert_eq!(quiet(&format!("-- -m {word}")).data.send_bytes.local, Some(bytes), "{word}");
    }
    for (word, bytes) in [("3k", 3000), ("1m", 1_000_000), ("2g", 2_000_000_000), ("1KB", 1024)] {
        assert_eq!(quiet(&format!("-- -m {word}")).data.send_bytes.local, Some(bytes), "{word}");
    }
    for word in ["0", "-1"] {
        assert_eq!(quiet(&format!("-- -s {word}")).data.buffers.local, Buffers::default());
    }
    for line in ["-- -m 4G", "-- -s 4194304K", "-- -m 99999999999999999999", "-- -m 1GGGGGGG"] {
        assert!(refusal(line).err.contains("more than"), "{line}");
    }
    for line in ["-- -m 0.5", "-- -m 1K5", "-- -m abc", "-- -m 5x", "-- -m -5", "-- -r 0", "-v x"] {
        assert_eq!(refusal(line).status, 1, "{line}");
    }
    for (word, length) in [
        ("10s", TestLength::Time(Duration::from_secs(10))),
        ("1.0", TestLength::Time(Duration::from_secs(1))),
        ("0", TestLength::UntilTold),
        ("-1M", TestLength::Units(1 << 20)),
        ("-5", TestLength::Units(5)),
    ] {
        assert_eq!(quiet(&format!("-l {word}")).length, length, "{word}");
    }
    for word in ["0.5", "1m0s", "1m", "1h", "100ms", "-0.5", "4294967296", "-4G", "x"] {
        let refused = refusal(&format!("-l {word}"));
        assert!(refused.err.starts_with(&format!("netperf: -l {word}: ")), "{refused:?}");
        assert_eq!((refused.out.as_str(), refused.status), ("", 1));
    }
    for line in ["-D 0", "-D x", "-D inf", "-D -nan", "-w 5x -b 1", "-Y 256", "-Y no", "-f q"] {
        assert_eq!(refusal(line).status, 1, "{line}");
    }
    for (word, octet) in [("AF11", 0x28), ("af43", 0x98), ("CS7", 0xe0), ("010", 8), ("255", 255)] {
        assert_eq!(quiet(&format!("-Y {word}")).tos, pair(Some(octet), Some(octet)), "{word}");
    }
}

fn any_word() -> impl Strategy<Value = OsString> {
    prop_oneof![
        "[0-9]{0,22}[.,]?[0-9KMGkmgsx]{0,4}".prop_map(OsString::from),
        "-{1,2}[a-zA-Z0-9=]{0,4}[,0-9-]{0,3}".prop_map(OsString::from),
        "--(json|streams|native|percentiles|data-port|idle-timeout)(=[0-9.,-]{0,6})?"
            .prop_map(OsString::from),
        Just(OsString::from("--")),
        ".{0,8}".prop_map(OsString::from),
        prop::collection::vec(any::<u8>(), 0..6).prop_map(OsString::from_vec),
    ]
}

proptest! {
    #[test]
    fn no_words_panic(words in prop::collection::vec(any_word(), 0..12)) {
        for refusal in [netperf(&words).err(), netserver(&words).err()].into_iter().flatten() {
            prop_assert!(!refusal.out.is_empty() || !refusal.err.is_empty());
        }
    }

    #[test]
    fn a_size_is_its_digits_times_its_letter(number in 0_u64..1 << 40, letter in "[KMGkmg]?") {
        let factor: u64 = match letter.as_str() {
            "K" => 1024, "M" => 1 << 20, "G" => 1 << 30,
            "k" => 1000, "m" => 1_000_000, "g" => 1_000_000_000,
            _ => 1,
        };
        let size = number::size(&format!("{number}{letter}"));
        prop_assert_eq!(size.ok(), number.checked_mul(factor));
    }

    #[test]
    fn any_test_and_word_reach_both_sets(word in any_word(), letter in "[a-zA-Z0-9]") {
        for before in [true, false] {
            let option = OsString::from(format!("-{letter}"));
            let mut words = vec![option, word.clone()];
            if !before {
                words.insert(0, "--".into());
            }
            let _ = netperf(&words);
        }
    }
}
