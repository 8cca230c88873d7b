//! Services that lead somewhere at once, later, or never.

use serde_json::{Value, json};

use super::*;
use crate::plan::targets::{PodAddresses, ServiceAddresses};
use crate::testing::{Server as Api, laid_out, refusal, strings};

fn list(items: Value) -> (u16, Value) {
    (200, json!({"metadata": {}, "items": items}))
}

/// A slice with one endpoint that is `ready` or says nothing of it.
fn slice(ready: &Value) -> Value {
    json!({"metadata": {"name": "s"}, "addressType": "IPv4", "ports": [],
           "endpoints": [{"addresses": ["10.1.0.1"], "conditions": {"ready": ready}}]})
}

/// Waits where every Service was made.
async fn waited(api: &Api, line: &str, known: &KnownAddresses) -> Result<(), String> {
    let (settings, layout) = laid_out(line);
    let mut known = known.clone();
    for replica in &layout.services {
        for family in targets::families(&settings) {
            let name = service_name(&settings.run_id, *replica, family);
            known.services.insert(name, ServiceAddresses::default());
        }
    }
    waited_for(api, line, &known).await
}

async fn waited_for(api: &Api, line: &str, known: &KnownAddresses) -> Result<(), String> {
    let (settings, layout) = laid_out(line);
    let progress = ProgressLine::new(true);
    let ended = wait(&api.cluster, &settings, &layout, known, &progress).await;
    ended.map_err(|error| error.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_service_is_waited_for_until_an_endpoint_is_ready() {
    for ready in [json!(true), json!(null)] {
        let api = Api::new(move |_, before| match before {
            0 => list(json!([])),
            1 => list(json!([slice(&json!(false))])),
            _ => list(json!([slice(&ready)])),
        });
        assert_eq!(waited(&api, "--scenarios clusterip", &KnownAddresses::default()).await, Ok(()));
        let asked = api.asked();
        assert_eq!(asked.len(), 3);
        assert!(asked[0].contains("/discovery.k8s.io/v1/namespaces/podperf/endpointslices"));
        assert!(asked[0].contains("service-name%3Dpodperf-r1-server-0"), "{asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn endpoints_stand_in_where_there_are_no_slices() {
    for code in [404, 403] {
        let api = Api::new(move |(_, path, _), before| {
            if path.contains("endpointslices") {
                return refusal(code, "Refused", "no slices");
            }
            let subsets = match before {
                1 => json!(null),
                3 => json!([{"notReadyAddresses": [{"ip": "10.1.0.1"}]}]),
                _ => json!([{"addresses": [{"ip": "10.1.0.1"}]}]),
            };
            (200, json!({"metadata": {"name": "s"}, "subsets": subsets}))
        });
        assert_eq!(waited(&api, "--scenarios nodeport", &KnownAddresses::default()).await, Ok(()));
        assert_eq!(api.asked().len(), 6, "{code}");
        assert_eq!(api.asked()[5], "GET /api/v1/namespaces/podperf/endpoints/podperf-r1-server-0");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_leads_nowhere_is_named_when_the_time_is_over() {
    let started = Instant::now();
    let api = Api::new(|_, _| list(json!([])));
    let line = "--scenarios clusterip --pairs 2 --ready-timeout 3";
    let refusal = waited(&api, line, &KnownAddresses::default()).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    for part in [
        "no endpoint within 3s behind podperf-r1-server-0, podperf-r1-server-1",
        "controller of endpoints",
        "--ready-timeout",
    ] {
        assert!(refusal.contains(part), "no {part:?} in {refusal}");
    }
    let broken = Api::new(|_, _| crate::testing::refusal(401, "Unauthorized", "who?"));
    let refusal = waited(&broken, line, &KnownAddresses::default()).await.unwrap_err();
    assert!(refusal.contains("Service podperf-r1-server-0") && refusal.contains("who?"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_waited_for_that_cannot_come() {
    let api = Api::new(|_, _| list(json!([])));
    // No Service; a hairpin's server, which comes with its client; a family without an address.
    for line in ["--scenarios pod", "--scenarios hairpin"] {
        assert_eq!(waited(&api, line, &KnownAddresses::default()).await, Ok(()), "{line}");
    }
    let mut known = KnownAddresses::default();
    let pod = PodAddresses { addresses: strings(&["10.1.0.1"]), host_addresses: Vec::new() };
    known.pods.insert("podperf-r1-server-0".to_owned(), pod);
    assert_eq!(waited(&api, "--scenarios clusterip --ip-family 6", &known).await, Ok(()));
    // A Service that the cluster refused.
    assert_eq!(waited_for(&api, "--scenarios clusterip", &KnownAddresses::default()).await, Ok(()));
    assert!(api.asked().is_empty());
    let ready = Api::new(|_, _| list(json!([slice(&json!(true))])));
    assert_eq!(waited(&ready, "--scenarios clusterip --ip-family both", &known).await, Ok(()));
    assert_eq!(ready.asked().len(), 1, "that of IPv4");
}
