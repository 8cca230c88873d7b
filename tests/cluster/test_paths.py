"""Every path that the cluster can carry: measured between two nodes, and really taken."""

import unittest

import two_nodes
from two_nodes import BRIEF, measure

ALL = ("host,pod,same-node,clusterip,nodeport,nodeport-other,pod-host,host-pod,hairpin,policies")


def sent(place, before):
    """Bytes that each device of a node has sent since."""
    now = two_nodes.device_bytes(place)
    return {name: count - before.get(name, 0) for name, count in now.items()}


class EveryPath(unittest.TestCase):
    """One run over all of them, kept in the cluster until its rules have been looked at."""

    @classmethod
    def setUpClass(cls):
        server, hairpin = "podperf-every-server-0", "podperf-every-hairpin-0"
        wanted = [("node1", server), ("node2", server), ("node1", hairpin)]
        with two_nodes.ServiceConnections(wanted) as counted:
            cls.run_ = measure("--run-id", "every", "--keep", "--scenarios", ALL, "--tests",
                               "tcp_stream,tcp_rr,tcp_crr", "--policies", "3", "--idle-policies",
                               "2", "--services", "20", *BRIEF, "--samples", "2")
        if cls.run_.status != 0:
            raise AssertionError(str(cls.run_))
        cls.document = cls.run_.document
        cls.connections = {place: counted.sums[place, server] for place in ("node1", "node2")}
        cls.hairpin = counted.sums["node1", hairpin]
        cls.services = len(two_nodes.objects("services"))
        cls.policies = len(two_nodes.objects("networkpolicies"))
        cls.destroyed = two_nodes.launch("destroy", "every")
        cls.left = two_nodes.leftovers()

    def test_it_is_complete_and_ran_in_a_random_order(self):
        self.assertEqual(self.document["status"], "complete")
        self.assertEqual(self.document["errors"], [])
        samples = self.document["samples"]
        self.assertEqual([sample["step"] for sample in samples],
                         list(range(1, len(samples) + 1)))
        first = [(s["path"], s["test"], s["flows"]) for s in samples if s["sample"] == 1]
        second = [(s["path"], s["test"], s["flows"]) for s in samples if s["sample"] == 2]
        # 10 paths with streams and requests, 8 of them with connections.
        self.assertEqual(len(first), 28)
        self.assertEqual(sorted(first), sorted(second))
        self.assertNotEqual(first, second)

    def test_clients_and_servers_were_on_two_nodes_by_their_addresses(self):
        of = {pod["role"]: pod for pod in self.document["pods"]}
        self.assertEqual(of["client"]["node"], "node1")
        self.assertEqual(of["server"]["node"], "node2")
        self.assertNotEqual(of["client"]["host_ip"], of["server"]["host_ip"])
        self.assertEqual(of["server-near"]["node"], "node1")
        self.assertEqual(of["hairpin"]["node"], "node1")
        self.assertTrue(of["client-host"]["host_network"] and of["server-host"]["host_network"])
        self.assertFalse(of["client"]["host_network"] or of["server"]["host_network"])
        nodes = self.document["cluster"]["nodes"]
        self.assertEqual((nodes["client"]["name"], nodes["server"]["name"]), ("node1", "node2"))

    def test_every_sample_has_the_cpu_of_both_nodes_and_every_row_an_interval(self):
        for sample in self.document["samples"]:
            run = sample["runs"][0]
            for end in ("client", "server"):
                cpu = run["cpu"][end]
                self.assertGreater(cpu["busy_cores"], 0)
                self.assertIsNotNone(cpu["softirq_cores"])
        rows = self.document["summary"]["rows"]
        self.assertEqual(len(rows), 28)
        self.assertEqual(self.document["summary"]["baseline"], "host")
        for row in rows:
            rate = row["transactions_per_second"] or row["goodput_bits_per_second"]
            self.assertLessEqual(rate["low"], rate["mean"])
            self.assertLessEqual(rate["mean"], rate["high"])
            self.assertGreater(rate["mean"], 0)
            if row["path"] == "host":
                self.assertIsNone(row["rate_vs_baseline"])
            else:
                versus = row["rate_vs_baseline"]
                self.assertLessEqual(versus["low"], versus["ratio"])
                self.assertIn(versus["difference"], ("slower", "faster", "no_difference_shown",
                                                     "inconclusive"))
            if row["test"] != "tcp_stream":
                self.assertGreater(row["latency"]["stddev_ns"], 0)

    def test_services_were_reached_by_the_rules_of_kube_proxy(self):
        # Each row opens more than one connection for each of two samples; ClusterIP with all three
        # tests, node ports with two.
        self.assertGreaterEqual(self.connections["node1"][0], 6, "ClusterIP, on the client's node")
        self.assertGreaterEqual(self.connections["node1"][1], 4, "node port of the other node")
        self.assertGreaterEqual(self.connections["node2"][1], 4, "node port of the server's node")
        self.assertEqual(self.connections["node2"][0], 0)
        self.assertGreaterEqual(self.hairpin[0], 6, "hairpin")

    def test_services_in_the_background_and_policies_were_there(self):
        self.assertEqual(self.services, 20 + 2)
        self.assertEqual(self.policies, 3 + 2)

    def test_it_is_told_that_this_network_plugin_enforces_no_policy(self):
        self.assertEqual(self.document["policies"],
                         {"selecting": 3, "idle": 2, "enforced": False})
        self.assertIn("policies_not_enforced",
                      [warning["code"] for warning in self.document["warnings"]])
        probes = {probe["path"]: probe for probe in self.document["probes"]}
        self.assertTrue(probes["policies"]["met"])
        denied = [probe for path, probe in probes.items() if "no policy" in path]
        self.assertEqual([probe["met"] for probe in denied], [False])

    def test_the_fingerprint_names_what_the_devices_show(self):
        cluster = self.document["cluster"]
        self.assertEqual(cluster["encapsulation"], "vxlan")
        self.assertEqual((cluster["node_mtu_bytes"], cluster["pod_mtu_bytes"]), (1500, 1450))
        for fact in ("cni", "kube_proxy_mode"):
            self.assertIsNone(cluster[fact])
            self.assertIn(fact, cluster["unknown"])

    def test_destroy_leaves_nothing(self):
        self.assertEqual(self.destroyed.status, 0, self.destroyed)
        self.assertEqual(self.left, [])


class WhatTheDevicesCount(unittest.TestCase):
    """Bytes go by the devices that a path's name promises."""

    def run_path(self, path, *more):
        before = two_nodes.device_bytes("node1")
        run = measure("--scenarios", path, "--tests", "tcp_stream", *BRIEF, *more)
        self.assertEqual(run.status, 0, run)
        moved = sent("node1", before)
        document = run.document
        lifetime = sum(stream["lifetime"]["bytes_sent"] for sample in document["samples"]
                       for one in sample["runs"] for stream in one["streams"])
        self.assertGreater(lifetime, 1_000_000)
        return document, lifetime, moved

    def test_host_goes_by_the_wire_and_not_by_the_overlay(self):
        _, payload, moved = self.run_path("host")
        self.assertGreater(moved["eth0"], payload)
        self.assertLess(moved["flannel.1"], payload / 20)

    def test_pod_goes_by_the_overlay(self):
        _, payload, moved = self.run_path("pod")
        self.assertGreater(moved["flannel.1"], payload)
        self.assertGreater(moved["eth0"], moved["flannel.1"])

    def test_host_to_pod_goes_by_the_overlay(self):
        _, payload, moved = self.run_path("host-pod")
        self.assertGreater(moved["flannel.1"], payload)

    def test_pod_to_host_goes_by_the_wire(self):
        _, payload, moved = self.run_path("pod-host")
        self.assertGreater(moved["eth0"], payload)
        self.assertLess(moved["flannel.1"], payload / 20)

    def test_the_same_node_keeps_everything_on_it(self):
        document, payload, moved = self.run_path("same-node")
        self.assertLess(moved["flannel.1"] + moved["eth0"], payload / 20)
        self.assertEqual({pod["node"] for pod in document["pods"]}, {"node1"})

    def test_hairpin_keeps_everything_on_the_node(self):
        _, payload, moved = self.run_path("hairpin")
        self.assertLess(moved["flannel.1"] + moved["eth0"], payload / 20)

    def test_a_node_port_of_the_server_goes_by_the_wire(self):
        _, payload, moved = self.run_path("nodeport")
        self.assertGreater(moved["eth0"], payload)
        self.assertLess(moved["flannel.1"], payload / 20)

    def test_a_node_port_of_another_node_goes_by_the_overlay(self):
        _, payload, moved = self.run_path("nodeport-other")
        self.assertGreater(moved["flannel.1"], payload)


class Several(unittest.TestCase):
    """Pairs, datagrams and a given address."""

    def test_pairs_measure_at_once(self):
        run = measure("--scenarios", "host,pod,clusterip", "--pairs", "3", "--tests", "tcp_stream",
                      *BRIEF)
        self.assertEqual(run.status, 0, run)
        for sample in run.document["samples"]:
            self.assertEqual(len(sample["runs"]), 3)
            targets = {one["target"] for one in sample["runs"]}
            self.assertEqual(len(targets), 3, targets)
        row = run.document["summary"]["rows"][0]
        first = run.document["samples"][[s["path"] for s in run.document["samples"]].index("host")]
        total = sum(one["throughput"]["bits_per_second"] for one in first["runs"])
        self.assertAlmostEqual(row["goodput_bits_per_second"]["mean"], total, delta=total / 1e6)

    def test_datagrams_pass_a_cluster_address(self):
        run = measure("--scenarios", "pod,clusterip", "--tests", "udp_stream,udp_rr", "--udp-rate",
                      "100M", *BRIEF)
        self.assertEqual(run.status, 0, run)
        for sample in run.document["samples"]:
            self.assertIsNotNone(sample["runs"][0]["udp"])

    def test_a_given_address_is_measured_through(self):
        # In the place of an ingress on node2, made once the run's Service is there to lead to.
        run = two_nodes.Launcher("run", "-o", "json", "--image", two_nodes.IMAGE, "--run-id",
                                 "given", "--scenarios", "pod,via", "--via", "192.0.2.2:5300",
                                 "--tests", "tcp_stream,tcp_rr", *BRIEF, "--samples", "1")
        address = two_nodes.cluster_address("podperf-given-server-0")
        with two_nodes.Proxy("node2", 5300, address, 5210) as proxy:
            run = run.end(120)
        self.assertEqual(run.status, 0, run)
        self.assertEqual({sample["path"] for sample in run.document["samples"]}, {"pod", "via"})
        # Three probes, and a control connection with data connections for each of two samples.
        self.assertGreaterEqual(proxy.connections, 3 + 3 + 2)
        self.assertEqual(two_nodes.leftovers(), [])

    def test_a_path_that_does_not_answer_is_left_out_and_named(self):
        run = measure("--scenarios", "pod,via", "--via", "192.0.2.1:9", "--tests", "tcp_rr", *BRIEF,
                      "--ready-timeout", "20s")
        self.assertEqual(run.status, 4, run)
        told = " ".join(error["cause"] for error in run.document["errors"])
        self.assertIn("192.0.2.1:9 cannot be measured", told)
        self.assertEqual({s["path"] for s in run.document["samples"] if s["runs"]}, {"pod"})
        self.assertEqual(two_nodes.leftovers(), [])

    def test_a_family_that_the_cluster_lacks_is_left_out_with_its_reason(self):
        run = measure("--scenarios", "host,pod,clusterip", "--ip-family", "both", "--tests",
                      "tcp_rr", *BRIEF)
        self.assertEqual(run.status, 4, run)
        told = " ".join(error["cause"] for error in run.document["errors"])
        self.assertIn("has no IPv6 address", told)
        measured = {s["path"] for s in run.document["samples"] if s["runs"]}
        self.assertEqual(measured, {"host", "pod", "clusterip"})
        self.assertEqual(two_nodes.leftovers(), [])


if __name__ == "__main__":
    unittest.main()
