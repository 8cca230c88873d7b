"""scripts/soak: what it judges, and two minutes of it."""

import importlib.machinery
import importlib.util
import subprocess
import sys
import unittest
from pathlib import Path

from soak_runs import Held
from test_faults import podperf

SCRIPT = Path(__file__).resolve().parents[1] / "soak"


def module():
    loader = importlib.machinery.SourceFileLoader("soak", str(SCRIPT))
    made = importlib.util.module_from_spec(importlib.util.spec_from_loader("soak", loader))
    loader.exec_module(made)
    return made


def rows(*mib, threads=2, descriptors=6):
    return [Held(round(one * 2**20), threads, descriptors) for one in mib]


class Judgement(unittest.TestCase):
    def test_growth_threads_and_descriptors_are_faults(self):
        judge, rest = module().judge, Held(5 << 20, 2, 6)
        self.assertEqual(judge("s", rows(5, 6, 7, 7, 7, 8, 8, 8, 9), rest), [])
        (grown,) = judge("s", rows(5, 5, 5, 5, 5, 5, 7.5, 7.5, 7.5), rest)
        self.assertIn("2.50 MiB more", grown)
        (threads,) = judge("s", rows(5, 5, 5, threads=3), rest)
        self.assertIn("3 threads", threads)
        (descriptors,) = judge("s", rows(5, 5, 5, descriptors=9), rest)
        self.assertIn("9 descriptors", descriptors)
        self.assertIn("soak longer", judge("s", rows(5, 5), rest)[0])

    def test_times(self):
        seconds = module().seconds
        self.assertEqual([seconds(text) for text in ("90", "90s", "10m", "1h")], [90, 90, 600, 3600])

    def test_wrong_usage_is_status_two(self):
        for words in ([], ["0"], ["5x"], ["8d"]):
            done = subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2, done)


class Soak(unittest.TestCase):
    def test_two_minutes_leave_nothing_behind(self):
        program = podperf()
        if program is None:
            self.skipTest("no podperf was built: cargo build -p podperf")
        done = subprocess.run([sys.executable, SCRIPT, "2m", "--podperf", str(program)],
                              capture_output=True, text=True, timeout=400)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        print(done.stdout)


if __name__ == "__main__":
    unittest.main()
