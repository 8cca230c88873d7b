//! Quantities are parsed exactly, printed so that they parse back, or refused with what is allowed.

use proptest::prelude::*;

use super::*;

#[test]
fn sizes_count_in_powers_of_1024() {
    for (text, bytes) in [
        ("0", 0),
        ("1448", 1448),
        ("1448B", 1448),
        ("128K", 128 << 10),
        ("128k", 128 << 10),
        ("128 KiB", 128 << 10),
        ("128kb", 128 << 10),
        ("4Mi", 4 << 20),
        ("1.5M", 3 << 19),
        ("0.5K", 512),
        ("2G", 2 << 30),
        ("1T", 1 << 40),
        ("18446744073709551615", u64::MAX),
    ] {
        assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
    }
}

#[test]
fn what_is_no_size_is_refused_and_told_what_is_allowed() {
    for text in [
        "",
        " ",
        "K",
        "-5",
        "+5",
        "4x",
        "4K ",
        " 4K",
        "4  K",
        "4KK",
        "4kbit",
        "1.K",
        ".5K",
        "1.5",
        "0.3K",
        "1e3",
        "1,5M",
        "0x10",
        "٤",
        "18446744073709551616",
        "16777216T",
        "999999999999999999999999999999999999999999",
    ] {
        let error = text.parse::<Bytes>().expect_err(text).to_string();
        assert!(error.starts_with("allowed: a whole number of bytes below 2^64"), "{error}");
    }
}

#[test]
fn rates_count_in_powers_of_1000() {
    for (text, rate) in [
        ("64000", 64_000),
        ("10G", 10_000_000_000),
        ("2.5Gbit/s", 2_500_000_000),
        ("9.41 gbps", 9_410_000_000),
        ("100Mbit", 100_000_000),
        ("0.5k", 500),
        ("1T", 1_000_000_000_000),
    ] {
        assert_eq!(text.parse(), Ok(BitRate(rate)), "{text}");
    }
    for text in ["", "10GB", "10Gi", "10Gb", "-1", "0.0005K", "1.5", "bit/s", "20000000T"] {
        let error = text.parse::<BitRate>().expect_err(text).to_string();
        assert!(error.starts_with("allowed: a whole number of bits per second"), "{error}");
    }
}

#[test]
fn quantities_print_in_their_largest_exact_unit() {
    assert_eq!(Bytes(128 << 10).to_string(), "128 KiB");
    assert_eq!(Bytes(3 << 19).to_string(), "1536 KiB");
    assert_eq!(Bytes(1449).to_string(), "1449 B");
    assert_eq!(Bytes(0).to_string(), "0 B");
    assert_eq!(BitRate(9_410_000_000).to_string(), "9.41 Gbit/s");
    assert_eq!(BitRate(1_000_000).to_string(), "1 Mbit/s");
    assert_eq!(BitRate(1_001).to_string(), "1.001 Kbit/s");
    assert_eq!(BitRate(999).to_string(), "999 bit/s");
}

#[test]
fn a_bare_time_is_in_seconds() {
    for (text, milliseconds) in [
        ("10", 10_000),
        ("0.5", 500),
        (".5", 500),
        (".25s", 250),
        ("10s", 10_000),
        ("1.5s", 1_500),
        ("1.5m", 90_000),
        ("500ms", 500),
        ("2m", 120_000),
        ("1h", 3_600_000),
        ("1h 30m", 5_400_000),
        ("0", 0),
    ] {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
    }
    for text in ["", "-1", "+1", "ten", "10x", "0.0000000001", "1e3", "s", "inf", "NaN"] {
        let error = parse_duration(text).expect_err(text).to_string();
        assert!(error.starts_with("allowed: a time such as 10"), "{error}");
    }
    assert!(parse_duration("99999999999999999999999").is_err());
}

#[test]
fn counts_and_frequencies_take_no_junk() {
    assert_eq!(parse_count::<u32>("16"), Ok(16));
    for text in ["", "-1", "+4", "4x", "4 ", "1.0", "0x4", "4294967296"] {
        let error = parse_count::<u32>(text).expect_err(text).to_string();
        assert_eq!(error, "allowed: a whole number without sign or unit, below 2^32");
    }
    assert_eq!(parse_frequency("2.5K/s"), Ok(2_500.0));
    assert_eq!(parse_frequency("1M"), Ok(1e6));
    for text in ["", "-1", "1e9", "1x", "inf", "NaN", "1Kbit/s"] {
        assert!(parse_frequency(text).is_err(), "{text}");
    }
}

#[test]
fn seconds_in_json_survive_and_negative_ones_are_refused() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder(#[serde(with = "seconds")] Duration);
    let text = serde_json::to_string(&Holder(Duration::from_millis(1_500))).unwrap();
    assert_eq!(text, "1.5");
    assert_eq!(
        serde_json::from_str::<Holder>(&text).unwrap(),
        Holder(Duration::from_millis(1_500))
    );
    assert!(serde_json::from_str::<Holder>("-1").is_err());
    assert!(serde_json::from_str::<Holder>("1e300").is_err());
}

proptest! {
    #[test]
    fn printed_sizes_parse_back(value: u64) {
        prop_assert_eq!(Bytes(value).to_string().parse(), Ok(Bytes(value)));
    }

    #[test]
    fn printed_round_sizes_parse_back(value in 0_u64..1024, power in 0_u32..5) {
        let bytes = Bytes(value << (10 * power));
        prop_assert_eq!(bytes.to_string().parse(), Ok(bytes));
    }

    #[test]
    fn printed_rates_parse_back(value: u64) {
        prop_assert_eq!(BitRate(value).to_string().parse(), Ok(BitRate(value)));
    }

    #[test]
    fn printed_durations_parse_back(seconds: u32, nanoseconds in 0..1_000_000_000_u32) {
        let value = Duration::new(seconds.into(), nanoseconds);
        let text = humantime::format_duration(value).to_string();
        prop_assert_eq!(parse_duration(&text), Ok(value));
    }

    #[test]
    fn no_text_panics(text in "\\PC*", number in "[0-9.]{0,50}[ a-zA-Z/é]{0,8}") {
        for text in [text, number] {
            let _ = text.parse::<Bytes>();
            let _ = text.parse::<BitRate>();
            let _ = parse_duration(&text);
            let _ = parse_frequency(&text);
            let _ = parse_count::<u32>(&text);
        }
    }
}

#[test]
fn a_measured_rate_and_a_time_choose_their_unit() {
    let rates = [0.0, 512.0, 512e3, 999_999_999.0, 18.2e9, 3e12];
    assert_eq!(
        rates.map(rate_text),
        [
            "0.000 kbit/s",
            "0.512 kbit/s",
            "512.000 kbit/s",
            "1000.000 Mbit/s",
            "18.200 Gbit/s",
            "3000.000 Gbit/s"
        ]
    );
    assert_eq!([17.2, 6_122.0, 1.2e6].map(time_text), ["17 µs", "6.12 ms", "1.20 s"]);
}
