"""The command lines of the tools that scripts/bad-paths runs, and what of their output is told.

Enters: what is to be run, and what a tool has printed. Leaves: words of a command line; a few words.
"""

import json
import re

PORT = 24000
LONGEST = 230  # characters of a cell


def shortened(text):
    """On one line, not too long, and without what would break a table."""
    text = " ".join(text.split()).replace("|", "/")
    return text if len(text) <= LONGEST else text[:LONGEST - 1].rstrip() + "…"


class Iperf3:
    """iperf3."""

    @staticmethod
    def command(path, host, words):
        return [path, "-c", host, "-p", str(PORT), *words]

    @staticmethod
    def told(done, _warnings):
        """Its error, else the rates of its summary."""
        error = re.search(r"iperf3: (error|interrupt)[^\n]*", done.text)
        if error:
            return error.group()
        rates = []
        for line in done.out.splitlines():
            end = re.search(r"([\d.]+ \S*bits/sec).*?(\([\d.e+-]+%\))?\s+(sender|receiver)\s*$", line)
            # Of several streams their sum is the last.
            if end:
                rate, lost, which = end.groups()
                rates = [*(known for known in rates if known[0] != which),
                         (which, f"{rate} {which}" + (f" with {lost.strip('()')} lost" if lost else ""))]
        return ", ".join(text for _, text in rates) or done.last_words()


class Netperf:
    """The real netperf."""

    @staticmethod
    def command(path, host, words):
        return [path, "-H", host, "-p", str(PORT), "-P", "0", *words]

    @staticmethod
    def told(done, _warnings):
        """What it says is wrong, else its last line."""
        wrong = done.err.strip().splitlines() or re.findall(r"^.*(?:remote error|rror:|failed|timed).*$",
                                                            done.out, re.M)
        return wrong[0] if wrong else done.last_words().replace(",", " ")


class Podperf:
    """podperf, whose document is read."""

    @staticmethod
    def command(path, host, words):
        return [path, words[0], host, "-p", str(PORT), *words[1:], "-J"]

    @staticmethod
    def told(done, warnings):
        """Its first error, else its figure and verdict; and the warnings that a row is about."""
        try:
            run = json.loads(done.out)
        except ValueError:
            return done.last_words()
        parts = []
        if run["errors"]:
            error = run["errors"][0]
            remedy = f" ({error['remedy']})" if error.get("remedy") else ""
            parts.append(f"{error['operation']}: {error['cause']}{remedy}")
            if (run.get("throughput") or {}).get("bytes_received"):
                parts.append(figure(run))
        else:
            parts += [figure(run), *verdict(run)]
        parts += [f"{warning['code']}: {warning['text']}" for warning in run["warnings"]
                  if warning["code"] in warnings]
        return "; ".join(part for part in parts if part)


def figure(run):
    """Transactions where there are some, else goodput, with what was lost."""
    if run.get("transactions"):
        return f"{run['transactions']['per_second']:.0f} transactions/s"
    if not run.get("throughput"):
        return "nothing was measured"
    text = bit_rate(run["throughput"]["bits_per_second"])
    lost = ((run.get("udp") or {}).get("datagrams") or {}).get("loss_share")
    return text + (f", {100 * lost:.1f} % lost" if lost else "")


def verdict(run):
    """What bound the run, and the first evidence of it."""
    found = run["verdict"]
    return [f"bound by {found['bound_by']}: {found['evidence'][0]}"] if found.get("evidence") else []


def bit_rate(bits):
    for unit, name in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        if bits >= unit:
            return f"{bits / unit:.2f} {name}"
    return f"{bits:.0f} bit/s"


TOOLS = {"iperf3": Iperf3, "netperf": Netperf, "podperf": Podperf}


def interim(name, done):
    """The lowest and the highest of the results that a tool showed underway, in Mbit/s."""
    if name == "podperf":
        rates = [part["bits_per_second"] / 1e6 for part in json.loads(done.out)["intervals"]
                 if part["bits_per_second"] is not None]
    elif name == "iperf3":
        rates = [float(rate) * {"K": 1e-3, "M": 1, "G": 1e3, "": 1e-6}[unit] for rate, unit in re.findall(
            r"sec\s+[\d.]+ \S*Bytes\s+([\d.]+) ([KMG]?)bits/sec(?!.*(?:sender|receiver))", done.out)]
    else:
        rates = [float(rate) for rate in re.findall(r"^Interim result:\s+([\d.]+)", done.out, re.M)]
    if not rates:
        return "none"
    return f"{len(rates)} interim results from {min(rates):.1f} to {max(rates):.1f} Mbit/s"
