"""The access that k8s/rbac grants is enough, and hundreds of objects are no burden."""

import unittest

import two_nodes
from two_nodes import BRIEF, kubectl, launch, measure


class Access(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        two_nodes.cluster()
        rbac = str(two_nodes.ROOT / "k8s" / "rbac")
        kubectl("apply", "-k", rbac)
        cls.addClassCleanup(kubectl, "delete", "-k", rbac)
        cls.kubeconfig = two_nodes.kubeconfig_of("podperf-launcher", "podperf")
        cls.named = ["--client-node", "node1", "--server-node", "node2"]

    def test_it_is_enough_for_a_run(self):
        run = measure("--scenarios", "host,pod,clusterip,nodeport,policies", "--policies", "2",
                      "--services", "3", "--tests", "tcp_rr", *BRIEF, kubeconfig=self.kubeconfig)
        self.assertEqual(run.status, 0, run)
        document = run.document
        self.assertEqual(document["status"], "complete")
        # What it does not grant is told as unknown.
        self.assertIn("may not list", document["cluster"]["unknown"]["cni"])
        self.assertEqual(self.left(), "")

    def left(self):
        return kubectl("get", "jobs,pods,services,networkpolicies", "-n", "podperf", "-o", "name")

    def test_without_the_nodes_they_have_to_be_named(self):
        nodes = str(two_nodes.ROOT / "k8s" / "rbac" / "nodes.yaml")
        kubectl("delete", "-f", nodes)
        self.addCleanup(kubectl, "apply", "-f", nodes)
        one = ["--scenarios", "pod", "--tests", "tcp_rr", *BRIEF]
        run = measure(*one, kubeconfig=self.kubeconfig)
        self.assertEqual(run.status, 3, run)
        self.assertIn("may not list nodes", run.err)
        self.assertIn("--client-node", run.err)
        run = measure(*one, *self.named, kubeconfig=self.kubeconfig)
        self.assertEqual(run.status, 0, run)
        self.assertEqual(self.left(), "")
        run = launch("preflight", "--image", two_nodes.IMAGE, "--scenarios", "pod", *self.named,
                     kubeconfig=self.kubeconfig)
        self.assertEqual(run.status, 0, run)
        self.assertIn("may not list nodes: the run does without", run.out)


class Scale(unittest.TestCase):
    def test_100_policies_and_500_services_complete_and_go(self):
        run = measure("--scenarios", "pod,clusterip,policies", "--policies", "100", "--services",
                      "500", "--tests", "tcp_rr,tcp_crr", *BRIEF, seconds=300)
        self.assertEqual(run.status, 0, run)
        self.assertEqual(run.document["status"], "complete")
        self.assertRegex(run.err, r"deleted 1 Job, 100 NetworkPolicies, 50\d Services, \d+ pods")
        self.assertEqual(two_nodes.leftovers(), [])


if __name__ == "__main__":
    unittest.main()
