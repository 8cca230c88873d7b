//! Waits until Services have endpoints.

use std::time::Duration;

use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::time::{Instant, sleep};

use crate::cluster::api::Cluster;
use crate::cluster::failure::{ApiFailure, DuringRequest as _};
use crate::plan::layout::{Replica, RunLayout};
use crate::plan::manifest::service_name;
use crate::plan::path::ServerRole;
use crate::plan::settings::Settings;
use crate::plan::targets::{self, KnownAddresses};
use crate::progress::ProgressLine;
use podperf_model::AddressFamily;
use podperf_model::error::{Code, Error, Kind, Result};

const POLL_INTERVAL: Duration = Duration::from_millis(400);

/// Waits for an endpoint behind each Service whose server runs.
///
/// # Errors
/// Naming the Services that have none in time.
pub(crate) async fn wait(
    cluster: &Cluster,
    settings: &Settings,
    layout: &RunLayout,
    known: &KnownAddresses,
    progress: &ProgressLine,
) -> Result<()> {
    let mut open: Vec<String> = Vec::new();
    // A hairpin's server comes with its client; its probe waits for the Service.
    let replicas = layout.services.iter().filter(|replica| replica.role != ServerRole::Hairpin);
    for replica in replicas {
        for family in targets::families(settings) {
            let name = service_name(&settings.run_id, *replica, family);
            if known.services.contains_key(&name)
                && can_have_endpoint(known, settings, *replica, family)
            {
                open.push(name);
            }
        }
    }
    let end = Instant::now() + settings.deadlines.ready_timeout;
    while !open.is_empty() {
        let mut without = Vec::new();
        for name in open {
            let found = has_endpoint(cluster, &name)
                .await
                .during(format!("look at the endpoints of Service {name}"))?;
            if !found {
                without.push(name);
            }
        }
        open = without;
        if open.is_empty() {
            break;
        }
        if Instant::now() >= end {
            let cause = format!(
                "no endpoint within {} behind {}",
                humantime::format_duration(settings.deadlines.ready_timeout),
                open.join(", ")
            );
            return Err(Error::new(Kind::Unmeasured, "wait for the Services", cause)
                .with_code(Code::Timeout)
                .with_remedy(
                    "the pods are ready, so look at the controller of endpoints; or raise \
                     --ready-timeout",
                ));
        }
        progress.wait(&format!("{} Services have no endpoint yet", open.len()));
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// The server has an address of the family, so that there can be an endpoint.
fn can_have_endpoint(
    known: &KnownAddresses,
    settings: &Settings,
    replica: Replica<ServerRole>,
    family: Option<AddressFamily>,
) -> bool {
    let Some(family) = family else { return true };
    let pod = known.pods.get(&replica.pod(&settings.run_id));
    pod.is_some_and(|pod| {
        let of_family = |address: &String| address.contains(':') == (family == AddressFamily::V6);
        pod.addresses.iter().any(of_family)
    })
}

/// Asks for EndpointSlices, or for Endpoints where there are none (before 1.21, or not to be read).
async fn has_endpoint(cluster: &Cluster, service: &str) -> Result<bool, ApiFailure> {
    let selector = format!("kubernetes.io/service-name={service}");
    match cluster.list::<EndpointSlice>(&selector).await {
        Ok(slices) => {
            let mut endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
            return Ok(endpoints.any(|endpoint| {
                let conditions = endpoint.conditions.as_ref();
                conditions.and_then(|conditions| conditions.ready).unwrap_or(true)
            }));
        }
        Err(failure) if failure.has_status(404) || failure.has_status(403) => {}
        Err(failure) => return Err(failure),
    }
    let endpoints: Option<Endpoints> = cluster.get(service).await?;
    let subsets = endpoints.and_then(|endpoints| endpoints.subsets).unwrap_or_default();
    Ok(subsets.iter().any(|subset| subset.addresses.as_ref().is_some_and(|it| !it.is_empty())))
}

#[cfg(test)]
mod tests;
