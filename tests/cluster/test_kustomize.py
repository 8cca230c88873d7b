"""The same without the launcher: `kubectl apply -k k8s/`."""

import json
import time
import unittest

import two_nodes
from two_nodes import kubectl


class Kustomize(unittest.TestCase):
    def test_server_and_clients_measure_between_two_nodes(self):
        two_nodes.cluster()
        self.addCleanup(two_nodes.leftovers)
        self.addCleanup(kubectl, "delete", "-k", str(two_nodes.ROOT / "k8s"))
        kubectl("apply", "-k", str(two_nodes.ROOT / "k8s"))
        end = time.monotonic() + 150
        while True:
            jobs = two_nodes.objects("jobs")
            if jobs and all(job["status"].get("succeeded") for job in jobs):
                break
            self.assertFalse([job for job in jobs if job["status"].get("failed")], jobs)
            self.assertLess(time.monotonic(), end, "the Jobs do not complete")
            time.sleep(1)
        pods = two_nodes.objects("pods")
        nodes = {"job-name" in pod["metadata"]["labels"]: pod["spec"]["nodeName"] for pod in pods}
        self.assertEqual(len(set(nodes.values())), 2, nodes)
        documents = []
        for pod in pods:
            if "job-name" not in pod["metadata"]["labels"]:
                continue
            containers = pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
            for container in containers:
                log = kubectl("logs", "-n", "podperf", pod["metadata"]["name"], "-c",
                              container["name"])
                document, _ = json.JSONDecoder().raw_decode(log[log.index("{"):])
                documents.append(document)
        kinds = {document["plan"]["workload"]["kind"] for document in documents}
        self.assertEqual(kinds, {"stream", "rr"})
        for document in documents:
            self.assertEqual(document["status"], "complete")


if __name__ == "__main__":
    unittest.main()
