"""Stages on which one thing bounds a run, one for each verdict, and how a run on them is made.

Enters: the two-host testbed of scripts/twohosts and a podperf. Leaves: the verdict that a run told. A
stage is set up anew for each run and undone behind it. Where a stage can do with little CPU it does:
what the machine is busy with is then no part of it.
"""

import contextlib
import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import netns

ADDRESS = "192.0.2.2"  # of host B
RUN_SECONDS = 90  # for a run of a few seconds
TABLE = "inet podperf_verdicts"
RULES = 1000  # some microseconds a packet: more than sending and receiving it takes
QUOTA_PERIOD_US = 20_000


@dataclass(frozen=True)
class Stage:
    """What bounds a run, in words, and the command line that meets it."""

    verdict: str
    how: str
    options: str
    around: tuple = ()  # context managers of a Bench, entered before the server starts
    serve: tuple = ()
    loopback: bool = False


@dataclass
class Bench:
    """Where a stage is played: two hosts on one link, and what the stage put before its programs."""

    prefix: str
    podperf: str
    directory: Path
    environment: dict = field(default_factory=dict)
    before: dict = field(default_factory=dict)  # host -> words before podperf, instead of `ip netns exec`

    def place(self, host):
        return f"{self.prefix}-{host}"

    def command(self, host):
        return self.before.get(host) or ["ip", "netns", "exec", self.place(host)]

    def inside(self, host, *words):
        netns.call(*netns.inside(self.place(host), words))

    def play(self, stage):
        """One run on a stage: what bound it, and the evidence."""
        with contextlib.ExitStack() as stack:
            self.before, self.environment = {}, {}
            for condition in stage.around:
                stack.enter_context(condition(self))
            host = "hostA" if stage.loopback else "hostB"
            port = stack.enter_context(self.server(host, stage))
            target = f"{'127.0.0.1' if stage.loopback else ADDRESS}:{port}"
            workload, *options = stage.options.split()
            words = [*self.command("hostA"), self.podperf, workload, target, "-J", *options]
            done = subprocess.run(words, capture_output=True, text=True, timeout=RUN_SECONDS,
                                  stdin=subprocess.DEVNULL, env=self.variables(), check=False)
        try:
            verdict = json.loads(done.stdout)["verdict"]
        except (ValueError, KeyError) as error:
            raise netns.Failed(f"{stage.options}: no result: {done.stderr.strip()}") from error
        return verdict["bound_by"], verdict["evidence"]

    def variables(self):
        none = {"PODPERF_CALIBRATION": "/nonexistent/calibration.json"}
        return {**os.environ, **none, **self.environment}

    @contextlib.contextmanager
    def server(self, host, stage):
        """The port of a server that runs meanwhile."""
        bind = "127.0.0.1" if stage.loopback else "0.0.0.0"
        words = [*self.command(host), self.podperf, "serve", "-p", "0", "--bind", bind, *stage.serve]
        server = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True, env=self.variables())
        try:
            said = []
            for line in server.stderr:
                said.append(line)
                found = re.search(r"listening on \S*:(\d+)", line)
                if found:
                    yield int(found[1])
                    return
            raise netns.Failed(f"podperf serve: {''.join(said).strip()}")
        finally:
            server.kill()
            server.wait()
            server.stderr.close()


def shaper(host, rate, queue_ms=50):
    """What a host sends is shaped (tbf)."""

    @contextlib.contextmanager
    def condition(bench):
        bench.inside(host, "tc", "qdisc", "replace", "dev", "wire", "root", "tbf", "rate", rate,
                     "burst", "10000", "latency", f"{queue_ms}ms")
        try:
            yield
        finally:
            bench.inside(host, "tc", "qdisc", "delete", "dev", "wire", "root")

    return condition


def setting(host, name, value):
    """A setting of IPv4, until the end of the stage."""

    @contextlib.contextmanager
    def condition(bench):
        file = f"/proc/sys/net/ipv4/{name}"
        before = subprocess.run(netns.inside(bench.place(host), ["cat", file]), text=True,
                                capture_output=True, check=True).stdout.strip()
        write = "echo \"$1\" > \"$0\""
        bench.inside(host, "sh", "-c", write, file, value)
        try:
            yield
        finally:
            bench.inside(host, "sh", "-c", write, file, before)

    return condition


@contextlib.contextmanager
def small_packets(bench):
    """Host A sends a segment a packet, as on a wire."""
    bench.inside("hostA", "ip", "link", "set", "dev", "wire", "gso_max_segs", "1")
    try:
        yield
    finally:
        bench.inside("hostA", "ip", "link", "set", "dev", "wire", "gso_max_segs", "65535")


def loss(per_thousand):
    """Packets are dropped by lot as they come to host B."""

    @contextlib.contextmanager
    def condition(bench):
        rules = (f"add table {TABLE}",
                 f"add chain {TABLE} in {{ type filter hook prerouting priority 0; }}",
                 f"add rule {TABLE} in meta l4proto tcp meta length > 1000 "
                 f"numgen random mod 1000 < {per_thousand} drop")
        bench.inside("hostB", "nft", "; ".join(rules))
        try:
            yield
        finally:
            bench.inside("hostB", "nft", f"delete table {TABLE}")

    return condition


@contextlib.contextmanager
def quota(bench):
    """The server has a twentieth of a CPU."""
    group = Path("/sys/fs/cgroup/cpu") / f"podperf-verdicts-{os.getpid()}"
    files = {"cpu.cfs_period_us": QUOTA_PERIOD_US, "cpu.cfs_quota_us": QUOTA_PERIOD_US // 20}
    if not group.parent.is_dir():
        group = Path("/sys/fs/cgroup") / group.name
        files = {"cpu.max": f"{QUOTA_PERIOD_US // 20} {QUOTA_PERIOD_US}"}
    group.mkdir()
    try:
        for name, value in files.items():
            (group / name).write_text(str(value), encoding="ascii")
        # `ip netns exec` mounts another /sys, without cgroups.
        bench.before["hostB"] = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec nsenter "$@"',
                                 str(group), f"--net=/run/netns/{bench.place('hostB')}"]
        yield
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()


@contextlib.contextmanager
def line_rate(bench):
    """Host A's device says that it is on a bus and has a line rate of 100 Mbit/s."""
    told = subprocess.run(["ip", "-n", bench.place("hostA"), "-o", "link", "show", "wire"],
                          capture_output=True, text=True, check=True).stdout
    device = "/sys/class/net/wire"
    script = (f"mount -t tmpfs none /sys/class/net && mkdir -p {device}/device && "
              f"echo {told.split(':')[0]} > {device}/ifindex && echo 100 > {device}/speed && "
              'exec "$@"')
    bench.before["hostA"] = ["ip", "netns", "exec", bench.place("hostA"), "sh", "-c", script, "sh"]
    yield


@contextlib.contextmanager
def softirqs(bench):
    """All packets come to host B on one CPU (RPS), which has long tables of rules to go through for
    each: none are merged before (GRO)."""
    cpu = os.cpu_count() - 1
    bench.inside("hostB", "sh", "-c",
                 f"printf %x {1 << cpu} > /sys/class/net/wire/queues/rx-0/rps_cpus")
    chain = f"add chain {TABLE} in {{ type filter hook prerouting priority 0; }}"
    rules = [f"add rule {TABLE} in meta length {60000 + number}" for number in range(RULES)]
    bench.inside("hostB", "nft", "; ".join([f"add table {TABLE}", chain, *rules]))
    bench.inside("hostB", "ethtool", "-K", "wire", "gro", "off")
    try:
        yield
    finally:
        bench.inside("hostB", "ethtool", "-K", "wire", "gro", "on")
        bench.inside("hostB", "nft", f"delete table {TABLE}")
        bench.inside("hostB", "sh", "-c", "echo 0 > /sys/class/net/wire/queues/rx-0/rps_cpus")


@contextlib.contextmanager
def ceiling(bench):
    """A calibration of this machine, made once; a fifth lower, so that what else runs is no matter."""
    record = bench.directory / "calibration.json"
    if not record.exists():
        own = [*bench.command("hostA"), bench.podperf, "calibrate", "-J", "-t", "10"]
        full = bench.directory / "full.json"
        done = subprocess.run(own, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              env={**os.environ, "PODPERF_CALIBRATION": str(full)}, check=False)
        if done.returncode != 0:
            raise netns.Failed(f"podperf calibrate: {done.stderr.strip()}")
        document = json.loads(full.read_text(encoding="utf-8"))
        for figure in document["streams"]:
            figure["bits_per_second"] *= 0.8
        record.write_text(json.dumps(document), encoding="utf-8")
    bench.environment["PODPERF_CALIBRATION"] = str(record)
    yield


# A way back on which each acknowledgement, or response, takes about a millisecond.
SLOW_BACK = shaper("hostB", "500kbit", 1000)

STAGES = (
    Stage("pacing", "a stream paced to 50 Mbit/s", "stream -b 50M -t 2"),
    Stage("offered_rate", "500 requests a second", "rr --rate 500 -t 2"),
    Stage("round_trip", "one request at a time, over a way back of a millisecond", "rr -t 2",
          (SLOW_BACK,)),
    Stage("generator", "a stream over loopback, with a calibration", "stream -P 2 -t 2 -C cubic",
          (ceiling,), loopback=True),
    Stage("link", "a device that says 100 Mbit/s, and does no more", "stream -t 3",
          (line_rate, shaper("hostA", "100mbit"))),
    Stage("softirq_core", f"every packet to one CPU, through {RULES} rules",
          "stream -P 2 -C cubic --workers 1 --server-workers 1 --pin 0 --server-pin 0 -t 2",
          (small_packets, softirqs),
          ("--allow-client-affinity",)),
    Stage("sender_cpu", "a client that spins", "rr --wait spin -t 2", (SLOW_BACK,)),
    Stage("receiver_cpu", "a server that spins", "rr --server-wait spin -t 2", (SLOW_BACK,),
          ("--allow-client-spin",)),
    Stage("loss", "5 % of segments dropped", "stream -C reno -t 3 -i 0.25", (small_packets, shaper("hostB", "5mbit", 1000), loss(50))),
    Stage("path", "a shaper of 50 Mbit/s on the way back, no end sees it",
          "stream -R -t 3", (shaper("hostB", "50mbit"),)),
    Stage("receive_window", "16 KiB at the receiver, a round trip of a millisecond",
          "stream -t 3 -i 3 -C reno",
          (SLOW_BACK, setting("hostB", "tcp_rmem", "4096 16384 16384"))),
    Stage("send_buffer", "16 KiB at the sender, a round trip of a millisecond",
          "stream -t 3 -i 3 -C reno -b 500M",
          (small_packets, SLOW_BACK, setting("hostA", "tcp_wmem", "4096 16384 16384"))),
    Stage("cpu_quota", "a twentieth of a CPU for the server", "stream -P 2 -t 2", (quota,)),
    Stage("unclear", "more responses asked for than the way back carries",
          "rr --rate 60 --response 4K -t 2", (shaper("hostB", "1mbit", 1000),)),
)
