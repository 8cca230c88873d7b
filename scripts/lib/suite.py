"""The tests of compare-peers: what is measured, by which of podperf's ways, against whom.

Enters: nothing. Leaves: the tests by name. peers.py says how each tool does them.
"""

from dataclasses import dataclass, replace

import peers


@dataclass(frozen=True)
class Test:
    """What is compared: the subjects, podperf's ways, against the peers, each against each."""

    name: str
    workload: str  # "stream", "udp", "rr" or "crr": podperf's subcommand; of netperf also "udp-rr"
    flows: int
    pinned: bool  # each end on a CPU of its own; else the scheduler decides
    subjects: tuple  # podperf's ways
    peers: tuple  # what they are held against
    paths: tuple | None = None  # only there
    load: int = 0  # bulk streams beside the flows
    bitrate: str | None = None  # udp: payload offered, bit/s; None: as fast as it goes
    loss_percent: int = 0  # of the datagrams, dropped by the receiving host
    warm_up: int = 0  # seconds before podperf counts; for tests of podperf against itself
    times_arrivals: bool = False  # udp at a rate: a capture tells how late the datagrams came

    @property
    def kind(self):
        """What it measures: the workload, told apart where other figures matter."""
        return "load" if self.load else "paced" if self.bitrate else self.workload

    def tools(self):
        return self.subjects + self.peers

    def beside_before(self):
        """The same test, with each of podperf's own ways of an earlier podperf among the peers."""
        before = tuple(way + peers.BEFORE for way in self.subjects if way in peers.PODPERF)
        return replace(self, peers=self.peers + before)

    def runs_on(self, path):
        return self.paths is None or path in self.paths


OURS = ("podperf",)
BACKENDS = (("podperf-uring",), ("podperf-epoll",))
VETH = ("veth",)
PACED_MBITS = (50, 200, 1000)
# podperf called as netperf, against netperf: one command line for both.
BY_NAME = (("podperf-as-netperf",), ("netperf",))
TESTS = {
    test.name: test
    for test in (
        Test("stream1", "stream", 1, False, OURS, ("netperf", "iperf3")),
        Test("stream4", "stream", 4, False, OURS, ("netperf", "iperf3")),
        Test("stream4-fast", "stream", 4, False, ("podperf-fast",), tuple(peers.IPERF3)),
        Test("rr1", "rr", 1, False, OURS, ("netperf", "sockperf")),
        Test("rr1-pinned", "rr", 1, True, ("podperf", "podperf-spin"), ("netperf", "sockperf")),
        Test("rr64", "rr", 64, True, *BACKENDS, VETH, warm_up=1),
        Test("rr512", "rr", 512, True, *BACKENDS, VETH, warm_up=1),
        Test("load", "rr", 1, False, OURS, ("netperf",), load=4),
        Test("crr", "crr", 1, False, OURS, ("netperf",)),
        Test("udp", "udp", 1, False, OURS, ("netperf", "iperf3")),
        # Rates far below what any path carries tell of the tool, so one path is enough.
        *(Test(f"udp-paced-{mbits}", "udp", 1, False, ("podperf", "podperf-burst"), ("iperf3",), VETH,
               bitrate=f"{mbits}M", times_arrivals=True) for mbits in PACED_MBITS),
        # Less still, so that the receiver's buffer holds 40 ms and only the rule loses any.
        Test("udp-loss", "udp", 1, False, OURS, ("iperf3",), VETH, bitrate="50M", loss_percent=2),
        Test("netperf-tcp", "stream", 1, True, *BY_NAME),
        Test("netperf-tcp4", "stream", 4, True, *BY_NAME),
        Test("netperf-rr", "rr", 1, True, *BY_NAME),
        Test("netperf-crr", "crr", 1, True, *BY_NAME),
        Test("netperf-udp", "udp", 1, True, *BY_NAME),
        Test("netperf-udprr", "udp-rr", 1, True, *BY_NAME),
    )
}
# What --all runs: half an hour. The others are a quarter more.
ALL = tuple(name for name, test in TESTS.items() if (test.subjects, test.peers) != BY_NAME
            and name not in ("udp-paced-50", "udp-paced-1000"))
FIRST_LOOK = ("stream1", "stream4", "rr1", "rr1-pinned")  # what runs unless said
