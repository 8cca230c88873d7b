"""What samples show of the goals: exact figures, no tool started."""

import unittest

import goals
import suite


def sample(tool, number, rate, test="stream1", path="veth", **more):
    return {"path": path, "test": test, "tool": tool, "round": number, "rate": rate, "cpu": 0.1,
            **more}


def rounds(test, path="veth", **rates):
    """Five rounds in which each tool has one rate."""
    return [sample(tool.replace("_", "-"), number, rate, test, path) for number in range(5)
            for tool, rate in rates.items()]


def word(samples, test, subject, key="rate", path="veth"):
    (item,) = [item for item in goals.shown(samples, [path], [suite.TESTS[test]], seed=1)
               if (item.goal.subject, item.goal.key) == (subject, key)]
    return item


class Comparison(unittest.TestCase):
    def test_only_rounds_with_both_figures_are_paired(self):
        samples = [sample("podperf", 0, 10.0), sample("netperf", 0, 5.0),
                   {"path": "veth", "test": "stream1", "tool": "podperf", "round": 1, "error": "x"},
                   sample("netperf", 1, 50.0), sample("podperf", 2, 12.0), sample("netperf", 2, 6.0)]
        rows = goals.compare(samples, ["veth"], [suite.TESTS["stream1"]], seed=1)
        (rate,) = [row for row in rows if row["measure"] == "rate"]
        self.assertEqual((rate["ours"], rate["theirs"], rate["pairs"]), (11.0, 5.5, 2))
        self.assertEqual((rate["ratio"], rate["peer"], rate["unit"]), (2.0, "netperf", "Gbit/s"))

    def test_without_podperf_the_peers_medians_remain(self):
        samples = [sample("iperf3", number, rate) for number, rate in enumerate((3.0, 9.0, 5.0))]
        rows = goals.compare(samples, ["veth"], [suite.TESTS["stream1"]], seed=1)
        self.assertEqual([(r["measure"], r["theirs"], r["pairs"]) for r in rows],
                         [("rate", 5.0, 0), ("cpu", 0.1, 0)])
        self.assertEqual(word(samples, "stream1", "podperf").word(), "missing")

    def test_two_subjects_are_each_held_against_each_peer(self):
        samples = rounds("rr1-pinned", podperf=9.0, podperf_spin=30.0, netperf=10.0, sockperf=11.0)
        rows = goals.compare(samples, ["veth"], [suite.TESTS["rr1-pinned"]], seed=1)
        pairs = {(row["subject"], row["peer"]): row["ratio"] for row in rows
                 if row["measure"] == "rate"}
        self.assertEqual(len(pairs), 4)
        self.assertAlmostEqual(pairs["podperf-spin", "sockperf"], 30 / 11)

    def test_an_earlier_podperf_is_held_against_today_s_in_the_same_way_alone(self):
        test = suite.TESTS["rr1-pinned"].beside_before()
        self.assertEqual(test.peers[-2:], ("podperf-before", "podperf-spin-before"))
        figures = {"podperf": 9.0, "podperf-spin": 30.0, "podperf-before": 10.0,
                   "podperf-spin-before": 20.0, "netperf": 5.0}
        samples = [sample(tool, number, rate, "rr1-pinned")
                   for tool, rate in figures.items() for number in range(7)]
        rows = goals.compare(samples, ["veth"], [test], seed=1)
        ratios = {(row["subject"], row["peer"]): row["ratio"] for row in rows
                  if row["measure"] == "rate"}
        self.assertEqual(ratios, {
            ("podperf", "netperf"): 1.8, ("podperf-spin", "netperf"): 6.0,
            ("podperf", "podperf-before"): 0.9, ("podperf-spin", "podperf-spin-before"): 1.5})
        # podperf as netperf is no way of its own.
        self.assertEqual(suite.TESTS["netperf-rr"].beside_before(), suite.TESTS["netperf-rr"])

    def test_no_loss_is_a_figure_and_no_ratio_is_made_of_it(self):
        def loss(ours, theirs):
            samples = [sample(tool, number, 0.2, "udp-loss", loss_percent=percent, jitter_us=1.0)
                       for tool, percents in (("podperf", ours), ("iperf3", theirs))
                       for number, percent in enumerate(percents)]
            rows = goals.compare(samples, ["veth"], [suite.TESTS["udp-loss"]], seed=1)
            (row,) = [row for row in rows if row["measure"] == "loss_percent"]
            return row

        row = loss((2.1, 2.0, 1.9), (2.5, 2.0, 0.0))
        self.assertEqual((row["ours"], row["theirs"], row["pairs"]), (2.0, 2.0, 3))
        self.assertNotIn("ratio", row)
        row = loss((0.0, 2.0, 1.9), (2.5, 2.0, 1.0))
        self.assertEqual((row["ours"], row["theirs"], row["ratio"]), (1.9, 2.0, 0.95))
        self.assertEqual((row["unit"], row["better"]), ("%", None))

    def test_latency_under_load_has_the_loads_goodput_beside_it_and_no_cpu(self):
        samples = [sample(tool, 0, 9e3, "load", latency_us=100.0, bulk_rate=bulk, cpu=None)
                   for tool, bulk in (("podperf", 30.0), ("netperf", 20.0))]
        rows = goals.compare(samples, ["veth"], [suite.TESTS["load"]], seed=1)
        self.assertEqual({row["measure"]: row["ratio"] for row in rows},
                         {"rate": 1.0, "latency_us": 1.0, "bulk_rate": 1.5})
        self.assertEqual(goals.measure_of("load", "bulk_rate").unit, "Gbit/s")

    def test_every_test_has_measures_each_once(self):
        for test in suite.TESTS.values():
            keys = [measure.key for measure in goals.MEASURES if test.kind in measure.kinds]
            with self.subTest(test.name):
                self.assertIn("rate", keys)
                self.assertEqual(len(keys), len(set(keys)))


class Goals(unittest.TestCase):
    def test_the_peer_with_the_best_median_is_the_measure(self):
        item = word(rounds("stream1", podperf=11.0, netperf=9.0, iperf3=10.0), "stream1", "podperf")
        self.assertEqual((item.best, item.ratio.ratio, item.word()), ("iperf3", 1.1, "met"))
        # Across CPUs it is netperf, whatever sockperf does.
        samples = rounds("rr1-pinned", podperf=9.0, podperf_spin=30.0, netperf=10.0, sockperf=11.0)
        item = word(samples, "rr1-pinned", "podperf-spin")
        self.assertEqual((item.best, item.ratio.ratio, item.word()), ("netperf", 3.0, "met"))
        self.assertEqual(word(samples, "rr1-pinned", "podperf").word(), "not met")

    def test_of_cpu_the_least_is_the_best_and_more_misses_the_goal(self):
        def samples(ours):
            cpu = {"podperf-fast": ours, "iperf3": 0.2, "iperf3-Z": 0.1}
            return [sample(tool, number, 10.0, "stream4-fast", "loopback", cpu=cores)
                    for number in range(5) for tool, cores in cpu.items()]

        def of(ours):
            item = word(samples(ours), "stream4-fast", "podperf-fast", "cpu", "loopback")
            return item.best, item.word()

        self.assertEqual(of(0.08), ("iperf3-Z", "met"))
        self.assertEqual(of(0.095), ("iperf3-Z", "not met"))

    def test_a_few_rounds_show_nothing(self):
        samples = rounds("stream1", podperf=20.0, netperf=10.0)
        few = [sample for sample in samples if sample["round"] < 4]
        self.assertEqual(word(few, "stream1", "podperf").word(), "too few rounds")

    def test_an_interval_around_the_goal_shows_no_difference(self):
        ratios = (0.90, 0.95, 1.0, 1.05, 1.10)
        samples = [sample("podperf", number, 10 * ratio) for number, ratio in enumerate(ratios)]
        samples += [sample("netperf", number, 10.0) for number in range(5)]
        item = word(samples, "stream1", "podperf")
        self.assertLess(item.ratio.low, 1.0)
        self.assertEqual(item.word(), "no difference shown")

    def test_user_time_is_held_against_its_bound_without_a_peer(self):
        def item(share):
            samples = [sample("podperf", number, 10.0, user_share=share) for number in range(5)]
            return word(samples, "stream1", "podperf", "user_share")

        words = [item(share).word() for share in (0.0, 2.0, 3.5)]
        self.assertEqual(words, ["met", "met", "not met"])
        cells = goals.summary_cells(item(2.0))
        self.assertEqual(cells[3:8], ["user time", "-", "≤ 3 %", "2.00", "[2.00, 2.00]"])

    def test_a_comparison_without_a_goal_says_neither(self):
        item = word(rounds("crr", podperf=9.0, netperf=10.0), "crr", "podperf")
        self.assertEqual(goals.summary_cells(item)[4:7], ["netperf", "-", "0.900"])
        self.assertEqual(item.word(), "-")

    def test_goals_name_what_there_is(self):
        keys = {measure.key for measure in goals.MEASURES} | {"user_share"}
        for goal in goals.GOALS:
            test = suite.TESTS[goal.test]
            self.assertIn(goal.subject, test.subjects)
            self.assertIn(goal.key, keys)
            self.assertTrue(all(test.runs_on(path) for path in goal.bounds))


if __name__ == "__main__":
    unittest.main()
