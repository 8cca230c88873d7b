"""How scripts/faults plays the cases of what runs out at a server (rows 41 to 44).

Enters: a bench. Leaves: a function a row; see fault_reaching.py.
"""

import contextlib
import os
import re
import time

from fault_bench import LOOPBACK, SOON, fault, hold, need_root, not_played, until
from fault_reaching import names
from fault_surroundings import CGROUPS, quiet_rmdir


def row_41(bench):
    """A hundred clients at once are served, or told that the server is busy."""
    with bench.shared["heavy"]:
        server, before = bench.ready()
        clients = [bench.start(bench.tool.quick(LOOPBACK, bench.port)) for _ in range(100)]
        done = [client.wait(60) for client in clients]
        served = sum(one.status == 0 for one in done)
        lost = [one for one in done if one.status != 0 and not re.search("busy|limited to", one.text)]
        if lost:
            hung = sum(one.status is None for one in lost)
            fault(f"{served} are served, {hung} hang, of {len(lost)} one says: "
                  f"{lost[0].last_words()}")
        bench.serves(server, "after a hundred")
        bench.freed(server, before)
    return f"{served} served" + (f", {100 - served} told which limit" if served < 100 else "")


def row_42(bench):
    """Out of descriptors a server waits, without spinning, and serves again."""
    few = ("sh", "-c", "ulimit -n 64 && exec \"$0\" \"$@\"")
    server = bench.serve(before=few)
    bench.serves(server, "at the start")
    used = server.cpu_seconds()
    idle = []
    for _ in range(200):
        with contextlib.suppress(OSError):
            idle.append(bench.connect())
    time.sleep(2)
    hold(server.alive(), "the server is gone")
    used = server.cpu_seconds() - used
    hold(used < 1.5, f"it spins: {used:.1f} s of CPU in 2 s")
    for end in idle:
        end.close()
    hold(until(lambda: bench.quick(limit=SOON).status == 0, 20) is not None,
         "it does not serve again in 20 s")


def row_43(bench):
    """At a limit of threads or processes a test is refused, and the server serves on."""
    need_root()
    group = CGROUPS / "pids" / f"podperf-faults-{os.getpid()}-{bench.port}"
    if not (CGROUPS / "pids" / "cgroup.procs").exists():
        not_played("there is no cgroup hierarchy that limits processes")
    group.mkdir()
    try:
        server = bench.serve(before=(
            "sh", "-c", f"echo $$ >{group}/cgroup.procs && exec \"$0\" \"$@\""))
        bench.serves(server, "at the start")
        bench.settle(server)
        # As many as there are: not one more.
        now = int((group / "pids.current").read_text())
        (group / "pids.max").write_text(str(now))
        done = bench.run(streams=4, seconds=1, limit=15)
        hold(server.alive(), "the server is gone")
        hold(done.status is not None, "its client still waits after 15 s")
        if done.status != 0:
            names(done, "thread", "process", "busy", "esource", "limit")
        (group / "pids.max").write_text("max")
        hold(until(lambda: bench.quick(limit=SOON).status == 0, 15) is not None,
             "it does not serve again")
        return "it needs none" if done.status == 0 else f"its client is told: exit {done.status}"
    finally:
        bench.stack.close()
        until(lambda: quiet_rmdir(group), 5)


def row_44(bench):
    """Where memory ends a session may end, and not the server."""
    with bench.shared["heavy"]:
        # Address space for the program and some 300 MiB more.
        server = bench.serve(before=("sh", "-c", "ulimit -v 600000 && exec \"$0\" \"$@\""))
        bench.serves(server, "at the start")
        tool = bench.tool
        if tool.name == "podperf":
            done = bench.run(streams=32, options=["-l", "64M", "--server-workers", "32"], limit=15)
        elif tool.name == "iperf3":
            done = bench.run(streams=128, options=["-l", "1M", "-w", "8M"], limit=15)
        else:
            done = bench.run(options=["--", "-m", "300M", "-M", "900M"], limit=15)
        hold(server.alive(), "the server is gone")
        hold(done.status is not None, "its client still waits after 15 s")
        bench.serves(server, "after a run beyond its memory")
    return "it fits" if done.status == 0 else f"refused: exit {done.status}"
