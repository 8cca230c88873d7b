"""The cases of docs/RELIABILITY.md: the tests they name are there, the document has the same rows, and
the short run of scripts/faults shows no fault of podperf's."""

import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

import fault_bench
import fault_rows
import fault_tools

ROOT = Path(__file__).resolve().parents[2]
FAULTS = ROOT / "scripts" / "faults"
DOCUMENT = ROOT / "docs" / "RELIABILITY.md"


def podperf():
    """A podperf that was built, the newest."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [path for path in (target / "release" / "podperf", target / "debug" / "podperf")
             if path.exists()]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


class Rows(unittest.TestCase):
    def test_there_are_the_53_and_each_can_be_played(self):
        self.assertEqual(sorted(fault_rows.BY_NUMBER), list(range(1, 54)))
        for row in fault_rows.ROWS:
            with self.subTest(row.number):
                self.assertTrue(row.how.endswith("."), row.how)

    def test_the_tests_that_they_name_are_there(self):
        for row in fault_rows.ROWS:
            for name in row.tests:
                with self.subTest(row=row.number, test=name):
                    file, _, function = name.partition("::")
                    text = (ROOT / file).read_text(encoding="utf-8")
                    kind = "def" if file.endswith(".py") else r"#\[test\]\s*fn"
                    self.assertRegex(text, rf"{kind} {function}\(")

    def test_every_case_has_a_test_but_the_one_that_does_not_apply(self):
        without = [row.number for row in fault_rows.ROWS if not row.tests]
        self.assertEqual(without, [52])


class Document(unittest.TestCase):
    def setUp(self):
        text = DOCUMENT.read_text(encoding="utf-8")
        self.rows = {int(number): (title, cells) for number, title, cells in
                     re.findall(r"^\| (\d+) \| ([^|]+) \| (.*) \|$", text, re.M)}

    def test_it_has_the_rows_of_the_script(self):
        self.assertEqual({number: title for number, (title, _) in self.rows.items()},
                         {row.number: row.title for row in fault_rows.ROWS})

    def test_podperf_and_its_netserver_pass_or_have_nothing_to_pass(self):
        for number, (_, cells) in self.rows.items():
            cells = cells.split(" | ")
            self.assertEqual(len(cells), len(fault_tools.TOOLS), number)
            for name, cell in zip(fault_tools.TOOLS, cells):
                with self.subTest(row=number, tool=name):
                    if (number, name) in fault_rows.OPEN:
                        self.assertRegex(cell, r"^fault: .+")
                    elif fault_tools.TOOLS[name].ours:
                        self.assertRegex(cell, r"^(pass|not applicable: .+)")
                    else:
                        self.assertRegex(cell, r"^(pass|fault: .+|not applicable: .+)")


class Script(unittest.TestCase):
    def run_script(self, *words, **options):
        return subprocess.run([sys.executable, FAULTS, *words], capture_output=True, text=True,
                              **options)

    def test_wrong_usage_is_status_two_and_says_what_is_allowed(self):
        for words, said in ((["--rows", "54"], "rows are 1 to 53"), (["--rows", "x"], "'x'"),
                            (["--tools", "nc"], "podperf, netserver, iperf3, netperf")):
            done = self.run_script(*words)
            self.assertEqual(done.returncode, 2, done)
            self.assertIn(said, done.stderr)

    def test_it_lists_rows_with_their_tests(self):
        done = self.run_script("--tests")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("tests/engine/faults.rs::a_second_signal_ends_at_once", done.stdout)

    def test_a_tool_that_does_nothing_passes_nothing(self):
        done = self.run_script("--rows", "1,3,38,48", "--tools", "podperf", "--podperf", "true")
        self.assertEqual(done.returncode, 1, done)
        self.assertNotIn(" pass", done.stdout)

    def test_quick_cases_show_no_fault_of_podperf(self):
        program = podperf()
        if program is None:
            self.skipTest("no podperf was built: cargo build -p podperf")
        done = self.run_script("--rows", "quick", "--tools", "podperf,netserver", "--podperf",
                               str(program), timeout=400)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for name in (os.listdir("/run/netns") if os.path.isdir("/run/netns") else ()):
            self.assertNotRegex(name, rf"^ppf{os.getpid()}-")


class Verdicts(unittest.TestCase):
    def test_what_has_to_be_so_is_held(self):
        with self.assertRaises(fault_bench.Decided) as raised:
            fault_bench.hold(False, "it is not so")
        self.assertEqual(str(raised.exception.verdict), "fault: it is not so")
        fault_bench.hold(True, "it is so")

    def test_a_program_that_does_not_end_is_ended(self):
        bench = fault_bench.Bench(None, 1, "/tmp", {}, {})
        with bench:
            program = bench.start(["sleep", "99"])
            self.assertIsNone(program.wait(0.1).status)
            self.assertFalse(program.alive())
            self.assertEqual(bench.start(["sh", "-c", "echo a; kill -9 $$"]).wait(9).status, 137)


if __name__ == "__main__":
    unittest.main()
