"""Flent over a slow link: what it draws of an upload is the link's rate.

After the first two seconds 95 % of the points of `tcp_upload` are within 20 % of the link, none is 0,
and none lies outside the run; of `rrul`, the sum of the uploads over each second likewise.

    test_flent_slow.py --beside     the same counts beside the real netperf's, at 1, 10 and 100 Mbit/s
"""

import gzip
import json
import sys
import tempfile
import unittest
from dataclasses import dataclass
from pathlib import Path

import hosts
import weather
from hosts import SERVER4

LENGTH = 7  # seconds
DELAY = 1  # seconds before the streams and after them
FIRST = 2  # seconds that do not count
TOLERANCE = 0.2
PORT = 12865  # flent's own choice
UPLOADS = {"tcp_upload": ("TCP upload",),
           "rrul": tuple(f"TCP upload {name}" for name in ("BE", "BK", "CS5", "EF"))}


@dataclass
class Points:
    """What flent draws, as (end, seconds, Mbit/s), and when its stream began."""

    all: list
    begun: float

    @classmethod
    def of(cls, data, series):
        raw = sorted(data["raw_values"][series], key=lambda point: point["t"])
        points = [(point["t"], point["dur"], point["val"]) for point in raw]
        return cls(points, points[0][0] - points[0][1])

    def counted(self):
        """Those of the run, without its beginning."""
        return [value for end, seconds, value in self.all
                if end - seconds >= self.begun + FIRST]

    def outside(self):
        """How many lie past the run's end."""
        # The clocks of both programs, and what a busy machine is late.
        return sum(end > self.begun + LENGTH + 0.1 for end, _, _ in self.all)


def by_second(streams):
    """The sum of several over each whole second that all of them have."""
    first = max(stream.begun for stream in streams) + FIRST
    last = min(stream.all[-1][0] for stream in streams)
    sums, start = [], first
    while start + 1 <= last + 0.05:
        sums.append(sum(
            value * max(0, min(end, start + 1) - max(end - seconds, start))
            for stream in streams for end, seconds, value in stream.all))
        start += 1
    return sums


@dataclass
class Counts:
    """How many values there are, how many are those of the link, and how many cannot be."""

    values: list
    rate: float
    outside: int

    @property
    def near(self):
        return sum(abs(value - self.rate) <= TOLERANCE * self.rate for value in self.values)

    @property
    def zeros(self):
        return sum(value <= 0 for value in self.values)

    def __str__(self):
        return (f"{len(self.values)} values, {self.near} within 20 % of {self.rate} Mbit/s, "
                f"{self.zeros} of 0, {self.outside} outside the run; "
                f"{min(self.values):.2f} to {max(self.values):.2f} Mbit/s")


def measure(name, test, rate):
    """Runs flent over a link of so many Mbit/s; its counts."""
    with tempfile.TemporaryDirectory(prefix="podperf-flent-") as into, \
            hosts.Server(name, port=PORT), \
            weather.Shaper(f"{rate}mbit", "4kb" if rate < 50 else "32kb"):
        run = hosts.Process(name, [
            "flent", test, "-l", str(LENGTH), "-d", str(DELAY), "-H", SERVER4, "-D", into,
            "-f", "summary", "--log-file", f"{into}/log"]).finish(90)
        files = list(Path(into).glob("*.flent.gz"))
        if run.status != 0 or len(files) != 1:
            raise AssertionError(run)
        with gzip.open(files[0], "rt", encoding="utf-8") as file:
            data = json.load(file)
    streams = [Points.of(data, series) for series in UPLOADS[test]]
    values = streams[0].counted() if len(streams) == 1 else by_second(streams)
    return Counts(values, rate, sum(stream.outside() for stream in streams))


@hosts.needs("ours")
class SlowLink(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for program in ("flent", "fping"):
            packages = str(hosts.ROOT / "scripts/lib/packages.sh")
            hosts.finish(["bash", packages, program, program], 180)

    def test_an_upload_is_drawn_at_the_rate_of_the_link(self):
        for test in UPLOADS:
            with self.subTest(test):
                counts = measure("ours", test, 10)
                least = (LENGTH - FIRST) / 0.2 * 0.7 if test == "tcp_upload" else LENGTH - FIRST - 1
                self.assertGreaterEqual(len(counts.values), least, counts)
                self.assertEqual((counts.zeros, counts.outside), (0, 0), counts)
                self.assertGreaterEqual(counts.near, 0.95 * len(counts.values), counts)


def beside():
    """Prints the counts of both programs."""
    for test in UPLOADS:
        for rate in (1, 10, 100):
            for name in ("real", "ours"):
                print(f"{test} {rate} Mbit/s, {'netperf 2.7.0' if name == 'real' else 'podperf'}: "
                      f"{measure(name, test, rate)}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--beside"]:
        sys.exit(hosts.why_not("real", "ours") or beside())
    unittest.main()
