"""How scripts/faults plays the cases of a run under way (rows 10 to 27).

Enters: a bench. Leaves: a function a row; see fault_reaching.py.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import netns
from fault_bench import (LOOPBACK, fault, hold, need_root, not_applicable, not_played, until,
                         with_words)
from fault_reaching import failed, names

LONG = 30  # seconds of a run that outlives its fault
MEASURED = 1.5  # seconds before the fault
CGROUPS = Path("/sys/fs/cgroup")


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
    time.sleep(1.3)  # two within a second are one
    client.process.send_signal(signal.SIGINT)
    done = client.wait(3)
    hold(done.status is not None, "still running 3 s after the second SIGINT")
    hold(done.status != 0, "exit status 0")


STEPPING = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
static int (*real)(clockid_t, struct timespec *);
/* Every second call of the wall clock is an hour behind. */
static void step(struct timespec *at) {
    static unsigned calls;
    if (__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED) % 2) at->tv_sec -= 3600;
}
int clock_gettime(clockid_t clock, struct timespec *at) {
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, at);
    if (clock == CLOCK_REALTIME && status == 0) step(at);
    return status;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    int status = clock_gettime(CLOCK_REALTIME, &now);
    if (at) { at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000; }
    return status;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


def stepping_clock(bench):
    """A library that steps the wall clock of the program that is linked with it, made once."""
    library = bench.directory / "stepping.so"
    with bench.shared["clock"]:
        if not library.exists():
            source = bench.directory / "stepping.c"
            source.write_text(STEPPING)
            done = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", f"{library}.part", source,
                                   "-ldl"], capture_output=True, text=True)
            if done.returncode != 0:
                not_played("no C compiler")
            os.rename(f"{library}.part", library)
    return library


def row_19(bench):
    """With a wall clock that jumps by an hour all the time, a run of 2 s is one of 2 s."""
    env = {**os.environ, "LD_PRELOAD": str(stepping_clock(bench))}
    if b"statically linked" in subprocess.run(["ldd", bench.tool.path], capture_output=True).stderr \
            or "not a dynamic" in subprocess.run(["ldd", bench.tool.path], capture_output=True,
                                                  text=True).stderr:
        not_played("a static program takes no other clock")
    bench.serve(env=env)
    command = bench.tool.client(LOOPBACK, bench.port, seconds=2, json=True)
    if bench.tool.name == "netperf":
        command += ["-P", "0", "--", "-o", "ELAPSED_TIME"]
    done = bench.start(command, env=env).wait(15)
    hold(done.status is not None, "a run of 2 s still runs after 15 s")
    hold(done.status == 0, done.last_words())
    seconds = measured_seconds(bench.tool, done)
    hold(1.5 < seconds < 10, f"it says that a run of 2 s took {seconds} s")
    return f"{seconds:.2f} s"


def measured_seconds(tool, done):
    if tool.name == "netperf":
        return float(done.out.split()[-1])
    document = json.loads(done.out)
    if tool.name == "iperf3":
        return document["end"]["sum_received"]["seconds"]
    return find(document, "seconds") if tool.name == "podperf" else find(document, "elapsed_seconds")


def find(document, key):
    """The first value of a key, wherever it stands; for podperf that of the window."""
    if isinstance(document, dict):
        if key == "seconds" and isinstance(document.get("window"), dict):
            return document["window"]["seconds"]
        if key in document:
            return document[key]
        document = document.values()
    elif not isinstance(document, list):
        return None
    return next((found for part in document if (found := find(part, key)) is not None), None)


@contextlib.contextmanager
def cpuset(bench, cpus):
    """A cgroup whose processes may use so many CPUs; its file of them and the words that enter it."""
    need_root()
    if os.cpu_count() < 2:
        not_played("needs two CPUs")
    name = f"podperf-faults-{os.getpid()}-{bench.port}"
    for top, files in ((CGROUPS / "cpuset", ("cpuset.cpus", "cpuset.mems")),
                       (CGROUPS, ("cpuset.cpus", "cpuset.mems"))):
        group = top / name
        if not (top / "cgroup.procs").exists():
            continue
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if not (group / files[0]).exists():
                continue
            (group / files[0]).write_text(cpus)
            (group / files[1]).write_text("0")
            enter = ("sh", "-c", f"echo $$ >{group}/cgroup.procs && exec \"$0\" \"$@\"")
            yield group / files[0], enter
            return
        finally:
            bench.stack.close()
            until(lambda: quiet_rmdir(group), 5)
    not_played("there is no cgroup hierarchy of CPUs")


def quiet_rmdir(group):
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


def row_20(bench):
    """CPUs that are taken away in mid-run stand in the result."""
    with cpuset(bench, "0-1") as (cpus, enter):
        bench.serve()
        client = bench.client(seconds=4, before=enter)
        time.sleep(MEASURED)
        cpus.write_text("0")
        done = client.wait(20)
        hold(done.status is not None, "still running after 20 s")
        if not re.search(r"cpuset|CPUs? (was|were) (taken|changed)|shr[ai]nk|cpus_[a-z]*", done.text):
            fault("exit status 0, and no word of it")


def row_21(bench):
    """A CPU that a container may not use is refused, or named."""
    words = {"podperf": ["--pin", "1"], "iperf3": ["-A", "1"]}.get(bench.tool.name, ["-T", "1,"])
    with cpuset(bench, "0") as (_, enter):
        bench.serve()
        done = bench.run(before=enter, options=words, limit=10)
        if done.status == 0 and not re.search(r"CPU 1\b|affinity|[Bb]ind", done.text):
            fault("exit status 0, and no word of it")
    return f"exit {done.status}"


def row_22(bench):
    """Without locked memory zero copy falls back or is refused, in words."""
    if bench.tool.name != "podperf":
        not_applicable("it has no zero-copy sends (MSG_ZEROCOPY)")
    need_root()
    bench.serve()
    program = bench.directory / f"{bench.port}.podperf"
    program.write_bytes(Path(bench.tool.path).read_bytes())
    program.chmod(0o755)
    bench.directory.chmod(0o755)
    command = bench.tool.client(LOOPBACK, bench.port, seconds=1)[1:]
    done = bench.start([str(program), *command, "--send", "zerocopy"], before=(
        "setpriv", "--reuid", "65533", "--clear-groups", "sh", "-c",
        "ulimit -l 64 && exec \"$0\" \"$@\"")).wait(15)
    hold(done.status is not None, "still running after 15 s")
    hold(len(done.text) < 1 << 16, "it floods its output")
    names(done, "locked")
    return f"exit {done.status}"


NO_URING = """
import ctypes, os, struct, sys
code = b''.join(struct.pack('HBBI', *step) for step in [
    (0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)])
steps = ctypes.create_string_buffer(code)
program = struct.pack('HxxxxxxP', 4, ctypes.addressof(steps))
prctl = ctypes.CDLL(None).prctl
if prctl(38, 1, 0, 0, 0) or prctl(22, 2, program, 0, 0):
    sys.exit(99)
os.execv(sys.argv[1], sys.argv[1:])
"""


def row_23(bench):
    """Where io_uring is refused the run goes on without it, and says so."""
    if bench.tool.name != "podperf":
        not_applicable("it does not use io_uring")
    bench.serve()
    # Sixteen flows a CPU are more than it gives a thread each.
    flows = str(16 * os.cpu_count())
    done = bench.start([bench.tool.path, "rr", LOOPBACK, "-p", str(bench.port), "-P", flows, "-t",
                        "0.5", "-O", "0.1"], before=("python3", "-c", NO_URING)).wait(20)
    if done.status == 99:
        not_played("no seccomp filter is to be had")
    hold(done.status == 0, done.last_words())
    names(done, "io_uring")


def row_24(bench):
    """An unknown congestion control is refused, or said not to be had."""
    bench.serve()
    words = {"podperf": ["-C", "nosuch"], "iperf3": ["-C", "nosuch"]}
    done = bench.run(options=words.get(bench.tool.name, ["--", "-K", "nosuch,nosuch"]), limit=10)
    hold(done.status is not None, "still running after 10 s")
    names(done, "nosuch", "ongestion")
    return f"exit {done.status}"


def row_25(bench):
    """A socket buffer that the kernel cuts down is shown as granted."""
    most = int(Path("/proc/sys/net/core/wmem_max").read_text())
    # Without the right to force it, a socket gets the double of that (socket(7)).
    bench.serve()
    tool, size = bench.tool, str(16 * most)
    command = tool.client(LOOPBACK, bench.port, json=True)
    if tool.name in ("podperf", "iperf3"):
        command += ["-w", size]
    elif tool.name == "netserver":
        command = [word for word in command if word != "--json"] + \
            ["-P", "0", "--", "-s", size, "-o", "LSS_SIZE_REQ,LSS_SIZE_END"]
    else:
        command += ["-P", "0", "--", "-s", size, "-o", "LSS_SIZE_REQ,LSS_SIZE_END"]
    done = bench.start(command).wait(10)
    if done.status != 0:
        names(done, "buffer", "window")
        return f"refused: exit {done.status}"
    if size in done.out or str(2 * int(size)) in done.out:
        return "asked and granted are shown"
    names(done, str(2 * most))


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
