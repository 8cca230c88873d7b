"""What scripts/soak plays: runs of every workload and method, and those who disturb them.

Enters: podperf's program. Leaves: rounds of runs, and what the servers hold at rest.
"""

import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import time
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path

import netns
from fault_bench import LOOPBACK, Program, quietly, until
from fault_tools import Podperf
from listening import listens

SENDS = ("write", "zerocopy", "sendfile", "splice", "uring", "uring-zc")
RECEIVES = ("read", "trunc", "mmap", "uring")
RUN_SECONDS = "0.5"
# A response that is lost is waited for less long than a run lasts: a window without any fails.
WITH_RESPONSES = ["--rr", "--timeout", "50ms"]
ENDS = 40  # seconds after which a client hangs, whatever happened to it
DISTURBED = ("killed", "stopped", "reset", "full disk")
Held = namedtuple("Held", "resident_bytes threads descriptors")


@dataclass(frozen=True)
class Run:
    """A client, and what happens to it."""

    command: tuple
    port: int
    what: str  # "undisturbed", or one of DISTURBED


class Server:
    def __init__(self, name, program, port):
        self.name, self.program, self.port = name, program, port

    def held(self):
        threads, descriptors, _ = self.program.held()
        return Held(self.program.resident_bytes(), threads, descriptors)


class Field:
    """The servers, and everything that is played with them."""

    def __init__(self, podperf, directory, full, seed):
        self.podperf, self.directory, self.full = podperf, directory, full
        self.draw = random.Random(seed)
        self.numbers = itertools.count(1)
        self.servers = []
        for name in ("netperf", "netserver"):
            (directory / name).symlink_to(podperf)

    def start(self):
        commands = {"podperf serve": ([self.podperf, "serve", "--bind", LOOPBACK, "-p", "24000",
                                       "--peer-timeout", "2", "-q"], 24000),
                    "netserver": ([str(self.directory / "netserver"), "-D", "-L", LOOPBACK, "-p",
                                   "24001", "--idle-timeout", "5", "--allow-udp-send"], 24001)}
        for name, (command, port) in commands.items():
            program = Program(self.directory, name.split()[0], command)
            self.servers.append(Server(name, program, port))
            if until(lambda: listens(program.pid, port), 10) is None:
                raise netns.Failed(f"{name} does not listen: {program.said()}")

    def end(self):
        for server in self.servers:
            server.program.end()

    def round(self):
        """Every workload and method once, in an order drawn by lot, a third of them disturbed."""
        commands = [(command, server) for server, all_of in
                    zip(self.servers, (self.of_podperf(), self.of_netperf())) for command in all_of]
        self.draw.shuffle(commands)
        runs = []
        for number, (command, server) in enumerate(commands):
            what = self.draw.choice(DISTURBED) if number % 3 == 0 else "undisturbed"
            runs.append(Run(tuple(command), server.port, what))
        return runs

    def of_podperf(self):
        base = [LOOPBACK, "-p", "24000", "-O", "0.1", "-t", RUN_SECONDS]
        for send, receive in itertools.product(SENDS, RECEIVES):
            way = self.draw.choice(([], ["-R"], ["--bidir"]))
            yield [self.podperf, "stream", *base, "--send", send, "--recv", receive, "-P",
                   str(self.draw.choice((1, 3, 9))), *way]
        for words in ([], ["-P", "3", "--rate", "500"], ["-P", "40", "--backend", "uring"],
                      ["-P", "40", "--backend", "epoll"], ["--load", "2"], ["--burst", "8"]):
            yield [self.podperf, "rr", *base, *words]
        for words in ([], ["-P", "4"], ["--close", "client"]):
            yield [self.podperf, "crr", *base, *words]
        for words in (["-b", "50M"], ["-b", "0", "-R"], WITH_RESPONSES, [*WITH_RESPONSES, "-P", "4"]):
            yield [self.podperf, "udp", *base, *words]

    def of_netperf(self):
        netperf = str(self.directory / "netperf")
        base = [netperf, "-H", LOOPBACK, "-p", "24001", "-l", "1", "-P", "0"]
        for test in ("TCP_STREAM", "TCP_MAERTS", "TCP_RR", "TCP_CRR", "TCP_CC", "UDP_STREAM", "UDP_RR",
                     "TCP_SENDFILE"):
            extra = ["--", "-R", "1"] if test == "UDP_STREAM" else []
            # The classic wire, as a real netperf speaks it, and podperf's own.
            yield [*base, "-t", test, "--native", "off", *extra]
            yield [*base, "-t", test, *extra]

    def play(self, run):
        """A run, and what happens to it. What is wrong with it, or None."""
        number = next(self.numbers)
        options = {}
        if run.what == "full disk":
            options["stdout"] = open(self.full, "wb")
        client = Program(self.directory, f"run-{number}", run.command, **options)
        try:
            if run.what in ("killed", "stopped", "reset"):
                time.sleep(self.draw.uniform(0.05, 0.4))
                self.disturb(client, run)
            done = client.wait(ENDS)
        finally:
            client.end()
            for path in client.paths:
                path.unlink(missing_ok=True)
            if options:
                options["stdout"].close()
        line = " ".join(run.command[1:])
        if done.status is None:
            return f"{run.what}: still running after {ENDS} s: {line}: {done.last_words()}"
        if "panicked" in done.text:
            return f"{run.what}: it panics: {line}: {done.last_words()}"
        if run.what == "undisturbed" and done.status != 0:
            return f"undisturbed: exit {done.status}: {line}: {done.last_words()}"
        if run.what == "full disk" and done.status == 0:
            return f"full disk: exit 0: {line}"
        return None

    def disturb(self, client, run):
        if run.what == "killed":
            client.signal(signal.SIGKILL)
        elif run.what == "stopped":
            client.signal(signal.SIGSTOP)
            time.sleep(self.draw.choice((0.3, 3)))
            client.signal(signal.SIGCONT)
        else:
            for port in local_ports(client.pid):
                subprocess.run(["ss", "-K", "-tnH", f"dport = :{run.port} and sport = :{port}"],
                               capture_output=True)

    def strangers(self, stack):
        """Connections that are no client's, open until the round is over: name, number."""
        for server in self.servers:
            silent = [self.connect(stack, server.port) for _ in range(20)]
            garbage = [self.connect(stack, server.port) for _ in range(5)]
            half = [self.connect(stack, server.port) for _ in range(5)]
            for end in garbage:
                quietly(end.sendall, self.draw.randbytes(self.draw.randrange(1, 5000)))
            for end in half:
                text = Podperf.OPENING + b"\0\0\0\x40{" if server is self.servers[0] else b"\0\0\0\x61"
                quietly(end.sendall, text)
            for name, ends in (("silent", silent), ("garbage", garbage), ("half-open", half)):
                yield name, len(ends)

    def connect(self, stack, port):
        end = stack.enter_context(socket.socket())
        end.settimeout(5)
        quietly(end.connect, (LOOPBACK, port))
        return end

    def at_rest(self, server, wanted, within):
        """What a server holds once it holds no more than is wanted, or does not change for a second."""
        if not server.program.alive():
            raise netns.Failed(f"{server.name} is gone: {server.program.said()[-500:]}")
        last, since, begun = server.held(), time.monotonic(), time.monotonic()
        while time.monotonic() < begun + within:
            now = server.held()
            if wanted and now.threads <= wanted.threads and now.descriptors <= wanted.descriptors:
                return now
            if (now.threads, now.descriptors) != (last.threads, last.descriptors):
                last, since = now, time.monotonic()
            if wanted is None and time.monotonic() > since + 6:
                return now
            time.sleep(0.05)
        return server.held()

    def next_client(self, server):
        """The next client is served at once."""
        command = ([self.podperf, "rr", LOOPBACK, "-p", "24000", "-n", "100"]
                   if server is self.servers[0] else
                   [str(self.directory / "netperf"), "-H", LOOPBACK, "-p", "24001", "-t", "TCP_RR",
                    "-l", "-100"])
        done = Program(self.directory, "next", command).wait(5)
        return [] if done.status == 0 else [f"{server.name}: the next client: {done.last_words()}"]


def local_ports(pid):
    """The local ports of a process's TCP connections."""
    with contextlib.suppress(OSError):
        links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
        rows = [line.split() for table in ("tcp", "tcp6")
                for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]]
        return [int(row[1].rpartition(":")[2], 16) for row in rows if row[9] in inodes]
    return []


@contextlib.contextmanager
def full_disk(directory):
    """A file on a file system without room; /dev/full where none can be mounted."""
    if os.geteuid() != 0:
        yield "/dev/full"
        return
    place = directory / "full"
    place.mkdir()
    netns.call("mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=4", "none", str(place))
    try:
        with contextlib.suppress(OSError):
            (place / "filler").write_bytes(bytes(4096))
        yield place / "output"
    finally:
        netns.call("umount", "-l", str(place))
