"""Finding packages, and the quickstart's table."""

import json
import subprocess
import tempfile
import unittest
from pathlib import Path

import quickstart_table

PACKAGES = Path(__file__).resolve().parent / "packages.sh"


class Packages(unittest.TestCase):
    def test_non_free_is_added_beside_main_in_both_formats(self):
        with tempfile.TemporaryDirectory() as directory:
            apt, out = Path(directory, "apt"), Path(directory, "out")
            (apt / "sources.list.d").mkdir(parents=True)
            out.mkdir()
            (apt / "sources.list").write_text(
                "deb [arch=amd64] http://mirror.example/debian stable main contrib\n"
                "deb-src http://mirror.example/debian stable main\n"
                "# deb http://old.example/debian stable main\n"
                "deb http://other.example/apt any tools\n"
            )
            (apt / "sources.list.d" / "debian.sources").write_text(
                "Types: deb\nURIs: http://mirror.example/debian\nSuites: stable\n"
                "Components: main\nSigned-By: /usr/share/keyrings/k.gpg\n"
            )
            subprocess.run(["bash", "-c", '. "$1"; sources_with_non_free "$2" "$3"', "-",
                            PACKAGES, apt, out], check=True)
            self.assertEqual(
                (out / "sources.list").read_text(),
                "deb [arch=amd64] http://mirror.example/debian stable main contrib non-free\n",
            )
            self.assertIn("\nComponents: main non-free\n", (out / "debian.sources").read_text())
            self.assertIn("\nSigned-By: /usr/share/keyrings/k.gpg\n",
                          (out / "debian.sources").read_text())

    def test_source_packages_are_added_beside_the_others_in_both_formats(self):
        with tempfile.TemporaryDirectory() as directory:
            apt, out = Path(directory, "apt"), Path(directory, "out")
            (apt / "sources.list.d").mkdir(parents=True)
            out.mkdir()
            (apt / "sources.list").write_text(
                "deb [arch=amd64] http://mirror.example/debian stable main\n"
                "deb-src http://mirror.example/debian stable main\n"
                "# deb http://old.example/debian stable main\n"
            )
            (apt / "sources.list.d" / "debian.sources").write_text(
                "Types: deb\nURIs: http://mirror.example/debian\n\nTypes: deb-src deb\n"
                "\nTypes: deb-src\n"
            )
            subprocess.run(["bash", "-c", '. "$1"; sources_with_source_packages "$2" "$3"', "-",
                            PACKAGES, apt, out], check=True)
            self.assertEqual(
                (out / "sources.list").read_text(),
                "deb [arch=amd64] http://mirror.example/debian stable main\n"
                "deb-src [arch=amd64] http://mirror.example/debian stable main\n",
            )
            self.assertEqual(
                (out / "debian.sources").read_text(),
                "Types: deb deb-src\nURIs: http://mirror.example/debian\n\nTypes: deb deb-src\n"
                "\nTypes: deb-src\nEnabled: no\n",
            )

    def test_a_command_that_is_there_needs_nothing(self):
        done = subprocess.run(["bash", PACKAGES, "bash", "no-such-package"], capture_output=True)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))


class QuickstartTable(unittest.TestCase):
    def results(self):
        cpu = {"user_cores": 0.125, "system_cores": 1.25, "softirq_cores": 0.5}
        stream = {"status": "complete", "throughput": {"bits_per_second": 9.876e9},
                  "cpu": {"client": cpu, "server": {**cpu, "user_cores": 0.25}},
                  "verdict": {"bound_by": "receive_window"},
                  "streams": [{"socket": {"client": {"congestion_control": "cubic"}}}]}
        rr = {"status": "complete", "latency": {"mean_ns": 1_234_567.0, "stddev_ns": 45_678.0,
                                                "p99_ns": 2_345_678}}
        return {("pod", 3): {"stream": stream, "rr": rr}, ("host", 1): {"stream": stream, "rr": rr}}

    def test_figures_stand_in_the_units_of_the_header(self):
        lines, complete = quickstart_table.report(self.results())
        self.assertTrue(complete)
        self.assertEqual([line for line in lines if len(line) > 120], [])
        host, pod = lines[3], lines[4]
        self.assertEqual(host.split("  ")[0], "host to host")
        self.assertEqual(pod.split("  ")[0], "pod to pod, VXLAN")
        for text in (" 9.88 ", " 1234.6 ± 45.7 ", " 2345.7 ", " 0.12/0.25 ", " 1.25/1.25 ",
                     " 0.50/0.50 ", "receive window"):
            self.assertIn(text, host)
        self.assertTrue(any("Congestion control: cubic." in line for line in lines))

    def test_what_is_missing_is_a_dash_and_incomplete(self):
        results = self.results()
        results["pod", 3].pop("rr")
        results["host", 1]["stream"] = {"status": "incomplete"}
        lines, complete = quickstart_table.report(results)
        self.assertFalse(complete)
        self.assertIn(" -/- ", lines[3])
        self.assertIn(" - ", lines[4])
        self.assertTrue(lines[-1].startswith("INCOMPLETE"))

    def test_results_are_found_by_their_names(self):
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "host-3-rr.json").write_text(json.dumps({"status": "complete"}))
            Path(directory, "pod-1-stream.json").write_text("half a docu")
            runs, complaints = quickstart_table.load(directory)
        self.assertEqual(runs, {("host", 3): {"rr": {"status": "complete"}}})
        self.assertEqual(len(complaints), 1)
        self.assertIn("pod-1-stream.json: not JSON", complaints[0])


if __name__ == "__main__":
    unittest.main()
