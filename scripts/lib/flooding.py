"""A server under a flood from one host, and clients from another: what scripts/flood measures.

Enters: a tool and three namespaces (netns.server_and_two). Leaves: how long clients took, how many were
served, and what the server and the flood took.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import netns
from fault_bench import Program, until
from listening import listens

HERE = Path(__file__).resolve().parent
ADDRESS, PORT, SERVER_FROM_TWO = "192.0.2.1", 26000, "198.51.100.1"
SECRET = "correct horse battery staple"
SWELLING_SECONDS = 3  # until all silent connections are there
LIMIT_SECONDS = 5  # for a client


@dataclass
class Seen:
    """What came of it."""

    name: str
    calm: list  # seconds of each run
    flooded: list
    runs: int
    served: int
    resident_bytes: int  # the most that was seen
    calm_cores: float
    flooded_cores: float
    flood_cores: float
    connections_per_second: float
    told: dict

    def cells(self):
        def ms(times):
            return f"{median(times) * 1e3:.0f}" if times else "none"

        return [self.name, ms(self.calm), ms(self.flooded), f"{self.served} of {self.runs}",
                f"{self.resident_bytes / 2**20:.1f}", f"{self.calm_cores:.2f}",
                f"{self.flooded_cores:.2f}", f"{self.flood_cores:.2f}",
                f"{self.connections_per_second:.0f}"]


@contextlib.contextmanager
def server(tool, directory, place):
    """The tool's server with a secret, where it knows secrets; what its clients add."""
    command, env, options = tool.server(PORT), dict(os.environ), []
    if tool.name == "podperf":
        env["PODPERF_TOKEN"] = SECRET
    elif tool.name in ("netserver", "netperf"):
        command += ["-Z", SECRET]
        options = ["-Z", SECRET]
    program = Program(directory, f"server-{tool.name}", netns.inside(place, command), env=env)
    try:
        if until(lambda: listens(program.pid, PORT), 10) is None:
            raise netns.Failed(f"{tool.name}: its server does not listen: {program.said()}")
        yield program, env, options
    finally:
        program.end()


@contextlib.contextmanager
def flood(tool, directory, place, syn):
    """The flood, and what it tells at its end, in a list."""
    command = [sys.executable, "-B", str(HERE / "flood.py"), tool.name, ADDRESS, str(PORT), "--syn",
               str(syn)]
    program = Program(directory, "flood", netns.inside(place, command))
    told = []
    try:
        yield told
        program.process.send_signal(signal.SIGTERM)
        done = program.wait(20)
        if done.status != 0:
            raise netns.Failed(f"the flood ended by itself: {done.text[-500:]}")
        told.append(json.loads(done.out))
    finally:
        program.end()


class Watch:
    """The most memory that a server has while it is watched."""

    def __init__(self, program):
        self.program, self.most, self.over = program, 0, False
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.over:
            with contextlib.suppress(OSError):
                self.most = max(self.most, self.program.resident_bytes())
            time.sleep(0.1)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()


def cpu_seconds(program):
    with contextlib.suppress(OSError):
        return program.cpu_seconds()
    return 0.0


def flooded(tool, directory, places, rounds, syn=0, each=3):
    """Rounds of `each` runs without the flood and as many in its midst, in turns."""
    calm, under, told, cores = [], [], [], {"calm": [], "flooded": []}
    counts = {"runs": 0, "served": 0}
    with server(tool, directory, places["server"]) as (program, env, options), \
            Watch(program) as watch:

        def client():
            command = [*tool.quick(SERVER_FROM_TWO, PORT), *options]
            done = Program(directory, "client", netns.inside(places["two"], command),
                           env=env).wait(LIMIT_SECONDS)
            return done.seconds if done.status == 0 else None

        def runs(times, kind):
            before, begun = cpu_seconds(program), time.monotonic()
            for _ in range(each):
                took = client()
                if took is not None:
                    times.append(took)
                if kind == "flooded":
                    counts["runs"] += 1
                    counts["served"] += took is not None
            # A second at least, of which the ticks of CPU time are a small part.
            time.sleep(max(0.0, begun + 1 - time.monotonic()))
            cores[kind].append((cpu_seconds(program) - before) / (time.monotonic() - begun))

        client()  # what is made at first use is there
        for _ in range(rounds):
            runs(calm, "calm")
            with flood(tool, directory, places["one"], syn) as one:
                time.sleep(SWELLING_SECONDS)
                runs(under, "flooded")
            told += one
            time.sleep(0.5)
    seconds = sum(one["seconds"] for one in told)
    made = sum(kind["made"] for one in told for kind in one.values() if isinstance(kind, dict))
    return Seen(tool.name, calm, under, counts["runs"], counts["served"], watch.most,
                median(cores["calm"]), median(cores["flooded"]),
                sum(one["cpu_seconds"] for one in told) / seconds, made / seconds, told[-1])
