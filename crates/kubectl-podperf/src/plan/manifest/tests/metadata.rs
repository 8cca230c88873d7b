//! What objects are called, owned by and labelled with, and what their environment says.

use super::*;

#[test]
fn everything_is_owned_by_the_job_and_found_by_its_labels() {
    for object in full() {
        let meta = &object["metadata"];
        if object["kind"] == "Namespace" {
            assert_eq!(meta["labels"][MANAGED_BY], "podperf");
            assert_eq!(meta["annotations"][MADE_BY_RUN], "r1");
            continue;
        }
        assert_eq!(meta["namespace"], "podperf", "{}", name(&object));
        let wanted = json!({MANAGED_BY: "podperf", INSTANCE: "r1"});
        assert!(selects(&wanted, &object), "{}", name(&object));
        if object["kind"] == "Job" {
            assert!(meta["ownerReferences"].is_null());
            assert!(selects(&wanted, &object["spec"]["template"]));
            continue;
        }
        let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "podperf-r1",
                            "uid": "uid-of-job", "controller": false,
                            "blockOwnerDeletion": false}]);
        assert_eq!(meta["ownerReferences"], owner, "{}", name(&object));
    }
    assert_eq!(selector("r1"), format!("{MANAGED_BY}=podperf,{INSTANCE}=r1"));
}

#[test]
fn labels_and_annotations_that_were_asked_for_are_there_beside_podperfs_own() {
    let objects = objects(
        "--scenarios host,pod,hairpin --label team=net --annotation why=test \
         --pod-label mesh=on --pod-annotation proxy=small --pod-label team=mesh \
         --namespace-label istio-injection=enabled",
    );
    for object in objects.iter().filter(|object| object["kind"] != "Namespace") {
        let (labels, notes) = (&object["metadata"]["labels"], &object["metadata"]["annotations"]);
        let pod = object["kind"] == "Pod";
        // What is said of pods alone goes before what is said of everything.
        assert_eq!(labels["team"], if pod { "mesh" } else { "net" }, "{}", name(object));
        assert_eq!(notes["why"], "test", "{}", name(object));
        assert_eq!(labels["mesh"], if pod { json!("on") } else { json!(null) });
        assert_eq!(notes["proxy"], if pod { json!("small") } else { json!(null) });
        assert_eq!(labels[COMPONENT].as_str().map(str::is_empty), Some(false));
    }
    let space = &of_kind(&objects, "Namespace")[0]["metadata"]["labels"];
    assert_eq!(
        (&space["istio-injection"], &space[MANAGED_BY]),
        (&json!("enabled"), &json!("podperf"))
    );
    let template = &of_kind(&objects, "Job")[0]["spec"]["template"]["metadata"];
    assert_eq!(
        (&template["labels"]["team"], &template["annotations"]["why"]),
        (&json!("net"), &json!("test"))
    );
    assert!(template["labels"]["mesh"].is_null() && template["annotations"]["proxy"].is_null());
}

#[test]
fn no_sidecar_is_put_into_the_coordinator_whatever_was_asked_for() {
    let line = "--label sidecar.istio.io/inject=true --annotation sidecar.istio.io/inject=true \
                --annotation linkerd.io/inject=enabled";
    let objects = objects(line);
    let template = &of_kind(&objects, "Job")[0]["spec"]["template"]["metadata"];
    assert_eq!(template["labels"]["sidecar.istio.io/inject"], "false");
    assert_eq!(template["annotations"]["sidecar.istio.io/inject"], "false");
    assert_eq!(template["annotations"]["linkerd.io/inject"], "disabled");
    let client = &of_kind(&objects, "Pod").last().unwrap()["metadata"];
    assert_eq!(client["annotations"]["linkerd.io/inject"], "enabled");
}

#[test]
fn a_namespace_has_the_lowest_level_that_admits_all_pods() {
    for (line, level) in [
        ("--scenarios pod,hairpin,policies", "restricted"),
        ("--scenarios host", "privileged"),
        ("--scenarios pod-host", "privileged"),
        // A mesh that sets up its own way in needs more.
        (
            "--scenarios pod --namespace-label pod-security.kubernetes.io/enforce=privileged",
            "privileged",
        ),
    ] {
        let labels = &objects(line)[0]["metadata"]["labels"];
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], level, "{line}");
    }
}

#[test]
fn everything_ends_by_itself() {
    let objects = objects(&format!("{EVERY_PATH} --ttl 2h"));
    let job = &of_kind(&objects, "Job")[0]["spec"];
    assert_eq!((&job["backoffLimit"], &job["activeDeadlineSeconds"]), (&json!(0), &json!(4321)));
    assert_eq!(job["ttlSecondsAfterFinished"], 7200);
    for pod in of_kind(&objects, "Pod") {
        assert_eq!(pod["spec"]["activeDeadlineSeconds"], 4321, "{}", name(pod));
    }
}

#[test]
fn what_the_engine_is_told_is_what_it_reads() {
    let (settings, layout) = laid_out(&format!("{EVERY_PATH} {EVERY_TEST} --pairs 2"));
    let objects = objects(&format!("{EVERY_PATH} {EVERY_TEST} --pairs 2"));
    let variable = |container: &Value, name: &str| -> String {
        let all = container["env"].as_array().unwrap();
        let found = all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name}"));
        found["value"].as_str().unwrap().to_owned()
    };
    let job = of_kind(&objects, "Job")[0];
    let coordinator = &job["spec"]["template"]["spec"]["containers"][0];
    let schedule = Schedule::read(&variable(coordinator, "PODPERF_SCHEDULE")).unwrap();
    assert_eq!(schedule.steps, test_plan::order(&settings, |row| layout.agents(row)));
    let plan = job["metadata"]["annotations"][PLAN].as_str().unwrap();
    assert_eq!(
        serde_json::from_str::<ClusterPlan>(plan).unwrap(),
        test_plan::cluster_plan(&settings)
    );
    let mut parts = 0;
    for (name, pod) in pods(&objects) {
        for container in containers(&pod) {
            assert_eq!(variable(container, "PODPERF_TOKEN"), "0123", "{name}");
            if container["args"][0] == "agent" {
                let part = AgentConfig::read(&variable(container, "PODPERF_AGENT_CONFIG")).unwrap();
                assert!(name.ends_with(&part.agent), "{name}");
                assert!(schedule.agents.contains(&part.agent), "{name}");
                parts += 1;
            }
        }
    }
    assert_eq!(parts, schedule.agents.len());
}
