"""Flent as Debian has it, unchanged: it finds netperf in PATH, and its plots' data are sound."""

import gzip
import json
import statistics
import tempfile
from pathlib import Path

import hosts
from hosts import SERVER4

LENGTH = 5  # seconds
PORT = 12865  # flent's own choice
# Series that must have data, with the least share of samples, and whether they are rates.
TCP_2UP = ("TCP upload::1", "TCP upload::2", "TCP upload sum")
RRUL = tuple(f"TCP {way} {name}" for way in ("download", "upload")
             for name in ("BE", "BK", "CS5", "EF"))
TESTS = {
    "tcp_2up": (TCP_2UP, ()),
    "tcp_download": (("TCP download",), ()),
    "rrul": (RRUL, tuple(f"Ping (ms) UDP {name}" for name in ("BE", "BK", "EF"))),
}
MARKS = {"BE": None, "BK": 0x20, "CS5": 0xA0, "EF": 0xB8}  # TOS; best effort is left as it is


class Flent:
    """One netserver, and flent's tests at once, which is one more load."""

    @classmethod
    def setUpClass(cls):
        # Without irtt, whose package starts a service that answers anybody, flent uses UDP_RR.
        for program in ("flent", "fping"):
            packages = str(hosts.ROOT / "scripts/lib/packages.sh")
            hosts.finish(["bash", packages, program, program], 180)
        directory = tempfile.TemporaryDirectory(prefix="podperf-flent-")
        cls.addClassCleanup(directory.cleanup)
        cls.netserver = hosts.Server(cls.server, port=PORT).started(cls)
        cls.runs, cls.data = {}, {}

        def measure(name):
            into = Path(directory.name) / name
            into.mkdir()
            run = hosts.Process(cls.client, [
                "flent", name, "-l", str(LENGTH), "-H", SERVER4, "-D", str(into), "-f", "summary",
                "--log-file", str(into / "log")]).finish(90)
            return name, into, run

        for name, into, run in hosts.together([lambda name=name: measure(name) for name in TESTS]):
            log = into / "log"
            cls.runs[name] = run, log.read_text(encoding="utf-8") if log.exists() else ""
            files = list(into.glob("*.flent.gz"))
            if len(files) == 1:
                with gzip.open(files[0], "rt", encoding="utf-8") as file:
                    cls.data[name] = json.load(file)

    def test_it_ends_well_and_complains_of_nothing(self):
        for name, (run, log) in self.runs.items():
            with self.subTest(name):
                self.assertEqual((run.status, run.err), (0, b""), run)
                for text in (run.text, log):
                    self.assertNotRegex(text, r"(?i)warning|error|exited|killed|no data|traceback",
                                        run)
                self.assertIn(name, self.data, run)
                self.assertEqual(self.data[name]["metadata"]["FAILED_RUNNERS"], 0)

    def test_it_found_the_netperf_that_is_meant(self):
        for name, data in self.data.items():
            commands = [series["COMMAND"] for series in data["metadata"]["SERIES_META"].values()
                        if "netperf" in series.get("COMMAND", "")]
            self.assertGreater(len(commands), 0, name)
            for command in commands:
                programs = hosts.two_hosts().programs[self.client]
                self.assertTrue(command.startswith(f"{programs}/netperf "), command)
                self.assertIn(" -D -0.20 ", command)
                # Its probe found that UDP answers are waited for no longer than a while.
                if "UDP_RR" in command:
                    self.assertIn(" -e ", command)

    def test_every_series_has_plausible_samples(self):
        for name, (rates, trips) in TESTS.items():
            for series in rates + trips:
                with self.subTest(name, series=series):
                    values = [value for value in self.data[name]["results"][series]
                              if value is not None]
                    # Streams run for LENGTH of all the time, round trips for all of it.
                    least = LENGTH / 0.2 * (0.7 if series in rates else 1.5)
                    self.assertGreater(len(values), least)
                    middle = statistics.median(values)
                    if series in rates:
                        self.assertTrue(1 < middle < 200_000, f"{middle} Mbit/s")
                    else:
                        self.assertTrue(0.001 < middle < 200, f"{middle} ms")

    def test_means_are_those_of_the_whole_run(self):
        for name, (rates, _) in TESTS.items():
            meta = self.data[name]["metadata"]["SERIES_META"]
            for series in rates:
                if "COMMAND" not in meta[series]:
                    continue
                with self.subTest(name, series=series):
                    values = [value for value in self.data[name]["results"][series]
                              if value is not None]
                    mean = meta[series]["MEAN_VALUE"]
                    self.assertLess(abs(statistics.fmean(values) - mean), 0.35 * mean)
                    self.assertTrue(LENGTH - 0.2 < meta[series]["ELAPSED_TIME"] < LENGTH + 2)
                    of_bytes = meta[series]["BYTES_RECVD"] * 8 / 1e6 / meta[series]["ELAPSED_TIME"]
                    self.assertLess(abs(of_bytes - mean), 0.05 * mean)

    def test_the_state_of_tcp_is_told(self):
        for name, (rates, _) in TESTS.items():
            meta = self.data[name]["metadata"]["SERIES_META"]
            for series in rates:
                if "COMMAND" in meta[series]:
                    with self.subTest(name, series=series):
                        self.assertEqual(meta[series]["TCP_MSS"], 1448)
                        self.assertGreater(meta[series]["TCPI_RTT"], 0)
                        self.assertGreaterEqual(meta[series]["TCPI_TOTAL_RETRANS"], 0)

    def test_packets_were_marked(self):
        meta = self.data["rrul"]["metadata"]["SERIES_META"]
        for series in RRUL:
            mark = MARKS[series.split()[-1]]
            if mark:
                with self.subTest(series):
                    self.assertEqual((meta[series]["UPSTREAM_TOS"],
                                      meta[series]["DOWNSTREAM_TOS"]), (mark, mark))


hosts.each_pair(("real", "real"), ("ours", "ours"))(Flent)
