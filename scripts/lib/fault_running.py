"""How scripts/faults plays the cases of a run under way (rows 10 to 18, 26 and 27).

Enters: a bench. Leaves: a function a row; see fault_reaching.py.
"""

import contextlib
import json
import re
import signal
import subprocess
import time

from fault_bench import (LOOPBACK, fault, hold, need_root, not_applicable, not_played, until,
                         with_words)
from fault_reaching import failed, names

LONG = 30  # seconds of a run that outlives its fault
MEASURED = 1.5  # seconds before the fault


def midway(bench, **wishes):
    """A long run, some way into it."""
    client = bench.client(seconds=LONG, **wishes)
    time.sleep(MEASURED)
    hold(client.alive(), f"the run ended early: {client.said()[-160:]}")
    return client


def row_10(bench):
    """The client ends within 5 s, not well, and names the peer."""
    server = bench.serve()
    client = midway(bench)
    server.end()
    done = client.wait(5)
    failed(done, 5)
    names(done, LOOPBACK)
    return f"after {done.seconds - MEASURED:.1f} s"


def row_11(bench):
    """The server has everything back, and serves at once."""
    server, before = bench.ready()
    midway(bench).end()
    bench.serves(server, "after its client was killed")
    bench.freed(server, before)


def row_12(bench):
    """Where the server is stopped the client gives up in 20 s, and the other way round in 30 s."""
    server, before = bench.ready()
    options = bench.tool.peer_patience
    client = midway(bench, options=options)
    client.signal(signal.SIGSTOP)
    if until(lambda: all(now <= then for now, then in zip(server.held(), before)), 30) is None:
        fault("the server still keeps a stopped client after 30 s")
    client.end()
    client = midway(bench, options=options)
    server.signal(signal.SIGSTOP)
    done = client.wait(20)
    failed(done, 20)
    names(done, LOOPBACK)
    server.signal(signal.SIGCONT)
    bench.serves(server, "after it went on")
    return f"the client after {done.seconds - MEASURED:.0f} s {with_words(options)}".rstrip()


def streams(bench, count):
    if bench.tool.name == "netperf":
        not_applicable("it has one stream")
    return count


def row_13(bench):
    """One stream of four is reset: the run is not a success."""
    need_root()
    count = streams(bench, 4)
    server = bench.serve()
    client = bench.client(seconds=5, streams=count)
    time.sleep(MEASURED)
    ports = bench.data_connections()
    hold(ports, "no data moves")
    cut = subprocess.run(["ss", "-K", "-tnH", f"sport = :{bench.port} and dport = :{ports[-1]}"],
                         capture_output=True, text=True).stdout
    if not cut:
        not_played("this kernel destroys no sockets (CONFIG_INET_DIAG_DESTROY)")
    failed(client.wait(20), 20)
    bench.serves(server)


def row_14(bench):
    """One stream of three stalls, all else goes on: the result says so."""
    count = streams(bench, 3)
    bench.serve()
    options = bench.tool.peer_patience
    client = bench.client(seconds=4, streams=count, options=options)
    time.sleep(MEASURED)
    ports = bench.data_connections()
    hold(ports, "no data moves")
    with bench.rules(f"tcp dport {bench.port} tcp sport {ports[-1]} drop"):
        done = client.wait(40)
    hold(done.status is not None, "still running after 40 s")
    if done.status == 0 and not re.search(r"stream_|stall|not drained|nothing", done.text):
        fault("exit status 0, and no word of the stream")
    return with_words(options)


def row_15(bench):
    """Where the third connection of five is refused nothing is measured, and in 15 s that is said."""
    count = streams(bench, 4)
    server = bench.serve()
    with bench.rules(f"tcp dport {bench.port} tcp flags & (syn | ack) == syn ct count over 2 "
                     "reject with tcp reset"):
        failed(bench.run(streams=count, limit=15), 15)
    bench.serves(server)


def row_16(bench):
    """Announced and never opened: others are served meanwhile, and the place is free in 75 s."""
    tool = bench.tool
    server, before = bench.ready()
    end = bench.connect()
    if tool.name == "podperf":
        tool.greet(end)
        end.sendall(tool.message(tool.plan()))
        hold("connect" in (tool.answer(end) or {}), "the plan is refused")
        alive = tool.message("heartbeat")
    elif tool.name == "iperf3":
        tool.prepared(end)
        alive = b""
    else:
        end.sendall(tool.asked())
        hold(tool.words_of(end)[1] == 0, "the test is refused")
        alive = b""
    bench.serves(server, "while one never opens its streams")

    def freed():
        with contextlib.suppress(OSError):
            end.sendall(alive)
        time.sleep(0.4)
        return all(now <= then for now, then in zip(server.held(), before))

    took = until(freed, 75)
    hold(took is not None, "it is kept for more than 75 s")
    return f"after {took:.0f} s"


def row_17(bench):
    """SIGINT and SIGTERM: it ends in 5 s, says so by its exit status, and shows what it measured."""
    server = bench.serve()
    for number in (signal.SIGINT, signal.SIGTERM):
        client = midway(bench)
        client.process.send_signal(number)
        done = client.wait(5)
        hold(done.status is not None, f"still running 5 s after {number.name}")
        if not re.search(r"\d\.\d\d", done.out):
            fault(f"nothing of what was measured is shown after {number.name}")
        # netperf's SIGINT is how a test without an end ends well.
        well = (0,) if number == signal.SIGINT and bench.tool.name.startswith("net") else ()
        hold(done.status in (128 + number, 1, *well), f"exit {done.status} after {number.name}")
    bench.serves(server)
    return f"exit {done.status} on SIGTERM"


def row_18(bench):
    """A second SIGINT ends a client whose server does not answer."""
    server = bench.serve()
    client = midway(bench)
    server.signal(signal.SIGSTOP)
    client.process.send_signal(signal.SIGINT)
    time.sleep(2.5)  # two within a second are one, and a busy client hears late of the first
    client.process.send_signal(signal.SIGINT)
    done = client.wait(3)
    hold(done.status is not None, "still running 3 s after the second SIGINT")
    hold(done.status != 0, "exit status 0")


def row_26(bench):
    """A run of no length is refused, or ends at a signal with numbers."""
    bench.serve()
    client = bench.client(seconds=0)
    time.sleep(MEASURED)
    client.process.send_signal(signal.SIGINT)
    done = client.wait(5)
    hold(done.status is not None, "it does not end at a signal")
    hold(not re.search(r"\b-?(nan|inf)\b", done.out, re.I), "it shows what is no number")
    hold(done.status != 0 or re.search(r"\d\.\d", done.out), "it shows nothing")
    return "refused" if done.status == 2 else f"until a signal, with its figures: exit {done.status}"


def row_27(bench):
    """More than 4 GiB are counted as what they are."""
    tool, wanted = bench.tool, 5 << 30
    bench.serve()
    with bench.shared["heavy"]:
        if tool.name == "podperf":
            command = [tool.path, "stream", LOOPBACK, "-p", str(bench.port), "-n", "5G", "--send",
                       "splice", "--recv", "trunc", "-l", "512K", "-J"]
        elif tool.name == "iperf3":
            command = [tool.path, "-c", LOOPBACK, "-p", str(bench.port), "-n", "5G", "-J"]
        else:
            command = [tool.path, "-H", LOOPBACK, "-p", str(bench.port), "-P", "0", "-t",
                       "TCP_STREAM", "-l", "6", "--", "-m", "1M", "-o",
                       "LOCAL_BYTES_SENT,ELAPSED_TIME,THROUGHPUT"]
        done = bench.start(command).wait(60)
    hold(done.status == 0, done.last_words())
    if tool.name == "podperf":
        moved = json.loads(done.out)["throughput"]["bytes_received"]
        hold(moved == wanted, f"{moved} bytes instead of {wanted}")
    elif tool.name == "iperf3":
        moved = json.loads(done.out)["end"]["sum_received"]["bytes"]
        hold(moved > 1 << 32, f"{moved} bytes instead of {wanted}")
    else:
        moved, seconds, rate = map(float, done.out.strip().splitlines()[-1].split(","))
        if moved < 1 << 32 and rate * 1e6 / 8 * seconds < 1 << 32:
            not_played("this machine moved less than 4 GiB in 6 s")
        hold(abs(moved * 8 / 1e6 / seconds - rate) < rate / 10, f"{moved} bytes do not give {rate}")
    return f"{moved / 2**30:.1f} GiB"
