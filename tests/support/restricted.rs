//! The rules of the restricted profile of the Pod Security Standards, as they are published: those
//! of the baseline profile first, then those that restricted adds; for tests alone.

use serde_json::{Value, json};

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// Names of the rules that a pod's specification breaks.
pub(super) fn broken_rules(spec: &Value) -> Vec<&'static str> {
    let mut broken = Vec::new();
    let mut rule = |name, holds: bool| {
        if !holds && !broken.contains(&name) {
            broken.push(name);
        }
    };
    let whole = &spec["securityContext"];
    // Baseline: host namespaces.
    let host = ["hostNetwork", "hostPID", "hostIPC"];
    rule("host namespaces", host.iter().all(|key| spec[key] != json!(true)));
    // Baseline: hostPath volumes. Restricted: volume types.
    let types = [
        "name",
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let known =
        |volume: &Value| volume.as_object().unwrap().keys().all(|key| types.contains(&&**key));
    rule("volume types", list(spec, "volumes").iter().all(known));
    // Baseline: sysctls; none at all is more than it asks.
    rule("sysctls", list(whole, "sysctls").is_empty());
    let kinds = ["initContainers", "containers", "ephemeralContainers"];
    let containers: Vec<&Value> = kinds.iter().flat_map(|kind| list(spec, kind)).collect();
    rule("containers", !containers.is_empty());
    for container in containers {
        let own = &container["securityContext"];
        let said = |key: &str| if own[key].is_null() { &whole[key] } else { &own[key] };
        // Baseline: privileged containers.
        rule("privileged", own["privileged"] != json!(true));
        // Baseline: host ports.
        let ports = list(container, "ports");
        rule("host ports", ports.iter().all(|port| port["hostPort"].as_u64().unwrap_or(0) == 0));
        // Baseline: SELinux, AppArmor, /proc mount type.
        rule("SELinux", said("seLinuxOptions").is_null());
        rule("AppArmor", said("appArmorProfile").is_null());
        rule("proc mount", own["procMount"].is_null() || own["procMount"] == "Default");
        // Restricted: privilege escalation.
        rule("privilege escalation", own["allowPrivilegeEscalation"] == json!(false));
        // Restricted: running as non-root, running as non-root user.
        rule("running as non-root", *said("runAsNonRoot") == json!(true));
        rule("non-root user", *said("runAsUser") != json!(0));
        // Restricted: seccomp.
        let profile = said("seccompProfile")["type"].as_str();
        rule("seccomp", matches!(profile, Some("RuntimeDefault" | "Localhost")));
        // Restricted: capabilities.
        let capabilities = &own["capabilities"];
        rule("capabilities", list(capabilities, "drop").contains(&json!("ALL")));
        let added = list(capabilities, "add");
        rule("capabilities", added.iter().all(|name| name == "NET_BIND_SERVICE"));
    }
    broken
}

fn restricted() -> Value {
    json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "a", "image": "a", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
    })
}

#[test]
fn each_rule_sees_what_breaks_it() {
    assert_eq!(broken_rules(&restricted()), [""; 0]);
    assert_eq!(broken_rules(&json!({})), ["containers"]);
    let own = "/containers/0/securityContext";
    for (at, key, value, rule) in [
        ("", "hostNetwork", json!(true), "host namespaces"),
        ("", "hostPID", json!(true), "host namespaces"),
        ("", "hostIPC", json!(true), "host namespaces"),
        ("", "volumes", json!([{"name": "v", "hostPath": {"path": "/"}}]), "volume types"),
        ("/securityContext", "sysctls", json!([{"name": "s"}]), "sysctls"),
        (own, "privileged", json!(true), "privileged"),
        ("/containers/0", "ports", json!([{"hostPort": 80}]), "host ports"),
        (own, "seLinuxOptions", json!({"user": "u"}), "SELinux"),
        (own, "appArmorProfile", json!({"type": "Unconfined"}), "AppArmor"),
        (own, "procMount", json!("Unmasked"), "proc mount"),
        (own, "allowPrivilegeEscalation", json!(null), "privilege escalation"),
        ("/securityContext", "runAsNonRoot", json!(null), "running as non-root"),
        (own, "runAsNonRoot", json!(false), "running as non-root"),
        (own, "runAsUser", json!(0), "non-root user"),
        ("/securityContext", "seccompProfile", json!(null), "seccomp"),
        (own, "seccompProfile", json!({"type": "Unconfined"}), "seccomp"),
        (own, "capabilities", json!({"drop": ["NET_RAW"]}), "capabilities"),
        (own, "capabilities", json!({"drop": ["ALL"], "add": ["NET_ADMIN"]}), "capabilities"),
    ] {
        let mut spec = restricted();
        spec.pointer_mut(at).unwrap()[key] = value;
        assert_eq!(broken_rules(&spec), [rule], "{at}/{key}");
    }
}
