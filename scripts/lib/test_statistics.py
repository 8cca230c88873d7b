"""Statistics, CPU readings and tables."""

import json
import subprocess
import sys
import unittest
from pathlib import Path

import procstat
import stats
from table import table

BEFORE = """\
cpu  100 10 200 1000 50 5 20 7 30 0
cpu0 50 5 100 500 25 2 10 3 15 0
cpu3 50 5 100 500 25 3 10 4 15 0
intr 12345 0 0
ctxt 99
"""
AFTER = """\
cpu  300 10 240 1100 40 5 60 17 130 0
cpu0 50 5 100 500 25 2 10 3 15 0
cpu3 250 5 140 600 15 3 50 14 115 0
"""


class ProcStat(unittest.TestCase):
    def test_busy_cores_are_ticks_over_time(self):
        use = procstat.busy_cores(
            procstat.parse(BEFORE, 10.0), procstat.parse(AFTER, 12.0), ticks_per_second=100
        )
        self.assertAlmostEqual(use["user"], 1.0)  # guest is in it, and is not added again
        self.assertAlmostEqual(use["system"], 0.2)
        self.assertAlmostEqual(use["softirq"], 0.2)
        self.assertAlmostEqual(use["steal"], 0.05)
        self.assertAlmostEqual(use["idle"], 0.5)
        self.assertEqual(use["iowait"], 0.0)  # ran backwards
        self.assertAlmostEqual(use["busy"], 1.4)  # neither idle, iowait nor steal
        self.assertEqual(use["cpus"], 2)

    def test_a_window_needs_a_length(self):
        reading = procstat.parse(BEFORE, 1.0)
        with self.assertRaises(ValueError):
            procstat.busy_cores(reading, reading)

    def test_text_without_the_line_for_all_cpus_is_refused(self):
        with self.assertRaisesRegex(ValueError, "no line for all CPUs"):
            procstat.parse("cpu0 1 2 3\n", 0.0)

    def test_on_this_machine_the_modes_add_up_to_the_cpus(self):
        program = Path(procstat.__file__)
        out = subprocess.run([sys.executable, program, "--seconds", "0.5"], check=True,
                             capture_output=True, text=True).stdout
        use = json.loads(out)
        total = sum(use[mode] for mode in procstat.MODES)
        # One tick of 10 ms for each mode of each CPU at either edge.
        slack = 2 * use["cpus"] * len(procstat.MODES) * 0.01 / use["seconds"]
        self.assertLess(abs(total - use["cpus"]), slack)


class RatioOfMedians(unittest.TestCase):
    def test_equal_tools_have_ratio_one_inside_the_interval(self):
        pairs = [(10.0, 10.5), (9.5, 9.0), (10.2, 10.0), (9.9, 10.1), (10.0, 10.0)]
        ratio = stats.ratio_of_medians(pairs, seed=1)
        self.assertAlmostEqual(ratio.ratio, 1.0)
        self.assertLessEqual(ratio.low, 1.0)
        self.assertGreaterEqual(ratio.high, 1.0)
        self.assertEqual((ratio.ours, ratio.theirs, ratio.pairs), (10.0, 10.0, 5))

    def test_a_clear_difference_leaves_one_outside(self):
        pairs = [(20.0 + i / 10, 10.0 + i / 10) for i in range(7)]
        ratio = stats.ratio_of_medians(pairs, seed=1)
        self.assertAlmostEqual(ratio.ratio, 20.3 / 10.3)
        self.assertGreater(ratio.low, 1.9)
        self.assertLess(ratio.high, 2.01)

    def test_pairing_cancels_what_a_round_shares(self):
        shared = [1.0, 5.0, 2.0, 9.0, 3.0, 7.0, 4.0]
        paired = stats.ratio_of_medians([(2 * s, s) for s in shared], seed=1)
        self.assertAlmostEqual(paired.low, 2.0)
        self.assertAlmostEqual(paired.high, 2.0)

    def test_one_outlier_does_not_move_the_ratio(self):
        pairs = [(10.0, 10.0)] * 6 + [(1000.0, 10.0)]
        self.assertEqual(stats.ratio_of_medians(pairs, seed=1).ratio, 1.0)

    def test_the_seed_decides_the_interval(self):
        pairs = [(10.0, 11.0), (12.0, 10.0), (11.0, 13.0), (14.0, 10.0), (9.0, 12.0)]
        first = stats.ratio_of_medians(pairs, seed=5)
        self.assertEqual(first, stats.ratio_of_medians(pairs, seed=5))

    def test_nothing_and_zero_are_refused(self):
        with self.assertRaises(ValueError):
            stats.ratio_of_medians([], seed=1)
        with self.assertRaises(ValueError):
            stats.ratio_of_medians([(1.0, 0.0)], seed=1)
        with self.assertRaises(ValueError):
            stats.ratio_of_medians([(-1.0, 1.0)], seed=1)
        self.assertEqual(stats.ratio_of_medians([(0.0, 1.0)], seed=1).ratio, 0.0)

    def test_quantiles_lie_between_ranks(self):
        self.assertEqual(stats.quantile([1.0, 2.0, 3.0], 0.5), 2.0)
        self.assertEqual(stats.quantile([1.0, 2.0], 0.25), 1.25)
        self.assertEqual(stats.quantile([4.0], 0.975), 4.0)


class Table(unittest.TestCase):
    def test_columns_are_aligned_and_headers_stand_at_the_bottom(self):
        lines = table(["path", "goodput\nGbit/s"], "<>", [["veth", "9.5"], ["vxlan", "10.25"]])
        self.assertEqual(lines, [
            "       goodput",
            "path    Gbit/s",
            "--------------",
            "veth       9.5",
            "vxlan    10.25",
        ])

    def test_a_table_too_wide_is_refused(self):
        with self.assertRaisesRegex(ValueError, "at most 120"):
            table(["a"], "<", [["x" * 121]])

    def test_a_table_may_be_empty(self):
        self.assertEqual(table(["a", "b"], "<>", []), ["a  b", "----"])


if __name__ == "__main__":
    unittest.main()
