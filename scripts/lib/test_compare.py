"""What compare-peers plans, runs, and prints: no tool started."""

import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from io import StringIO
from pathlib import Path
from random import Random
from types import SimpleNamespace
from unittest import mock

import netns
import goals
import peers
import report
import stats
import suite
from test_peers import ALL, HERE, TARGET, fixture


def load_compare_peers():
    loader = SourceFileLoader("compare_peers", str(HERE.parent / "compare-peers"))
    module = module_from_spec(spec_from_loader("compare_peers", loader))
    loader.exec_module(module)
    return module


class Comparison(unittest.TestCase):
    compare = load_compare_peers()

    def plan(self, *names):
        tests = [suite.TESTS[name] for name in names or suite.TESTS]
        return [(test, [ALL[name] for name in test.tools()]) for test in tests]

    def test_a_round_runs_each_able_tool_once_and_keeps_a_test_together(self):
        plan = self.plan()
        order = self.compare.one_round(Random(3), plan)
        wanted = {(test.name, tool.name) for test, able in plan for tool in able}
        self.assertEqual({(test.name, tool.name) for test, tool in order}, wanted)
        self.assertEqual(len(order), len(wanted))
        names = [test.name for test, _ in order]
        changes = sum(1 for a, b in zip(names, names[1:]) if a != b)
        self.assertEqual(changes, len(plan) - 1)

    def test_orders_differ_between_rounds_and_repeat_with_the_seed(self):
        def orders(seed):
            draw = Random(seed)
            return [[(test.name, tool.name)
                     for test, tool in self.compare.one_round(draw, self.plan())]
                    for _ in range(5)]

        self.assertEqual(orders(1), orders(1))
        self.assertGreater(len({tuple(order) for order in orders(1)}), 1)

    def test_what_cannot_be_done_is_left_out_with_the_reason(self):
        class Able(peers.Podperf):
            def check_command(self, test, target):
                known = "--wait" not in self.clients(test, target)[0]
                words = "echo 'unexpected argument' >&2; exit 2"
                return ["sh", "-c", "true" if known else words]

        tools = {way: Able("podperf", way) for way in ("podperf", "podperf-spin")}
        with redirect_stderr(StringIO()) as talk:
            plan, missing = self.compare.plan_runs(
                {"loopback": TARGET, "veth": TARGET}, [suite.TESTS["rr1-pinned"]], tools)
        names = {path: [tool.name for _, able in tests for tool in able]
                 for path, tests in plan.items()}
        self.assertEqual(names, {"loopback": ["podperf"], "veth": ["podperf"]})
        self.assertEqual(missing, 1)
        self.assertIn("rr1-pinned podperf-spin: unexpected argument", talk.getvalue())

    def test_loss_is_made_for_its_test_alone_and_needs_nft(self):
        place = netns.Place("client", "server", "192.0.2.2")
        with mock.patch("netns.loss") as loss:
            for name in suite.TESTS:
                self.compare.dropping(suite.TESTS[name], ALL["iperf3"], TARGET, place)
            loss.assert_called_once_with("server", [peers.Iperf3.port], 2, 1400)
        with mock.patch("shutil.which", return_value=None):
            reason = self.compare.unable_to(ALL["netperf"], suite.TESTS["udp-loss"], TARGET)
            self.assertIn("no nft", reason)
            self.assertIsNone(self.compare.unable_to(ALL["netperf"], suite.TESTS["udp"], TARGET))

    def test_arrivals_are_timed_for_their_tests_alone_and_need_tcpdump(self):
        place = netns.Place("client", "server", "192.0.2.2")
        with mock.patch("arrivals.captured") as captured:
            for name, test in suite.TESTS.items():
                self.compare.timing(test, ALL["iperf3"], TARGET, place)
        self.assertEqual([call.args for call in captured.call_args_list],
                         [("server", peers.Iperf3.port, 1400, rate) for rate in (50e6, 2e8, 1e9)])
        with mock.patch("shutil.which", return_value=None):
            reason = self.compare.unable_to(ALL["iperf3"], suite.TESTS["udp-paced-50"], TARGET)
        self.assertIn("no tcpdump", reason)

    def test_own_cores_are_the_processes_of_both_ends(self):
        # Of a server that burns CPU and a client that does; the server's time before does not count.
        place = netns.Place(None, None, "127.0.0.1")
        burn = "import time\nwhile time.process_time() < {}: pass\n"
        target = replace(TARGET, seconds=1)

        class Burner(peers.Iperf3):
            def clients(self, test, target):
                return [[sys.executable, "-c", burn.format(0.3)]]

            def read(self, test, outputs):
                return peers.Reading(1.0, 1.0)

        tool = Burner("burner", "iperf3")
        server = subprocess.Popen([sys.executable, "-c", burn.format(60)])
        try:
            sample = self.compare.take(tool, suite.TESTS["stream1"], target, place,
                                       {peers.Iperf3.port: server.pid})
            alone = self.compare.take(tool, suite.TESTS["stream1"], target, place, {})
        finally:
            server.kill()
            server.wait()
        self.assertGreaterEqual(alone["own_cores"], 0.3)
        self.assertGreater(sample["own_cores"], 0.3 + 0.05)
        self.assertIsNone(sample["late_p99_us"])

    def test_cpu_is_by_what_was_moved_and_unknown_where_two_things_were(self):
        outputs = fixture("netperf-load.txt").splitlines()
        place = netns.Place(None, None, "127.0.0.1")
        for name, printed, cpu in (("load", outputs, None), ("rr1", outputs[:1], 3e6 / 19931.8),
                                   ("stream4", outputs[1:], 3 / 81.59142)):
            with mock.patch("netns.run", return_value=netns.Outcome(printed, 2.0, 3.0)):
                sample = self.compare.take(ALL["netperf"], suite.TESTS[name], TARGET, place, {})
            with self.subTest(name):
                self.assertEqual(sample["busy_core_seconds"], 3.0)
                if cpu is None:
                    self.assertIsNone(sample["cpu"])
                else:
                    self.assertAlmostEqual(sample["cpu"], cpu)

    def test_everything_takes_half_an_hour_at_the_most(self):
        def minutes(names):
            runs = [suite.TESTS[name] for name in names for path in self.compare.PATHS
                    if suite.TESTS[name].runs_on(path) for _ in suite.TESTS[name].tools()]
            return self.compare.expected_minutes(runs, SimpleNamespace(rounds=7, time=2))

        by_name = self.compare.choice(suite.TESTS)("netperf-*")
        self.assertLessEqual(minutes(suite.ALL), 30)
        self.assertLessEqual(minutes(by_name), 12)
        self.assertEqual(set(suite.TESTS) - set(suite.ALL),
                         {*by_name, "udp-paced-50", "udp-paced-1000"})
        settings = SimpleNamespace(rounds=60, time=2)
        one = self.compare.expected_minutes([suite.TESTS["rr64"]], settings)
        self.assertAlmostEqual(one, 3 + self.compare.OVERHEAD_SECONDS)  # one second is the warm-up

    def test_a_test_for_one_path_runs_there_alone(self):
        tools = {"netperf": ALL["netperf"], "podperf-epoll": peers.Netperf("x", "podperf-epoll")}
        plan, _ = self.compare.plan_runs({"loopback": TARGET, "veth": TARGET},
                                         [suite.TESTS["rr512"]], tools)
        self.assertEqual([len(plan["loopback"]), len(plan["veth"])], [0, 1])

    def test_the_widest_figures_fit_the_line(self):
        tests = list(suite.TESTS.values())
        samples = [{"path": "veth", "test": test.name, "tool": tool, "round": number,
                    "rate": (0.1 if test.kind == "paced" else 1e6) * factor, "cpu": 2e4 / factor,
                    "latency_us": 3e4 / factor, "user_share": 99.0, "bulk_rate": 1e3 * factor,
                    "loss_percent": 2 * factor, "jitter_us": 1e3 * factor,
                    "own_cores": factor, "late_p99_us": 1e3 * factor}
                   for test in tests for number in range(7) for tool in test.tools()
                   for factor in [37.1 if tool in test.subjects else 1.0 + number / 10]]
        rows = goals.compare(samples, ["veth"], tests, 1)
        shown = goals.shown(samples, ["veth"], tests, 1)
        with redirect_stdout(StringIO()) as printed:
            report.show(["veth"], rows, shown, samples)
        self.assertLessEqual(max(len(line) for line in printed.getvalue().splitlines()), 120)
        self.assertIn("no difference shown", goals.Shown(
            goals.GOALS[0], "veth", "netperf", stats.Ratio(1, 1, 1.0, 0.9, 1.1, 7)).word())

    def test_command_lines_stand_once(self):
        plan = {path: self.plan("stream1", "stream4-fast") for path in ("veth", "vxlan")}
        targets = {path: replace(TARGET, path=path) for path in plan}
        lines = report.command_lines(plan, targets)
        self.assertEqual(len(lines), len(set(lines)))
        self.assertIn("stream1: netperf -H ADDRESS", "\n".join(lines))

    def test_a_run_of_several_programs_is_one_line(self):
        lines = report.command_lines({"veth": self.plan("load")}, {"veth": TARGET})
        (line,) = [line for line in lines if "netperf" in line]
        self.assertRegex(line, r"^load: netperf .* TCP_RR .* & 4 x netperf .* TCP_STREAM ")

    def test_the_markdown_has_command_facts_and_tables(self):
        samples = [{"path": "veth", "test": "stream1", "tool": tool, "round": number, "rate": rate,
                    "cpu": 0.1} for tool, rate in (("podperf", 12.0), ("netperf", 10.0))
                   for number in range(5)]
        tests = [suite.TESTS["stream1"]]
        rows = goals.compare(samples, ["veth"], tests, 1)
        shown = goals.shown(samples, ["veth"], tests, 1)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "table.md"
            settings = SimpleNamespace(json=None, markdown=str(file), typed=["--all"], rounds=5,
                                       time=2, seed=1)
            facts = {"kernel": "6.1", "cpus": 2, "cpu": "X", "versions": {"podperf": "podperf 9"},
                     "congestion_control": "cubic", "default_congestion_control": "cubic"}
            report.write(settings, facts, ["veth"], tests,
                                     {"veth": self.plan("stream1")}, {"veth": TARGET}, samples,
                                     rows, shown)
            text = file.read_text()
        self.assertIn("scripts/compare-peers --all", text)
        self.assertIn("- kernel 6.1, 2 x X", text)
        self.assertIn("| stream1 | veth | plain | rate | netperf | ≥ 1 × | 1.200 |", text)
        self.assertIn("| stream1 | plain | goodput ↑ | Gbit/s | netperf | 12.00 | 10.00 |", text)

    def test_where_tools_should_agree_there_is_no_arrow_and_no_ratio_to_zero(self):
        row = {"path": "veth", "test": "udp-paced-200", "measure": "loss_percent", "subject": "podperf",
               "peer": "iperf3", "ours": 0.5, "theirs": 0.0, "pairs": 7}
        self.assertEqual(report.row_cells(row), ["udp-paced-200", "plain", "loss", "%", "iperf3",
                                                 "0.500", "0.000", "-", "-", "7"])


if __name__ == "__main__":
    unittest.main()
