//! The JSON document.

use super::*;

#[test]
fn json_says_its_units() {
    let mut asked = with_cpu(NetperfTest::TcpRr);
    asked.json = true;
    asked.percentiles = vec![99.0, 75.0];
    let figures = captured();
    let text = shown(&asked, &figures);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["schema"], SCHEMA);
    assert_eq!(document["options"]["test"], "TCP_RR");
    assert_eq!(document["options"]["length_seconds"], 1);
    assert_eq!(document["transactions_per_second"], 18630.721);
    assert_eq!(document["throughput_bits_per_second"], 18630.721 * 16.0);
    assert_eq!(document["latency"]["count"], 10_000);
    assert_eq!(document["latency"]["max_us"], 3217.0);
    let percents: Vec<f64> = document["latency"]["quantiles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|quantile| quantile["percent"].as_f64().unwrap())
        .collect();
    assert_eq!(percents, [50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99]);
    assert_eq!(document["local"]["cpu"]["busy_percent"], 34.9);
    assert_eq!(document["local"]["send_buffer"]["end_bytes"], 4_194_304);
    assert!(document["local"]["service_demand_us_per_transaction"].as_f64().unwrap() > 37.0);
    assert!(document["local"]["service_demand_us_per_kib"].is_null());
    assert!(document["confidence"].is_null());
}
