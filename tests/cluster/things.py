"""Objects that the tests make by themselves, without the launcher."""

import json
import re
import time
from pathlib import Path

import bed
from bed import kubectl

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
                "name": "netperf", "image": bed.IMAGE, "imagePullPolicy": "Never",
                "command": command,
                "securityContext": {"allowPrivilegeEscalation": False,
                                    "readOnlyRootFilesystem": True,
                                    "capabilities": {"drop": ["ALL"]}}}]}}


def apply(*things):
    file = Path(bed.bed().directory.name) / "things.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": things}),
                    encoding="utf-8")
    kubectl("apply", "-f", str(file))


def caught_up():
    """Waits until both nodes have noticed what happens in the cluster: after the API server was away,
    kubelet and kube-proxy ask it again at growing intervals of up to a minute (the backoff of a
    Reflector in Kubernetes' client-go)."""
    name = f"{CANARY}-{time.monotonic_ns()}"
    meta = {"name": name, "namespace": "default"}
    pods = [pod("default", f"{name}-{node}", node, ["/podperf", "--version"]) for node in NODES]
    apply({"apiVersion": "v1", "kind": "Service", "metadata": meta,
           "spec": {"ports": [{"port": 9}]}},
          {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta,
           "subsets": [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 9}]}]}, *pods)
    try:
        bed.until(lambda: not late(name),
                  lambda: f"has not caught up: {', '.join(late(name))}", bed.GONE)
    finally:
        kubectl("delete", "-n", "default", f"service/{name}",
                *[f"pod/{name}-{node}" for node in NODES])


def late(name):
    """Who has not noticed the canaries of this name."""
    kubelets = [f"kubelet of {item['spec']['nodeName']}"
                for item in bed.objects("pods", namespace="default")
                if item["metadata"]["name"].startswith(name)
                and item["status"].get("phase") != "Succeeded"]
    proxies = [f"kube-proxy of {node}" for node in NODES if not translated(node, "default", name)]
    return kubelets + proxies


def translated(node, namespace, service):
    """Ports of a Service that kube-proxy's rules on a node translate: a Service has no rule of this
    kind before it has an endpoint, and kube-proxy writes its rules only after that, and at intervals
    (iptables.minSyncPeriod, 1 s unless said)."""
    rules = bed.in_network(node, "iptables-save", "-t", "nat")
    comment = re.compile(rf'--comment "?{namespace}/{service}[:" ]')
    return sum(1 for line in rules.splitlines() if comment.search(line) and "-j DNAT" in line)
