"""The quickstart's closing table.

Enters: a directory of podperf results named PATH-FLOWS-WORKLOAD.json. Leaves: a table on standard
output; exit status 0, or 1 when a result is missing, unreadable or incomplete.
"""

import json
import sys
from pathlib import Path

from table import table

PATHS = {
    "host": "host to host",
    "pod": "pod to pod, VXLAN",
    "loopback": "loopback",
}
HEADER = ["path", "streams", "goodput\nGbit/s", "latency, µs\nmean ± stddev", "latency\np99, µs",
          "CPU user\nbusy cores", "CPU system\nbusy cores", "CPU softirq\nbusy cores",
          "stream\nbound by"]
ALIGNMENT = "<>>>>>>><"


def main(directory):
    runs, complaints = load(directory)
    lines, complete = report(runs)
    print("\n".join(lines))
    for complaint in complaints:
        print(f"quickstart: {complaint}", file=sys.stderr)
    return 0 if complete and not complaints else 1


def load(directory):
    """(path, flows) -> workload -> result; and what could not be read."""
    runs, complaints = {}, []
    for file in sorted(Path(directory).glob("*-*-*.json")):
        path, flows, workload = file.stem.rsplit("-", 2)
        try:
            run = json.loads(file.read_text())
        except ValueError as error:
            complaints.append(f"{file}: not JSON: {error}")
            continue
        runs.setdefault((path, int(flows)), {})[workload] = run
    return runs, complaints


def report(runs):
    """The table with its notes, and whether every run is there and complete."""
    order = sorted(runs, key=lambda key: (list(PATHS).index(key[0]), key[1]))
    rows = [row(path, flows, runs[path, flows]) for path, flows in order]
    every = [run for pair in runs.values() for run in pair.values()]
    complete = bool(every) and len(every) == 2 * len(runs) and all(
        run.get("status") == "complete" for run in every
    )
    names = {name for run in every for stream in run.get("streams") or []
             if (name := get(stream, "socket", "client", "congestion_control"))}
    lines = table(HEADER, ALIGNMENT, rows)
    lines += [
        "",
        "Goodput is what the receiver got. Latency: one request of 1 byte at a time on each of as many "
        "flows as streams.",
        "CPU: during the stream run, as client/server. Both ends share this machine: each of the two "
        "figures covers both ends.",
        f"Congestion control: {', '.join(sorted(names)) or 'not reported'}. "
        "Namespaces have no NIC: such figures compare paths and stacks, not machines.",
    ]
    if not complete:
        lines.append("INCOMPLETE: a run is missing or broke off.")
    return lines, complete


def row(path, flows, pair):
    """One line: the stream run and the request/response run of a path with so many flows."""
    stream, rr = pair.get("stream") or {}, pair.get("rr") or {}
    latency = get(rr, "latency") or {}
    mean, deviation = latency.get("mean_ns"), latency.get("stddev_ns")
    spread = "-"
    if mean is not None and deviation is not None:
        spread = f"{mean / 1e3:.1f} ± {deviation / 1e3:.1f}"
    cpu = [ends(stream, mode) for mode in ("user", "system", "softirq")]
    bound = get(stream, "verdict", "bound_by") or "-"
    return [
        PATHS[path], str(flows), scaled(get(stream, "throughput", "bits_per_second"), 1e9, 2), spread,
        scaled(latency.get("p99_ns"), 1e3, 1), *cpu, bound.replace("_", " "),
    ]


def ends(run, mode):
    """A mode's busy cores on the client and on the server."""
    return "/".join(scaled(get(run, "cpu", end, f"{mode}_cores"), 1, 2) for end in ("client", "server"))


def scaled(value, divisor, digits):
    """A figure in another unit, or a dash."""
    return "-" if value is None else f"{value / divisor:.{digits}f}"


def get(document, *path):
    """The value at a path of keys, or None."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: quickstart_table.py DIRECTORY")
    sys.exit(main(sys.argv[1]))
