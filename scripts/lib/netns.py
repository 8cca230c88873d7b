"""Where compare-peers runs things: network namespaces, servers, and timed runs of clients.

Enters: a path's name and command lines. Leaves: their output, with the machine's CPU use over exactly
that run. Whatever was started is ended, by its id, when the `with` block of its owner is left.
"""

import contextlib
import os
import resource
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import procstat
from listening import listens

SCRIPTS = Path(__file__).resolve().parent.parent
TESTBED = ("hostA", "hostB", "podA", "podB")  # the namespaces of scripts/twohosts
# A connection for each request uses up ports: tcp_tw_reuse(1) lets a client take one again after a
# second (Documentation/networking/ip-sysctl.rst), so that one tool does not leave the next without.
SETTINGS = {"tcp_tw_reuse": "1", "ip_local_port_range": "1024 65535"}
LOSSY = "podperf_compare"  # nft's table


class Failed(Exception):
    """A program could not be run, or failed."""


@dataclass(frozen=True)
class Place:
    """Where the two ends of a path are. A namespace of None is the script's own."""

    client: str | None
    server: str | None
    address: str


def places(prefix, root):
    """The paths there are: name -> place."""
    own = f"{prefix}-lo" if root else None
    paths = {"loopback": Place(own, own, "127.0.0.1")}
    if root:
        paths["veth"] = Place(f"{prefix}-hostA", f"{prefix}-hostB", "192.0.2.2")
        paths["vxlan"] = Place(f"{prefix}-podA", f"{prefix}-podB", "10.244.1.2")
    return paths


def call(*command):
    """Runs a short command; raises Failed with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")


@contextlib.contextmanager
def two_hosts(prefix):
    """The two-host testbed and a namespace with nothing but its loopback; gone afterwards."""
    with own_loopback(f"{prefix}-lo") as own:
        yield from two_hosts_beside(prefix, own)


@contextlib.contextmanager
def own_loopback(name):
    """A namespace with nothing but its loopback; gone afterwards."""
    try:
        if os.path.exists(f"/run/netns/{name}"):
            call("ip", "netns", "del", name)
        call("ip", "netns", "add", name)
        call("ip", "-n", name, "link", "set", "lo", "up")
        # netperf resolves no address where every interface has but a loopback one (AI_ADDRCONFIG).
        call("ip", "-n", name, "addr", "add", "192.0.2.9/32", "dev", "lo")
        yield name
    finally:
        if os.path.exists(f"/run/netns/{name}"):
            subprocess.run(["ip", "netns", "del", name], check=False)


def two_hosts_beside(prefix, own):
    """The testbed, and the settings of all its namespaces and of `own`."""
    try:
        call(str(SCRIPTS / "twohosts"), "up", "--prefix", prefix)
        for namespace in [own, *(f"{prefix}-{name}" for name in TESTBED)]:
            for setting, value in SETTINGS.items():
                call("ip", "netns", "exec", namespace, "sh", "-c",
                     f"echo '{value}' > /proc/sys/net/ipv4/{setting}")
        yield
    finally:
        subprocess.run([SCRIPTS / "twohosts", "down", "--prefix", prefix], check=False)


@contextlib.contextmanager
def server_and_two(prefix):
    """A namespace for servers and two for clients, each client on a link and in a network of its own:
    name -> namespace; gone afterwards.

    From `one` the server is 192.0.2.1, 2001:db8:1::1 and fe80::1%wire, from `two` 198.51.100.1. The
    server's links have the clients' names.
    """
    spaces = {name: f"{prefix}-{name}" for name in ("server", "one", "two")}
    nets = {"one": ("192.0.2", "2001:db8:1", "fe80"), "two": ("198.51.100", "2001:db8:2", "fe80")}
    server = spaces["server"]
    try:
        for space in spaces.values():
            call("ip", "netns", "add", space)
            call("ip", "-n", space, "link", "set", "lo", "up")
        for name, (ipv4, ipv6, link) in nets.items():
            client = spaces[name]
            call("ip", "-n", server, "link", "add", name, "type", "veth", "peer", "wire",
                 "netns", client)
            for space, device, number in ((server, name, 1), (client, "wire", 2)):
                def ip(*words):
                    call("ip", "-n", space, *words)

                ip("link", "set", device, "addrgenmode", "none")
                ip("addr", "add", f"{ipv4}.{number}/24", "dev", device)
                if os.path.isdir("/proc/sys/net/ipv6"):
                    ip("addr", "add", f"{ipv6}::{number}/64", "dev", device, "nodad")
                    ip("addr", "add", f"{link}::{number}/64", "dev", device, "nodad")
                ip("link", "set", device, "up")
        yield spaces
    finally:
        for space in spaces.values():
            if os.path.exists(f"/run/netns/{space}"):
                subprocess.run(["ip", "netns", "del", space], check=False)


@contextlib.contextmanager
def loss(namespace, ports, percent, least_bytes):
    """The host of a namespace drops `percent` (1 to 100) of the UDP datagrams to its `ports`, by lot.

    What sets flows up and ends them is shorter than `least_bytes` and passes: iperf3 sends the
    datagram that opens its flow but once.
    """
    to = ", ".join(str(port) for port in ports)
    rules = (f"add table inet {LOSSY}",
             f"add chain inet {LOSSY} in {{ type filter hook prerouting priority 0; }}",
             f"add rule inet {LOSSY} in udp dport {{ {to} }} udp length >= {least_bytes} "
             f"numgen random mod 100 <= {percent - 1} drop")
    call(*inside(namespace, ["nft", "; ".join(rules)]))
    try:
        yield
    finally:
        call(*inside(namespace, ["nft", f"delete table inet {LOSSY}"]))


def inside(namespace, command):
    """The command line that runs `command` in a namespace."""
    return ["ip", "netns", "exec", namespace, *command] if namespace else list(command)


def end(process):
    """Ends a process that leads a group of its own, and the group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=2)
            # What is left of the group (netserver's children) goes with SIGKILL.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=2)


@contextlib.contextmanager
def servers(namespace, commands, timeout_seconds=10):
    """Starts servers, (command, port) each, and waits until they listen: port -> process id. Ends them
    afterwards."""
    started, commands = [], list(commands)
    with tempfile.TemporaryFile() as log:
        try:
            for command, port in commands:
                process = subprocess.Popen(
                    inside(namespace, command), stdin=subprocess.DEVNULL, stdout=log,
                    stderr=subprocess.STDOUT, start_new_session=True,
                )
                started.append(process)
                await_port(process, command, port, timeout_seconds, log)
            yield {port: process.pid for (_, port), process in zip(commands, started)}
        finally:
            for process in started:
                end(process)


def await_port(process, command, port, timeout_seconds, log):
    """Waits until a server listens; raises Failed with its last words when it does not."""
    deadline = time.monotonic() + timeout_seconds
    while not listens(process.pid, port):
        if process.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            words = log.read().decode(errors="replace").strip()[-500:]
            raise Failed(f"{' '.join(command)}: does not listen on port {port}: {words}")
        time.sleep(0.02)


@dataclass(frozen=True)
class Outcome:
    """What a run of clients printed and took."""

    outputs: list
    seconds: float
    busy_core_seconds: float  # whole machine, this script included
    own_core_seconds: float = 0.0  # the clients' processes alone


def run(namespace, commands, timeout_seconds):
    """Runs the clients at once; raises Failed when one fails or takes too long.

    CPU is read before the first starts and after the last has ended, so each tool's own start and
    end are in it.
    """
    started = []
    before, own_before = procstat.read(), children_core_seconds()
    try:
        for command in commands:
            started.append(subprocess.Popen(
                inside(namespace, command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, start_new_session=True,
            ))
        deadline = time.monotonic() + timeout_seconds
        outputs = []
        for command, process in zip(commands, started):
            outputs.append(collect(command, process, deadline))
        use = procstat.busy_cores(before, procstat.read())
        own = children_core_seconds() - own_before
        return Outcome(outputs, use["seconds"], use["busy"] * use["seconds"], own)
    finally:
        for process in started:
            if process.poll() is None:
                end(process)
            process.stdout.close()
            process.stderr.close()


def children_core_seconds():
    """CPU time of all children that have ended and been waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def collect(command, process, deadline):
    """What a client printed."""
    try:
        out, err = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(command)}: still running at its deadline") from None
    if process.returncode != 0:
        words = (err.strip() or out.strip())[-500:]
        raise Failed(f"{' '.join(command)}: exit status {process.returncode}: {words}")
    return out
