//! What is read where not everything may be.

use serde_json::{Value, json};

use super::*;
use crate::testing::{Server, refusal};

#[tokio::test(start_paused = true)]
async fn where_not_all_namespaces_may_be_read_the_systems_own_is() {
    let list = |items: Value| (200, json!({"metadata": {}, "items": items}));
    let set = json!({"metadata": {"name": "cilium"}, "spec": {"selector": {}, "template": {}}});
    let server = Server::new(move |(_, path, _), _| match path {
        path if path.starts_with("/apis/apps/v1/daemonsets") => {
            refusal(403, "Forbidden", "daemonsets.apps is forbidden")
        }
        path if path.contains("kube-system/daemonsets") => list(json!([set])),
        path if path.contains("kube-flannel") => refusal(403, "Forbidden", "no"),
        path if path.contains("kube-system/configmaps") => {
            list(json!([{"metadata": {"name": "coredns"}}]))
        }
        _ => refusal(404, "NotFound", "no such path"),
    });
    let found = SystemObjects::read(&server.cluster).await;
    assert_eq!(found.daemon_sets.map(|sets| sets.len()), Ok(1));
    assert_eq!(found.config_maps.map(|maps| maps.len()), Ok(1));
    let closed = Server::new(|_, _| refusal(403, "Forbidden", "no"));
    let found = SystemObjects::read(&closed.cluster).await;
    assert_eq!(found.daemon_sets.unwrap_err(), "this account may not list it");
    assert_eq!(found.config_maps.unwrap_err(), "this account may not list it");
}
