"""The tools that compare-peers drives: how each is started, and how its output is read.

Enters: a test and where it goes. Leaves: command lines, and a reading of what a tool printed. Starts
nothing itself. Every tool is given the same duration, congestion control (sockperf cannot choose it)
and CPUs, and in all tests but the `fast` one the same message size.

A tool is a program with a way of using it: `podperf` and `podperf-spin` are two. A test holds its
subjects, podperf's ways, against its peers, each against each.
"""

import json
import re
from dataclasses import dataclass

MESSAGE_BYTES = 131072  # stream: 128 KiB, what one send call is given
EXCHANGE_BYTES = 14  # rr and crr: the least that sockperf can send (its header)
DATAGRAM_BYTES = 1400  # udp: fits the MTU of every path, VXLAN's too

# What podperf's ways add to its plain command line. `podperf-fast` has the methods, the message size
# and the placement that suit each path: with both CPUs named on both ends, the sender and the
# receiver of one flow share a CPU.
_SPLICED = ["--send", "splice", "--recv", "trunc", "-l", "512K",
            "--pin", "{cpus}", "--server-pin", "{cpus}"]
FAST = {"loopback": _SPLICED, "veth": _SPLICED, "vxlan": _SPLICED}
ONE_WORKER = ["--workers", "1", "--server-workers", "1"]
PODPERF = {
    "podperf": [],
    "podperf-fast": FAST,
    "podperf-spin": ["--wait", "spin", "--server-wait", "spin"],
    "podperf-epoll": ["--backend", "epoll", *ONE_WORKER],
    "podperf-uring": ["--backend", "uring", *ONE_WORKER],
}
# iperf3's ways: sendfile, receiving without copying (since 3.19), both, and podperf's long messages.
IPERF3 = {
    "iperf3": [],
    "iperf3-Z": ["-Z"],
    "iperf3-skip": ["--skip-rx-copy"],
    "iperf3-Z-skip": ["-Z", "--skip-rx-copy"],
    "iperf3-1M": ["-l", "1M"],
    "iperf3-Z-1M": ["-Z", "-l", "1M"],
}


@dataclass(frozen=True)
class Test:
    """What is compared."""

    name: str
    workload: str  # "stream", "udp", "rr" or "crr": podperf's subcommand
    flows: int
    pinned: bool  # each end on a CPU of its own; else the scheduler decides
    subjects: tuple  # podperf's ways
    peers: tuple  # what they are held against
    paths: tuple | None = None  # only there

    def tools(self):
        return self.subjects + self.peers

    def runs_on(self, path):
        return self.paths is None or path in self.paths


OURS = ("podperf",)
TESTS = {
    test.name: test
    for test in (
        Test("stream1", "stream", 1, False, OURS, ("netperf", "iperf3")),
        Test("stream4", "stream", 4, False, OURS, ("netperf", "iperf3")),
        Test("stream4-fast", "stream", 4, False, ("podperf-fast",), tuple(IPERF3)),
        Test("rr1", "rr", 1, False, OURS, ("netperf", "sockperf")),
        Test("rr1-pinned", "rr", 1, True, ("podperf", "podperf-spin"), ("netperf", "sockperf")),
        Test("rr64", "rr", 64, True, ("podperf-uring",), ("podperf-epoll",), ("veth",)),
        Test("rr512", "rr", 512, True, ("podperf-uring",), ("podperf-epoll",), ("veth",)),
        Test("crr", "crr", 1, False, OURS, ("netperf",)),
        Test("udp", "udp", 1, False, OURS, ("netperf", "iperf3")),
    )
}
FIRST_LOOK = ("stream1", "stream4", "rr1", "rr1-pinned")  # what runs unless said


@dataclass(frozen=True)
class Target:
    """Where a test goes, and how."""

    address: str
    seconds: int
    congestion_control: str
    client_cpu: int  # for pinned tests
    server_cpu: int
    path: str = "loopback"


@dataclass(frozen=True)
class Reading:
    """What a tool says it measured."""

    rate: float  # streams and udp: received, Gbit/s; rr and crr: transactions/s
    work: float  # all it moved: Gbit, or transactions
    latency_us: float | None = None  # rr and crr: mean round trip
    user_share: float | None = None  # podperf's streams: its user time, % of all CPU time


class Unreadable(Exception):
    """A tool's output lacks a figure."""


class Tool:
    """One tool: a program, by its path, and a way of using it."""

    program = ""

    def __init__(self, path, name=None):
        self.path = path
        self.name = name or self.program

    def version_command(self):
        return [self.path, "--version"]

    def check_command(self, test, target):
        """A command that fails when the program does not know what this way needs; or None."""
        return None

    def servers(self, target):
        """Command lines of the servers, each with the TCP port it is to listen on."""
        raise NotImplementedError

    def clients(self, test, target):
        """Command lines of the clients that together are one run."""
        raise NotImplementedError

    def read(self, test, outputs):
        """The reading from the clients' standard outputs, in their order."""
        raise NotImplementedError


class Podperf(Tool):
    program = "podperf"
    port = 25210

    def servers(self, target):
        return [([self.path, "serve", "-p", str(self.port)], self.port)]

    def check_command(self, test, target):
        # With --help behind, the options before it are read and nothing is measured.
        return [*self.clients(test, target)[0], "--help"]

    def options(self, target):
        """What this way adds."""
        options = PODPERF[self.name]
        options = options[target.path] if isinstance(options, dict) else options
        cpus = f"{target.client_cpu},{target.server_cpu}"
        return [option.format(cpus=cpus) for option in options]

    def clients(self, test, target):
        # No warm-up (-O 0): the others count from the first byte too.
        command = [self.path, test.workload, target.address, "-p", str(self.port),
                   "-P", str(test.flows), "-t", str(target.seconds), "-O", "0", "-J"]
        own = self.options(target)
        if test.workload == "udp":
            command += ["-b", "0", "-l", str(DATAGRAM_BYTES)]
        else:
            command += ["-C", target.congestion_control]
        if test.workload == "stream" and "-l" not in own:
            command += ["-l", "128K", "--send", "write"]
        if test.workload in ("rr", "crr"):
            command += ["--request", str(EXCHANGE_BYTES), "--response", str(EXCHANGE_BYTES)]
        if test.pinned:
            command += ["--pin", str(target.client_cpu), "--server-pin", str(target.server_cpu)]
        return [command + own]

    def read(self, test, outputs):
        run = parse_json(self.name, outputs[0])
        if dig(self.name, run, "status") != "complete":
            raise Unreadable(f"podperf: the run is incomplete: {run.get('errors')}")
        if test.workload in ("stream", "udp"):
            return Reading(
                dig(self.name, run, "throughput", "bits_per_second") / 1e9,
                dig(self.name, run, "throughput", "bytes_received") * 8 / 1e9,
                user_share=user_share(run),
            )
        return Reading(
            dig(self.name, run, "transactions", "per_second"),
            dig(self.name, run, "transactions", "count"),
            dig(self.name, run, "latency", "mean") / 1e3,
        )


def user_share(run):
    """User time of both podperf processes in % of the machine's CPU time; None where unknown.

    Both ends share the machine here, so either end's /proc/stat covers both.
    """
    try:
        cpu = run["cpu"]
        user = sum(cpu[end]["process"]["user"] for end in ("client", "server"))
        return 100 * user / cpu["client"]["busy"]
    except (KeyError, TypeError, ZeroDivisionError):
        return None


class Netperf(Tool):
    """netperf has one flow a process, so several flows are several processes at once."""

    program = "netperf"
    port = 22865

    def version_command(self):
        return [self.path, "-V"]

    def servers(self, target):
        server = re.sub(r"netperf$", "netserver", self.path)
        return [([server, "-D", "-4", "-p", str(self.port)], self.port)]

    def clients(self, test, target):
        command = [self.path, "-H", target.address, "-p", str(self.port), "-P", "0",
                   "-l", str(target.seconds)]
        if test.pinned:
            command += ["-T", f"{target.client_cpu},{target.server_cpu}"]
        control = ["-K", f"{target.congestion_control},{target.congestion_control}"]
        if test.workload in ("stream", "udp"):
            kind, bytes_, control = {
                "stream": ("TCP_STREAM", MESSAGE_BYTES, control),
                # Its datagrams leave by no route unless told so (-R 1).
                "udp": ("UDP_STREAM", DATAGRAM_BYTES, ["-R", "1"]),
            }[test.workload]
            command += ["-t", kind, "-f", "m", "--", "-m", str(bytes_), "-M", str(bytes_), *control,
                        "-o", "REMOTE_RECV_THROUGHPUT,ELAPSED_TIME"]
        else:
            # RT_LATENCY is time divided by transactions; -j, which times each one, would slow it.
            kind = "TCP_RR" if test.workload == "rr" else "TCP_CRR"
            command += ["-t", kind, "--", "-r", f"{EXCHANGE_BYTES},{EXCHANGE_BYTES}", *control,
                        "-o", "TRANSACTION_RATE,ELAPSED_TIME,RT_LATENCY"]
        return [command] * test.flows

    def read(self, test, outputs):
        bulk = test.workload in ("stream", "udp")
        rows = [self.row(output, 2 if bulk else 3) for output in outputs]
        if bulk:
            return Reading(
                sum(mbits for mbits, _ in rows) / 1e3,
                sum(mbits * seconds for mbits, seconds in rows) / 1e3,
            )
        rate, seconds, latency = rows[0]
        return Reading(rate, rate * seconds, latency)

    def row(self, output, count):
        lines = output.strip().splitlines()
        cells = lines[-1].split(",") if lines else []
        try:
            row = [float(cell) for cell in cells]
        except ValueError:
            row = []
        if len(row) != count or min(row) <= 0:
            raise Unreadable(f"netperf: not {count} figures above zero: {output.strip()!r}")
        return row


class Iperf3(Tool):
    program = "iperf3"
    port = 25201

    def check_command(self, test, target):
        # -v prints the version and ends, after the options before it have been read.
        return [*self.clients(test, target)[0], "-v"]

    def servers(self, target):
        return [([self.path, "-s", "-4", "-p", str(self.port)], self.port)]

    def clients(self, test, target):
        own = IPERF3[self.name]
        command = [self.path, "-c", target.address, "-p", str(self.port), "-P", str(test.flows),
                   "-t", str(target.seconds), "-J"]
        if test.workload == "udp":
            return [[*command, "-u", "-b", "0", "-l", str(DATAGRAM_BYTES)]]
        size = [] if "-l" in own else ["-l", "128K"]
        return [[*command, *size, "-C", target.congestion_control, *own]]

    def read(self, test, outputs):
        run = parse_json(self.name, outputs[0])
        if "error" in run:
            raise Unreadable(f"iperf3: {run['error']}")
        return Reading(
            dig(self.name, run, "end", "sum_received", "bits_per_second") / 1e9,
            dig(self.name, run, "end", "sum_received", "bytes") * 8 / 1e9,
        )


class Sockperf(Tool):
    """sockperf leaves out what it sent in its first 0.4 s and last 0.05 s."""

    program = "sockperf"
    port = 21111
    pinned_port = 21112

    def servers(self, target):
        def server(port):
            return [self.path, "server", "--tcp", "-i", target.address, "-p", str(port)]

        pinned = ["taskset", "-c", str(target.server_cpu), *server(self.pinned_port)]
        return [(server(self.port), self.port), (pinned, self.pinned_port)]

    def clients(self, test, target):
        port = self.pinned_port if test.pinned else self.port
        command = [self.path, "ping-pong", "--tcp", "-i", target.address, "-p", str(port),
                   "-t", str(target.seconds), "-m", str(EXCHANGE_BYTES), "--full-rtt"]
        if test.pinned:
            command = ["taskset", "-c", str(target.client_cpu), *command]
        return [command]

    def read(self, test, outputs):
        text = outputs[0]
        seconds, received = self.figures(
            r"\[Valid Duration\] RunTime=([\d.]+) sec; SentMessages=\d+; ReceivedMessages=(\d+)", text
        )
        (everything,) = self.figures(r"\[Total Run\].*ReceivedMessages=(\d+)", text)
        (latency,) = self.figures(r"Summary: Round trip is ([\d.]+) usec", text)
        if seconds <= 0 or received <= 0:
            raise Unreadable("sockperf: nothing was received")
        return Reading(received / seconds, everything, latency)

    def figures(self, pattern, text):
        found = re.search(pattern, text)
        if not found:
            raise Unreadable(f"sockperf: no {pattern!r} in its output")
        return [float(figure) for figure in found.groups()]


PEERS = {tool.program: tool for tool in (Netperf, Iperf3, Sockperf)}
WAYS = {"netperf": ("netperf",), "iperf3": tuple(IPERF3), "sockperf": ("sockperf",)}


def parse_json(tool, text):
    """The JSON document a tool printed."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise Unreadable(f"{tool}: its output is not JSON: {error}") from None


def dig(tool, document, *path):
    """The value at a path of keys."""
    value = document
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
        if value is None:
            raise Unreadable(f"{tool}: no .{'.'.join(path)} in its JSON")
    return value
