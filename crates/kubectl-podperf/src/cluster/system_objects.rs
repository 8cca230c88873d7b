//! Reads the objects that tell how the cluster's network is made, as far as this account may.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::ConfigMap;

use crate::cluster::api::Cluster;
use crate::cluster::failure::ApiFailure;
use crate::plan::rbac::SYSTEM_NAMESPACE;

/// DaemonSets and ConfigMaps, or why they could not be read.
#[derive(Debug)]
pub(crate) struct SystemObjects {
    pub(crate) daemon_sets: Result<Vec<DaemonSet>, String>,
    pub(crate) config_maps: Result<Vec<ConfigMap>, String>,
}

impl SystemObjects {
    /// Reads them; what is not to be had says why.
    pub(crate) async fn read(cluster: &Cluster) -> Self {
        let why = |failure: ApiFailure| match failure {
            failure if failure.has_status(403) => "this account may not list it".to_owned(),
            failure => failure.during("list").cause,
        };
        let mut daemon_sets = cluster.list_in::<DaemonSet>(None).await;
        if daemon_sets.as_ref().is_err_and(|failure| failure.has_status(403)) {
            // Most plugins are where the system is.
            daemon_sets = cluster.list_in::<DaemonSet>(Some(SYSTEM_NAMESPACE)).await;
        }
        let daemon_sets = daemon_sets.map_err(why);
        let mut config_maps =
            cluster.list_in::<ConfigMap>(Some(SYSTEM_NAMESPACE)).await.map_err(why);
        // Flannel's own namespace, where it has one; nobody misses it.
        if let (Ok(maps), Ok(more)) =
            (&mut config_maps, cluster.list_in::<ConfigMap>(Some("kube-flannel")).await)
        {
            maps.extend(more);
        }
        Self { daemon_sets, config_maps }
    }
}

#[cfg(test)]
mod tests;
