"""Objects that the tests make by themselves, without the launcher."""

import json
import re
import time
from pathlib import Path

import two_nodes
from two_nodes import DELETION_TIMEOUT_S, kubectl

NODES = ("node1", "node2")
CANARY = "canary"


def pod(namespace, name, node, command):
    """A restricted pod of the image, on a node."""
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "nodeName": node, "restartPolicy": "Never", "automountServiceAccountToken": False,
            "enableServiceLinks": False, "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "netperf", "image": two_nodes.IMAGE, "imagePullPolicy": "Never",
                "command": command,
                "securityContext": {"allowPrivilegeEscalation": False,
                                    "readOnlyRootFilesystem": True,
                                    "capabilities": {"drop": ["ALL"]}}}]}}


def apply(*objects):
    file = Path(two_nodes.cluster().directory.name) / "objects.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
                    encoding="utf-8")
    kubectl("apply", "-f", str(file))


def job(namespace, name, node, command):
    """A Job of one such pod."""
    one = pod(namespace, name, node, command)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": one["metadata"],
            "spec": {"template": {"metadata": {"labels": {"app": name}}, "spec": one["spec"]}}}


def caught_up():
    """Waits until all have noticed what happens in the cluster: after the API server was away,
    kubelet, kube-proxy and the controllers ask it again at growing intervals of up to a minute (the
    backoff of a Reflector in Kubernetes' client-go)."""
    name = f"{CANARY}-{time.monotonic_ns()}"
    meta = {"name": name, "namespace": "default"}
    command = ["/podperf", "--version"]
    pods = [pod("default", f"{name}-{node}", node, command) for node in NODES]
    apply({"apiVersion": "v1", "kind": "Service", "metadata": meta,
           "spec": {"ports": [{"port": 9}]}},
          {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta,
           "subsets": [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 9}]}]},
          job("default", f"{name}-job", NODES[0], command), *pods)
    try:
        two_nodes.until(lambda: not late(name),
                        lambda: f"has not caught up: {', '.join(late(name))}", DELETION_TIMEOUT_S)
    finally:
        kubectl("delete", "-n", "default", f"service/{name}", f"job/{name}-job",
                *[f"pod/{name}-{node}" for node in NODES])
    two_nodes.until(lambda: not of_job(name), lambda: "the garbage collector has not caught up",
                    DELETION_TIMEOUT_S)


def canaries(name):
    return [item for item in two_nodes.objects("pods", namespace="default")
            if item["metadata"]["name"].startswith(name)]


def of_job(name):
    """Those of the canaries of this name that a Job made."""
    return [item for item in canaries(name) if item["metadata"].get("ownerReferences")]


def late(name):
    """Who has not noticed the canaries of this name."""
    kubelets = [f"kubelet of {item['spec']['nodeName']}" for item in canaries(name)
                if item["status"].get("phase") != "Succeeded"]
    proxies = [f"kube-proxy of {node}" for node in NODES if not translated(node, "default", name)]
    controllers = [] if of_job(name) else ["the controller of Jobs"]
    return kubelets + proxies + controllers


def translated(node, namespace, service):
    """Ports of a Service that kube-proxy's rules on a node translate: a Service has no rule of this
    kind before it has an endpoint, and kube-proxy writes its rules only after that, and at intervals
    (iptables.minSyncPeriod, 1 s unless said)."""
    rules = two_nodes.in_network(node, "iptables-save", "-t", "nat")
    comment = re.compile(rf'--comment "?{namespace}/{service}[:" ]')
    return sum(1 for line in rules.splitlines() if comment.search(line) and "-j DNAT" in line)
