"""How scripts/faults plays the cases of what a run finds on its machine (rows 19 to 25).

Enters: a bench. Leaves: a function a row; see fault_reaching.py.
"""

import contextlib
import json
import os
import re
import subprocess
import time
from pathlib import Path

from fault_bench import LOOPBACK, fault, hold, need_root, not_applicable, not_played, until
from fault_reaching import names
from fault_running import MEASURED

CGROUPS = Path("/sys/fs/cgroup")

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
