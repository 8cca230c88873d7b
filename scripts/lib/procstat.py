#!/usr/bin/env python3
"""CPU use of the whole machine over a window, read from /proc/stat.

Enters: two readings. Leaves: busy cores by mode (1.0 is one CPU for the whole window). It shares no
code with podperf, so that one can be held against the other:

    python3 scripts/lib/procstat.py --seconds 5

The kernel counts in ticks (1/100 s on nearly every machine), so each mode of each CPU may be off by
one tick at either edge. Guest time is part of user and nice already (proc(5)) and is not added.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass

MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
BUSY = ("user", "nice", "system", "irq", "softirq")


@dataclass(frozen=True)
class Reading:
    """Counters since boot at one moment."""

    at_seconds: float  # monotonic clock
    ticks: dict  # mode -> ticks over all CPUs
    cpus: int  # CPUs listed


def parse(text, at_seconds):
    """A reading from the text of /proc/stat."""
    ticks = None
    cpus = 0
    for line in text.splitlines():
        label, _, rest = line.partition(" ")
        if label == "cpu":
            # Kernels before 2.6.11 lack steal; what is not there counts as none.
            values = [int(value) for value in rest.split()] + [0] * len(MODES)
            ticks = dict(zip(MODES, values))
        elif label.startswith("cpu"):
            cpus += 1
    if ticks is None:
        raise ValueError("/proc/stat: no line for all CPUs")
    return Reading(at_seconds, ticks, cpus)


def read(path="/proc/stat"):
    """A reading now."""
    with open(path, encoding="ascii") as file:
        text = file.read()
    return parse(text, time.monotonic())


def busy_cores(before, after, ticks_per_second=None):
    """Use between two readings: mode -> busy cores, and `busy`, `seconds` and `cpus`.

    Counters that ran backwards (iowait can) count as zero.
    """
    hertz = ticks_per_second or os.sysconf("SC_CLK_TCK")
    seconds = after.at_seconds - before.at_seconds
    if seconds <= 0:
        raise ValueError("the second reading is not later than the first")
    use = {
        mode: max(0, after.ticks[mode] - before.ticks[mode]) / hertz / seconds for mode in MODES
    }
    use["busy"] = sum(use[mode] for mode in BUSY)
    use["seconds"] = seconds
    use["cpus"] = after.cpus
    return use


def process_seconds(pid):
    """CPU time that a process has taken by the scheduler's clock, threads that have ended among them.

    The id of another process's clock is made of its number (clock_getcpuclockid(3)).
    """
    scheduler = 2  # CPUCLOCK_SCHED in the kernel's include/linux/posix-timers.h
    return time.clock_gettime((~pid << 3) | scheduler)


def main():
    parser = argparse.ArgumentParser(description="Busy cores of this machine over a window, as JSON.")
    parser.add_argument("--seconds", type=float, required=True, help="length of the window, above 0")
    seconds = parser.parse_args().seconds
    if not 0 < seconds < 1e6:
        parser.error(f"argument --seconds: {seconds} is not between 0 and 1000000")
    before = read()
    time.sleep(seconds)
    print(json.dumps(busy_cores(before, read())))


if __name__ == "__main__":
    main()
