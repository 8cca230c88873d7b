"""The bad paths of docs/RELIABILITY.md: who reported it of a tool or of a cluster, what is wrong with the
path, and what each tool is asked to do on it.

Enters: nothing. Leaves: ROWS. Words of a command line are those behind the server's address and port; of
podperf's the first is the workload. A text instead of words says why a tool cannot be asked.
"""

from dataclasses import dataclass

import bad_path_net
from bad_path_tools import PORT

NO_REQUESTS = "has no requests and responses"
NO_CONNECTIONS = "has no connection for each request"
ONE_STREAM = "has one stream"
STREAM = ["-l", "3", "-t", "TCP_STREAM", "--", "-o", "THROUGHPUT,THROUGHPUT_UNITS"]
REQUESTS = ["-o", "THROUGHPUT,THROUGHPUT_UNITS"]
DATAGRAMS = ["-o", "LOCAL_SEND_THROUGHPUT,REMOTE_RECV_THROUGHPUT,THROUGHPUT_UNITS"]


@dataclass(frozen=True)
class Row:
    """One report: `name` is the row's for --rows, `set_up` makes the path bad before a client starts."""

    name: str
    reports: str
    condition: str
    iperf3: list | str
    netperf: list | str
    podperf: list | str
    set_up: object = None
    warnings: tuple = ()  # codes of podperf's that the row is about
    limit: int = 40  # seconds after which a client that has not ended counts as one that does not
    before: tuple = ()  # words before a client's command line
    host: str = bad_path_net.SERVER
    to_full_disk: bool = False
    shows_interim: bool = False
    midway: object = None  # carried out 1.5 s after a client's start
    waits: bool = False  # leaves the CPUs idle, so that other rows may stand beside it

    def words(self, tool):
        return getattr(self, tool)


def with_time(words, seconds):
    """netperf's words for so many seconds."""
    return ["-l", str(seconds), *words]


ROWS = (
    Row("black-hole", "cloud-bulldozer/k8s-netperf#110, k8snetworkplumbingwg/ovs-cni#264",
        "packets of more than 1,300 bytes vanish: a stream",
        ["-t", "3"], STREAM, ["stream", "-t", "3", "-O", "0"],
        lambda net: net.black_hole(), waits=True),
    Row("black-hole-rr", "cloud-bulldozer/k8s-netperf#110",
        "the same: requests of 4 KiB",
        NO_REQUESTS, with_time(["-t", "TCP_RR", "--", "-r", "4096,1", *REQUESTS], 3),
        ["rr", "--request", "4K", "-t", "3", "-O", "0"],
        lambda net: net.black_hole(), waits=True),
    Row("black-hole-count", "k8snetworkplumbingwg/ovs-cni#264",
        "the same: a stream of 10 MiB, however long it takes",
        ["-n", "10M"], with_time(["-t", "TCP_STREAM", "--", *REQUESTS], -10485760),
        ["stream", "-n", "10M"], lambda net: net.black_hole(), limit=60,
        waits=True),
    Row("one-port", "HewlettPackard/netperf#58",
        "only the control port is reachable: a stream",
        ["-t", "3"], STREAM, ["stream", "-t", "3", "-O", "0"],
        lambda net: net.only_port(PORT)),
    Row("one-port-crr", "GoogleCloudPlatform/PerfKitBenchmarker#2965",
        "the same: a connection for each request",
        NO_CONNECTIONS, with_time(["-t", "TCP_CRR", "--", *REQUESTS], 3),
        ["crr", "-t", "3", "-O", "0"], lambda net: net.only_port(PORT), waits=True),
    Row("balancer", "kubernetes/kubernetes#63567",
        "a load balancer sends each connection to another of two servers",
        ["-t", "3"], STREAM, ["stream", "-t", "3", "-O", "0", "-P", "2"],
        lambda net: net.balanced(), host=bad_path_net.SERVICE, waits=True),
    Row("loss", "esnet/iperf#1152", "5 % of the packets are lost: a stream",
        ["-t", "4"], with_time(STREAM[2:], 4), ["stream", "-t", "4", "-O", "1"],
        lambda net: net.loss(5)),
    Row("udp-loss", "esnet/iperf#296", "90 % of the datagrams are lost on the way, at 20 Mbit/s",
        ["-u", "-b", "20M", "-l", "1400", "-t", "3"],
        with_time(["-t", "UDP_STREAM", "--", "-R", "1", "-m", "1400", *DATAGRAMS], 3),
        ["udp", "-b", "20M", "-t", "3", "-O", "0"],
        lambda net: net.loss(90, "udp length > 500"),
        warnings=("datagrams_lost", "receive_buffer_full")),
    Row("udp-rr-loss", "tohojo/flent#106", "1 % of the datagrams are lost: requests and responses",
        NO_REQUESTS, with_time(["-t", "UDP_RR", "--", *REQUESTS], 4),
        ["udp", "--rr", "-t", "4", "-O", "0"], lambda net: net.loss(1, "meta l4proto udp"),
        warnings=("lost_transactions",)),
    Row("shaper", "esnet/iperf#692", "a shaper of 100 Mbit/s on the way, which neither end sees",
        ["-t", "5"], with_time(STREAM[2:], 5), ["stream", "-t", "4", "-O", "1"],
        lambda net: net.shaper("100mbit", "64kb", "100ms")),
    Row("slow-link", "esnet/iperf#910", "a link of 512 kbit/s: three streams",
        ["-t", "10", "-P", "3"], with_time(STREAM[2:], 10),
        ["stream", "-t", "10", "-O", "0", "-P", "3"],
        lambda net: net.shaper("512kbit", "8kb", "400ms"), limit=90, waits=True),
    Row("interim", "tohojo/flent#195", "a link of 10 Mbit/s: results underway of an upload of 8 s",
        ["-t", "8", "-i", "1"],
        ["-P", "1", "-l", "8", "-D", "1", "-f", "m", "-t", "TCP_STREAM"],
        ["stream", "-t", "8", "-O", "0", "-i", "1"],
        lambda net: net.shaper("10mbit", "16kb", "100ms"), shows_interim=True, waits=True),
    Row("route-gone", "cilium/cilium#33159", "the route is gone for 2 s of 7: datagrams at 10 Mbit/s",
        ["-u", "-b", "10M", "-t", "7"],
        with_time(["-t", "UDP_STREAM", "--", "-R", "1", "-m", "1400", *DATAGRAMS], 7),
        ["udp", "-b", "10M", "-t", "7", "-O", "0"],
        lambda net: net.route_gone(2.5, 2), warnings=("transient_errors",)),
    Row("link-down", "esnet/iperf#1747", "the link is down for 2 s of 8: a stream",
        ["-t", "8"], with_time(STREAM[2:], 8), ["stream", "-t", "8", "-O", "0"],
        lambda net: net.link_down(2.5, 2), warnings=("transient_errors", "stream_stalled")),
    Row("resets", "kubernetes/kubernetes#74839",
        "one of 2,000 packets is answered by a reset: a connection for each request",
        NO_CONNECTIONS, with_time(["-t", "TCP_CRR", "--", *REQUESTS], 4),
        ["crr", "-t", "4", "-O", "0"], lambda net: net.resets(2000, PORT),
        warnings=("transient_errors", "connects_failed")),
    Row("one-stream", "esnet/iperf#1654", "one of three streams is reset in the middle of the run",
        ["-t", "5", "-P", "3"], ONE_STREAM, ["stream", "-t", "5", "-O", "0", "-P", "3"],
        midway=lambda net: net.kill_one_stream(PORT), warnings=("transient_errors",)),
    Row("offloads", "flannel-io/flannel#790",
        "the device's checksums are off, and so its segmentation",
        ["-t", "3"], STREAM, ["stream", "-t", "3", "-O", "0"],
        lambda net: net.checksums_by_hand(), warnings=("offloads_off",)),
    Row("timeout", "esnet/iperf#95", "timeout(1) ends it after 3 s of 30",
        ["-t", "30"], with_time(STREAM[2:], 30), ["stream", "-t", "30", "-O", "0"],
        before=("timeout", "3")),
    Row("full-disk", "esnet/iperf#316", "its output goes to a disk that is full (/dev/full)",
        ["-t", "1"], with_time(STREAM[2:], 1), ["stream", "-t", "1", "-O", "0"],
        to_full_disk=True),
)
BY_NAME = {row.name: row for row in ROWS}
HEADER = ["report", "condition", "iperf3", "netperf", "podperf"]
