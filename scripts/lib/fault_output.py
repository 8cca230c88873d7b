"""How scripts/faults plays the cases of output and environment (rows 48 to 53).

Enters: a bench. Leaves: a function a row; see fault_reaching.py.
"""

import json
import os
import re
import time
from pathlib import Path

from fault_bench import LOOPBACK, fault, hold, need_root, not_applicable
from fault_reaching import failed, names


def row_48(bench):
    """With standard output closed it ends quietly, not well, and leaves nothing behind."""
    server, before = bench.ready()
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as broken:
        done = bench.start(bench.tool.client(LOOPBACK, bench.port), stdout=broken).wait(15)
    failed(done, 15)
    hold("panicked" not in done.err, "it panics")
    bench.serves(server)
    bench.freed(server, before)
    return f"exit {done.status}"


def row_49(bench):
    """A full disk under the output is an error that says so."""
    bench.serve()
    with open("/dev/full", "wb") as full:
        done = bench.start(bench.tool.client(LOOPBACK, bench.port), stdout=full).wait(15)
    failed(done, 15)
    names(done, "No space", "pace left", "write")
    return f"exit {done.status}"


def row_50(bench):
    """JSON of a run that fails is one document, without what is no number."""
    tool = bench.tool
    if tool.name == "netperf":
        not_applicable("it writes no JSON")
    command = tool.client(LOOPBACK, bench.port, seconds=30, json=True)
    refused = bench.start(command).wait(10)
    server = bench.serve()
    client = bench.start(command)
    time.sleep(1.5)
    server.end()
    for done in (refused, client.wait(10)):
        failed(done, 10)
        if tool.name == "netserver" and not done.out.strip():
            continue  # nothing was measured, and nothing is said
        try:
            document = json.loads(done.out, parse_constant=lambda name: fault(f"{name} in JSON"))
        except ValueError:
            fault(f"no document: {done.out.strip()[-80:] or 'nothing'}")
        hold(isinstance(document, dict), "no document")


def row_51(bench):
    """Where /proc is hidden the run goes on, and its CPU figures are said to be missing."""
    need_root()
    bench.serve()
    hidden = ("unshare", "--mount", "sh", "-c",
              "mount -t tmpfs none /proc && exec \"$0\" \"$@\"")
    options = ["-c", "-C"] if bench.tool.name in ("netserver", "netperf") else []
    done = bench.run(before=hidden, options=options, limit=15)
    hold(done.status is not None, "still running after 15 s")
    hold(done.status == 0, f"exit {done.status}: {done.last_words()}")
    hold(not re.search(r"\b-?(nan|inf)\b", done.out, re.I), "it shows what is no number")


def row_52(bench):
    """No file of a name that others can foresee is made in the shared temporary folder."""
    need_root()
    temporary = bench.directory / f"{bench.port}.tmp"
    temporary.mkdir()
    own = ("unshare", "--mount", "sh", "-c",
           f"mount --bind {temporary} /tmp && exec \"$0\" \"$@\"")
    extra = ["-d"] if bench.tool.name == "netperf" else []
    # Its program may lie in the folder that is covered.
    bench.serve(*extra, before=own) if not str(bench.tool.path).startswith("/tmp") else bench.serve()
    bench.quick()
    made = [str(path.name) for path in Path(temporary).iterdir()]
    if not made:
        not_applicable("it writes no file that nobody named")
    hold(all(re.search(r"[A-Za-z0-9]{6}$", name) for name in made), f"it writes {made[0]}")
    return f"it writes {made[0]}"


def row_53(bench):
    """Sixty runs leave no thread, descriptor, child or memory behind."""
    with bench.shared["heavy"]:
        server, before = bench.ready()
        memory = []
        for _ in range(60):
            done = bench.quick(limit=10)
            hold(done.status == 0, f"a run fails: {done.last_words()}")
            memory.append(server.resident_bytes())
        bench.freed(server, before)
    third = sorted(memory[20:40])[10]
    grown = sorted(memory[40:])[10] - third
    hold(grown < 2 << 20, f"it has grown by {grown >> 10} KiB from run 30 to run 50")
    return f"{max(grown, 0) >> 10} KiB more from run 30 to run 50"
