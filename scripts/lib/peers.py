"""The tools that compare-peers drives: how each is started, and how its output is read.

Enters: a test and where it goes. Leaves: command lines, and a reading of what a tool printed. Starts
nothing itself. Every tool is given the same duration, message size, congestion control (sockperf
cannot choose it) and CPUs.
"""

import json
import re
from dataclasses import dataclass

MESSAGE_BYTES = 131072  # stream: 128 KiB, what one send call is given
EXCHANGE_BYTES = 14  # rr: the least that sockperf can send (its header)


@dataclass(frozen=True)
class Test:
    """What is compared."""

    name: str
    workload: str  # "stream" or "rr"
    flows: int
    pinned: bool  # each end on a CPU of its own; else the scheduler decides


TESTS = {
    test.name: test
    for test in (
        Test("stream1", "stream", 1, False),
        Test("stream4", "stream", 4, False),
        Test("rr1", "rr", 1, False),
        Test("rr1-pinned", "rr", 1, True),
    )
}


@dataclass(frozen=True)
class Target:
    """Where a test goes, and how."""

    address: str
    seconds: int
    congestion_control: str
    client_cpu: int  # for pinned tests
    server_cpu: int


@dataclass(frozen=True)
class Reading:
    """What a tool says it measured."""

    rate: float  # stream: received, Gbit/s; rr: transactions/s
    work: float  # all it moved: Gbit, or transactions
    latency_us: float | None  # rr: mean round trip


class Unreadable(Exception):
    """A tool's output lacks a figure."""


class Tool:
    """One tool. `path` is its program; `flows_of` the tests it can run."""

    name = ""
    program = ""
    tests = ()

    def __init__(self, path):
        self.path = path

    def version_command(self):
        return [self.path, "--version"]

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
    name = program = "podperf"
    tests = tuple(TESTS)
    port = 25210

    def servers(self, target):
        return [([self.path, "serve", "-p", str(self.port)], self.port)]

    def clients(self, test, target):
        # No warm-up (-O 0): the others count from the first byte too.
        command = [self.path, test.workload, target.address, "-p", str(self.port),
                   "-P", str(test.flows), "-t", str(target.seconds), "-O", "0",
                   "-C", target.congestion_control, "-J"]
        if test.workload == "stream":
            command += ["-l", "128K"]
        else:
            command += ["--request", str(EXCHANGE_BYTES), "--response", str(EXCHANGE_BYTES)]
        if test.pinned:
            command += ["--pin", str(target.client_cpu), "--server-pin", str(target.server_cpu)]
        return [command]

    def read(self, test, outputs):
        run = parse_json(self.name, outputs[0])
        if dig(self.name, run, "status") != "complete":
            raise Unreadable(f"podperf: the run is incomplete: {run.get('errors')}")
        if test.workload == "stream":
            return Reading(
                dig(self.name, run, "throughput", "bits_per_second") / 1e9,
                dig(self.name, run, "throughput", "bytes_received") * 8 / 1e9,
                None,
            )
        return Reading(
            dig(self.name, run, "transactions", "per_second"),
            dig(self.name, run, "transactions", "count"),
            dig(self.name, run, "latency", "mean") / 1e3,
        )


class Netperf(Tool):
    """netperf has one flow a process, so several flows are several processes at once."""

    name = program = "netperf"
    tests = tuple(TESTS)
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
        both = f"{target.congestion_control},{target.congestion_control}"
        if test.workload == "stream":
            command += ["-t", "TCP_STREAM", "-f", "m", "--", "-m", str(MESSAGE_BYTES),
                        "-M", str(MESSAGE_BYTES), "-K", both,
                        "-o", "REMOTE_RECV_THROUGHPUT,ELAPSED_TIME"]
        else:
            # RT_LATENCY is time divided by transactions; -j, which times each one, would slow it.
            command += ["-t", "TCP_RR", "--", "-r", f"{EXCHANGE_BYTES},{EXCHANGE_BYTES}", "-K", both,
                        "-o", "TRANSACTION_RATE,ELAPSED_TIME,RT_LATENCY"]
        return [command] * test.flows

    def read(self, test, outputs):
        rows = [self.row(output, 2 if test.workload == "stream" else 3) for output in outputs]
        if test.workload == "stream":
            return Reading(
                sum(mbits for mbits, _ in rows) / 1e3,
                sum(mbits * seconds for mbits, seconds in rows) / 1e3,
                None,
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
    name = program = "iperf3"
    tests = ("stream1", "stream4")
    port = 25201

    def servers(self, target):
        return [([self.path, "-s", "-4", "-p", str(self.port)], self.port)]

    def clients(self, test, target):
        return [[self.path, "-c", target.address, "-p", str(self.port), "-P", str(test.flows),
                 "-t", str(target.seconds), "-l", "128K", "-C", target.congestion_control, "-J"]]

    def read(self, test, outputs):
        run = parse_json(self.name, outputs[0])
        if "error" in run:
            raise Unreadable(f"iperf3: {run['error']}")
        return Reading(
            dig(self.name, run, "end", "sum_received", "bits_per_second") / 1e9,
            dig(self.name, run, "end", "sum_received", "bytes") * 8 / 1e9,
            None,
        )


class Sockperf(Tool):
    """sockperf leaves out what it sent in its first 0.4 s and last 0.05 s."""

    name = program = "sockperf"
    tests = ("rr1", "rr1-pinned")
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


PEERS = {tool.name: tool for tool in (Netperf, Iperf3, Sockperf)}


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
