"""The tools that compare-peers drives: how each is started, and how its output is read.

Enters: a test (suite.py) and where it goes. Leaves: command lines, and a reading of what a tool
printed. Starts nothing itself. Every tool is given the same duration, congestion control (sockperf
cannot choose it) and CPUs, and in all tests but the `fast` one the same message size.

A tool is a program with a way of using it: `podperf` and `podperf-spin` are two, and a third is
`podperf-as-netperf`, which is called by netperf's name and driven like it.
"""

import json
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

MESSAGE_BYTES = 131072  # stream: 128 KiB, what one send call is given
EXCHANGE_BYTES = 14  # rr and crr: the least that sockperf can send (its header)
DATAGRAM_BYTES = 1400  # udp: fits the MTU of every path, VXLAN's too
# Socket buffers of datagrams at a rate: the most that Linux grants unless configured (socket(7),
# rmem_max). It grants the double, twice what a socket has by itself, so that a receiver that waits
# some milliseconds for a CPU loses nothing.
BUFFER = "208K"

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
    "podperf-burst": ["--pacing", "burst"],
}
ALLOWING = ("--allow-client-affinity", "--allow-client-spin")
BEFORE = "-before"  # behind a way: the same way of an earlier podperf
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
    work: float | None  # all it moved: Gbit, or transactions; None where it moved both
    latency_us: float | None = None  # rr and crr: mean round trip
    user_share: float | None = None  # podperf's streams: its user time, % of all CPU time
    bulk_rate: float | None = None  # load: received by the streams beside the flow, Gbit/s
    loss_percent: float | None = None  # udp: of the datagrams sent
    jitter_us: float | None = None  # udp: interarrival jitter of RFC 3550


class Unreadable(Exception):
    """A tool's output lacks a figure."""


class Tool:
    """One tool: a program, by its path, and a way of using it."""

    program = ""

    def __init__(self, path, name=None):
        self.path = path
        self.name = name or self.program

    def called(self):
        """The program in reports."""
        return Path(self.path).name

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
        return [([self.path, "serve", "-p", str(self.port), *self.allowing()], self.port)]

    def allowing(self):
        """Options by which a client on another host may choose CPUs and waiting, as some tests do."""
        return list(ALLOWING)

    def check_command(self, test, target):
        # With --help behind, the options before it are read and nothing is measured.
        return [*self.clients(test, target)[0], "--help"]

    def options(self, target):
        """What this way adds."""
        options = PODPERF[self.name.removesuffix(BEFORE)]
        options = options[target.path] if isinstance(options, dict) else options
        cpus = f"{target.client_cpu},{target.server_cpu}"
        return [option.format(cpus=cpus) for option in options]

    def clients(self, test, target):
        # No warm-up (-O 0) beside the others, which count from the first byte too.
        command = [self.path, test.workload, target.address, "-p", str(self.port),
                   "-P", str(test.flows), "-t", str(target.seconds), "-O", str(test.warm_up), "-J"]
        own = self.options(target)
        if test.workload == "udp":
            command += datagrams(test)
        else:
            command += ["-C", target.congestion_control]
        if test.load:
            command += ["--load", str(test.load), "--load-length", "128K"]
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

        def figure(*path):
            return dig(self.name, run, *path)

        if test.workload in ("stream", "udp"):
            reading = Reading(
                figure("throughput", "bits_per_second") / 1e9,
                figure("throughput", "bytes_received") * 8 / 1e9,
                user_share=user_share(run),
            )
            if test.workload == "stream":
                return reading
            return replace(reading, loss_percent=figure("udp", "datagrams", "loss_share") * 100,
                           jitter_us=figure("udp", "datagrams", "jitter_us"))
        reading = Reading(figure("transactions", "per_second"), figure("transactions", "count"),
                          figure("latency", "mean_ns") / 1e3)
        if test.load:
            bulk = figure("load", "bits_per_second") / 1e9
            return replace(reading, work=None, bulk_rate=bulk)
        if test.warm_up:
            # The CPU time has the warm-up in it, so its transactions count; both ends receive each.
            received = sum(dig(self.name, stream, "lifetime", "bytes_received")
                           for stream in figure("streams"))
            return replace(reading, work=received / (2 * EXCHANGE_BYTES))
        return reading


class PodperfBefore(Podperf):
    """An earlier podperf, used in one of the ways: what a change costs or gives."""

    port = 25211

    def allowing(self):
        """An older one has no such options: there every client may."""
        usage = subprocess.run([self.path, "serve", "--help"], capture_output=True, text=True,
                               stdin=subprocess.DEVNULL, check=False).stdout
        return [option for option in ALLOWING if option in usage]

    def called(self):
        return "podperf-before"


def datagrams(test):
    """What podperf and iperf3 are both told of datagrams; the words are the same."""
    offered = ["-b", test.bitrate, "-w", BUFFER] if test.bitrate else ["-b", "0"]
    return [*offered, "-l", str(DATAGRAM_BYTES)]


def user_share(run):
    """User time of both podperf processes in % of the machine's CPU time; None where unknown.

    Both ends share the machine here, so either end's /proc/stat covers both.
    """
    try:
        cpu = run["cpu"]
        user = sum(cpu[end]["process"]["user_cores"] for end in ("client", "server"))
        return 100 * user / cpu["client"]["busy_cores"]
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
        # With a load all start at once; the flow's set-up then already meets the load.
        return ([self.client(test.workload, test, target)] * test.flows
                + [self.client("stream", test, target)] * test.load)

    def client(self, workload, test, target):
        """The command line of one flow."""
        command = [self.path, "-H", target.address, "-p", str(self.port), "-P", "0",
                   "-l", str(target.seconds)]
        if test.pinned:
            command += ["-T", f"{target.client_cpu},{target.server_cpu}"]
        control = ["-K", f"{target.congestion_control},{target.congestion_control}"]
        if workload in ("stream", "udp"):
            kind, bytes_, control = {
                "stream": ("TCP_STREAM", MESSAGE_BYTES, control),
                # Its datagrams leave by no route unless told so (-R 1).
                "udp": ("UDP_STREAM", DATAGRAM_BYTES, ["-R", "1"]),
            }[workload]
            command += ["-t", kind, "-f", "m", "--", "-m", str(bytes_), "-M", str(bytes_), *control,
                        "-o", "REMOTE_RECV_THROUGHPUT,ELAPSED_TIME"]
        else:
            # RT_LATENCY is time divided by transactions; -j, which times each one, would slow it.
            kind = {"rr": "TCP_RR", "crr": "TCP_CRR", "udp-rr": "UDP_RR"}[workload]
            control = [] if workload == "udp-rr" else control
            command += ["-t", kind, "--", "-r", f"{EXCHANGE_BYTES},{EXCHANGE_BYTES}", *control,
                        "-o", "TRANSACTION_RATE,ELAPSED_TIME,RT_LATENCY"]
        return command

    def read(self, test, outputs):
        if test.workload in ("stream", "udp"):
            return self.bulk(outputs)
        rate, seconds, latency = self.row(outputs[0], 3)
        if test.load:
            return Reading(rate, None, latency, bulk_rate=self.bulk(outputs[test.flows:]).rate)
        return Reading(rate, rate * seconds, latency)

    def bulk(self, outputs):
        """Streams, or datagrams, added up."""
        rows = [self.row(output, 2) for output in outputs]
        return Reading(sum(mbits for mbits, _ in rows) / 1e3,
                       sum(mbits * seconds for mbits, seconds in rows) / 1e3)

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


class AsNetperf(Netperf):
    """podperf by netperf's name: `path` is a link to it, and one of netserver's name stands beside."""

    port = 22866
    links = ("netperf", "netserver")

    def servers(self, target):
        # netperf's netserver binds itself to the CPU that a client names (-T), podperf's only where
        # it is allowed to. Unbound, both ends can share a CPU: that is another test.
        ((command, port),) = super().servers(target)
        return [([*command, "--allow-client-affinity"], port)]

    def called(self):
        return self.name

    def check_command(self, test, target):
        # An older podperf does not mind what it is called.
        return ["sh", "-c", '"$0" -V | grep "^Netperf version" || '
                            '{ echo "this podperf is no netperf" >&2; exit 1; }', self.path]


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
            return [[*command, "-u", *datagrams(test)]]
        size = [] if "-l" in own else ["-l", "128K"]
        return [[*command, *size, "-C", target.congestion_control, *own]]

    def read(self, test, outputs):
        run = parse_json(self.name, outputs[0])
        if "error" in run:
            raise Unreadable(f"iperf3: {run['error']}")

        def figure(key):
            return dig(self.name, run, "end", "sum_received", key)

        reading = Reading(figure("bits_per_second") / 1e9, figure("bytes") * 8 / 1e9)
        if test.workload == "stream":
            return reading
        return replace(reading, loss_percent=figure("lost_percent"),
                       jitter_us=figure("jitter_ms") * 1e3)


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
