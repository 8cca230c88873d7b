"""The image as netserver and netperf, driven as Cilium's CLI and k8s-netperf drive them: the command
lines are theirs, and so are the rules by which the output is read (tests/netperf/clients.py)."""

import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import two_nodes
from two_nodes import kubectl
from own_objects import apply, pod, translated

sys.path.append(str(Path(__file__).resolve().parents[1] / "netperf"))
import clients  # noqa: E402

NAMESPACE = "podperf-by-name"  # a run of the launcher ends with the namespace it made
SERVER, CLIENT = "netperf-server", "netperf-client"
SERVICE, CONTROL_ONLY = "netserver", "netserver-control"
CONTROL, DATA = 12865, 8000
PATIENCE = 60  # seconds for a test of two
OVERLAY = "flannel.1"  # carries what goes from a pod to one on the other node

# cilium connectivity perf
CILIUM_TESTS = ("TCP_STREAM", "UDP_STREAM", "TCP_RR", "UDP_RR", "TCP_CRR")
CILIUM_SELECTORS = ("MIN_LATENCY,MEAN_LATENCY,MAX_LATENCY,P50_LATENCY,P90_LATENCY,P99_LATENCY,"
                    "TRANSACTION_RATE,THROUGHPUT,THROUGHPUT_UNITS")
# k8s-netperf
K8S_SELECTORS = ("rt_latency,p99_latency,throughput,throughput_units,remote_recv_calls,"
                 "local_send_calls,local_transport_retrans")
K8S_PORT = "42424"


def is_stream(test):
    return test.endswith("STREAM")


def cilium(address, test, *more):
    size = ["-m", "1024"] if test == "UDP_STREAM" else []
    return ["/usr/local/bin/netperf", "-H", address, "-l", "2s", "-t", test, "--", *more, "-R", "1",
            "-o", CILIUM_SELECTORS, *size]


def k8s_netperf(address, test):
    """As its super-netperf expands it, for the first of its streams."""
    size = ["-m", "1024"] if is_stream(test) else ["-r", "1024,1024"]
    routed = ["-R", "1"] if test == "UDP_STREAM" else []
    return ["netperf", "-s", "2", "-H", address, "-l", "2", "-t", test, "--", "-k", K8S_SELECTORS,
            *size, *routed, "-P", K8S_PORT]


def service(name, *ports):
    """A Service of the server pod; its ports as (name, number, protocol)."""
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"selector": {"app": SERVER},
                     "ports": [{"name": port, "port": number, "protocol": protocol}
                               for port, number, protocol in ports]}}


def listens(name, port):
    """Whether a TCP port of the pod is open, asked from the node that it is on."""
    (found,) = [item for item in two_nodes.objects("pods", namespace=NAMESPACE)
                if item["metadata"]["name"] == name]
    address = found["status"].get("podIP")
    ask = ["timeout", "2", "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}"]
    try:
        two_nodes.in_network(found["spec"]["nodeName"], *ask, timeout=10)
    except AssertionError:
        return None
    return address


def remove(*names):
    kubectl("delete", "--ignore-not-found", "-n", NAMESPACE, *names)


class Netperf(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        two_nodes.cluster()
        cls.addClassCleanup(kubectl, "delete", "--ignore-not-found", "namespace", NAMESPACE)
        apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        cls.addClassCleanup(remove, f"pod/{SERVER}", f"pod/{CLIENT}", f"service/{SERVICE}",
                            f"service/{CONTROL_ONLY}")
        apply(service(SERVICE, ("control", CONTROL, "TCP"), ("data", DATA, "TCP"),
                      ("datagrams", DATA, "UDP")),
              service(CONTROL_ONLY, ("control", CONTROL, "TCP")),
              pod(NAMESPACE, SERVER, "node2", ["netserver", "-D"]),
              # Kept alive by a server that nobody asks: the image has no shell to sleep in.
              pod(NAMESPACE, CLIENT, "node1", ["netserver", "-D", "-p", "12866"]))
        kubectl("wait", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=60s",
                f"pod/{SERVER}", f"pod/{CLIENT}")
        cls.address = two_nodes.until(lambda: listens(SERVER, CONTROL), lambda:
                                      "netserver does not listen: "
                                      + kubectl("logs", "-n", NAMESPACE, SERVER, check=False), 30)
        for name, ports in ((SERVICE, 3), (CONTROL_ONLY, 1)):
            two_nodes.until(lambda: translated("node1", NAMESPACE, name) == ports, lambda:
                            f"kube-proxy of node1 does not translate {ports} ports of {name}", 60)
        cls.services = {item["metadata"]["name"]: item["spec"]["clusterIP"]
                        for item in two_nodes.objects("services", namespace=NAMESPACE)}

    def exec_(self, words, check=True):
        """What a command prints in the client's pod."""
        try:
            return kubectl("exec", "-n", NAMESPACE, CLIENT, "--", *words, timeout=PATIENCE,
                           check=check)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"not done within {PATIENCE} s: {' '.join(words)}") from late

    def crossing(self, words):
        """What a command prints, and the bytes that went to the other node meanwhile."""
        before = two_nodes.device_bytes("node1")[OVERLAY]
        out = self.exec_(words)
        return out, two_nodes.device_bytes("node1")[OVERLAY] - before

    def check_cilium(self, test, address, *more):
        out, sent = self.crossing(cilium(address, test, *more))
        (row,) = clients.cilium(out, 1, is_stream(test))
        self.assertGreater(row["throughput"], 0, out)
        if is_stream(test):
            # More than a tenth of what is said to have come, in 2 s, of 10^6 bit.
            self.assertGreater(sent, row["throughput"] * 1e6 * 2 / 8 / 10, out)
        else:
            self.assertEqual(row["units"], "Trans/s", out)
            self.assertGreater(row["rate"], 0, out)
            least, mean, most, *percentiles = row["latencies"]
            self.assertTrue(0 < least <= mean <= most, out)
            self.assertEqual(percentiles, sorted(percentiles), out)
            self.assertGreater(percentiles[0], 0, out)
            # A packet for each request, and no packet is shorter than its headers.
            self.assertGreater(sent, row["rate"] * 2 * 28, out)

    def test_cilium_measures_by_the_pods_address(self):
        for test in CILIUM_TESTS:
            with self.subTest(test):
                self.check_cilium(test, self.address)

    def test_cilium_measures_several_streams_at_once(self):
        with ThreadPoolExecutor(2) as pool:
            outputs = list(pool.map(self.exec_, [cilium(self.address, "TCP_STREAM")] * 2))
        for row in clients.cilium("".join(outputs), 2, True):
            self.assertGreater(row["throughput"], 0)

    def test_k8s_netperf_measures_by_the_pods_address(self):
        for test in CILIUM_TESTS:
            with self.subTest(test):
                out, sent = self.crossing(k8s_netperf(self.address, test))
                untold = None if test == "TCP_CRR" else test.startswith("UDP")
                found = clients.k8s_netperf(out, is_stream(test), untold)
                self.assertGreater(found["throughput"], 0, out)
                self.assertEqual(found["units"], "10^6bits/s" if is_stream(test) else "Trans/s")
                if not is_stream(test):
                    self.assertGreater(found["p99"], 0, out)
                self.assertGreater(sent, 100_000, out)

    def test_a_service_carries_control_and_a_fixed_data_port(self):
        for test in CILIUM_TESTS:
            with self.subTest(test):
                self.check_cilium(test, self.services[SERVICE], "-P", f",{DATA}")
        # The kernel remembers each for two minutes, datagrams for half of one: all were translated
        # to the pod's address. (kube-proxy's own counters begin anew whenever it writes its rules.)
        for protocol, port, least in (("tcp", CONTROL, len(CILIUM_TESTS)), ("tcp", DATA, 2),
                                      ("udp", DATA, 1)):
            lines = two_nodes.in_network("node1", "conntrack", "-L", "-p", protocol, "--orig-dst",
                                         self.services[SERVICE], "--dport", str(port)).splitlines()
            with self.subTest(protocol, port=port):
                self.assertGreaterEqual(len(lines), least)
                for line in lines:
                    self.assertIn(f"src={self.address} ", line)

    def test_between_two_podperfs_the_control_port_is_enough(self):
        for test in ("TCP_STREAM", "TCP_MAERTS", "TCP_RR"):
            with self.subTest(test):
                out = self.exec_(["netperf", "-H", self.services[CONTROL_ONLY], "-l", "2", "-t",
                                  test, "--", "-k", "THROUGHPUT,THROUGHPUT_UNITS"])
                self.assertGreater(clients.kubenetbench(out), 0, out)
        # What this Service does not list is not to be had: the figures above came by one port.
        words = ["netperf", "-H", self.services[CONTROL_ONLY], "-l", "2", "--", "-P", f",{DATA}"]
        with self.assertRaisesRegex(AssertionError, "exit 1"):
            self.exec_(words)

    def test_the_classic_table_is_read_where_nothing_is_asked_for(self):
        out = self.exec_(["netperf", "-H", self.address, "-l", "2"])
        self.assertGreater(clients.perf_tests(out), 0, out)
        self.assertAlmostEqual(clients.awk(out, 1, 4), 2, delta=0.5)

    def test_without_a_server_the_status_says_so(self):
        out = self.exec_(["netperf", "-H", self.address, "-p", "1", "-l", "2"], check=False)
        self.assertIn(f"are you sure there is a netserver listening on {self.address}", out)


if __name__ == "__main__":
    unittest.main()
