"""What compare-peers starts, and how it reads what the tools print (fixtures are real outputs)."""

import json
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

import goals
import peers
import stats

HERE = Path(__file__).resolve().parent
TARGET = peers.Target("192.0.2.2", 5, "cubic", 2, 3, "veth")
ALL = {way: peers.Podperf("podperf", way) for way in peers.PODPERF} | {
    way: peers.PEERS[name](name, way) for name, ways in peers.WAYS.items() for way in ways}


def fixture(name):
    return (HERE / "fixtures" / name).read_text()


def load_compare_peers():
    loader = SourceFileLoader("compare_peers", str(HERE.parent / "compare-peers"))
    module = module_from_spec(spec_from_loader("compare_peers", loader))
    loader.exec_module(module)
    return module


class Netperf(unittest.TestCase):
    tool = peers.Netperf("/opt/bin/netperf")

    def test_streams_of_several_processes_are_added(self):
        outputs = fixture("netperf-stream4.txt").splitlines(keepends=True)
        reading = self.tool.read(peers.TESTS["stream4"], outputs)
        self.assertAlmostEqual(reading.rate, 46.05777)  # Gbit/s
        self.assertAlmostEqual(reading.work, 46.3004327)  # Gbit, each over its own time
        self.assertIsNone(reading.latency_us)

    def test_transactions(self):
        reading = self.tool.read(peers.TESTS["rr1"], [fixture("netperf-rr1.txt")])
        self.assertEqual((reading.rate, reading.latency_us), (55590.273, 17.989))

    def test_connections_for_each_request(self):
        reading = self.tool.read(peers.TESTS["crr"], [fixture("netperf-crr.txt")])
        self.assertEqual((reading.rate, reading.latency_us), (11931.226, 83.814))
        (command,) = self.tool.clients(peers.TESTS["crr"], TARGET)
        self.assertIn("TCP_CRR", command)

    def test_datagrams_received_count(self):
        reading = self.tool.read(peers.TESTS["udp"], [fixture("netperf-udp.txt")])
        self.assertAlmostEqual(reading.rate, 1.04165)
        (command,) = self.tool.clients(peers.TESTS["udp"], TARGET)
        self.assertNotIn("-K", command)
        self.assertEqual(command[command.index("-R") + 1], "1")

    def test_output_without_figures_is_refused(self):
        for text in ("", "establish control: are you sure\n", "1.0\n", "0.00,5.00\n", "-1,5.0\n"):
            with self.subTest(text), self.assertRaises(peers.Unreadable):
                self.tool.read(peers.TESTS["stream1"], [text])

    def test_its_server_stands_beside_it(self):
        ((command, port),) = self.tool.servers(TARGET)
        self.assertEqual(command[0], "/opt/bin/netserver")
        self.assertIn(str(port), command)


class Iperf3(unittest.TestCase):
    tool = peers.Iperf3("iperf3")

    def test_the_receivers_figure_counts(self):
        text = fixture("iperf3-stream4.txt")
        received = json.loads(text)["end"]["sum_received"]
        reading = self.tool.read(peers.TESTS["stream4"], [text])
        self.assertAlmostEqual(reading.rate, received["bits_per_second"] / 1e9)
        self.assertAlmostEqual(reading.work, received["bytes"] * 8 / 1e9)

    def test_datagrams_received_count_and_not_those_sent(self):
        reading = self.tool.read(peers.TESTS["udp"], [fixture("iperf3-udp.txt")])
        self.assertAlmostEqual(reading.rate, 0.652732569881443)
        self.assertAlmostEqual(reading.work, 81607400 * 8 / 1e9)

    def test_flags_of_a_way_and_one_message_size(self):
        for way, flags in peers.IPERF3.items():
            command = peers.Iperf3("iperf3", way).clients(peers.TESTS["stream4-fast"], TARGET)[0]
            self.assertEqual(command.count("-l"), 1)
            self.assertEqual(command[len(command) - len(flags):], flags)
            self.assertEqual(command[command.index("-l") + 1], "1M" if "1M" in way else "128K")

    def test_an_error_reported_with_status_zero_is_seen(self):
        text = '{"start": {}, "end": {}, "error": "unable to connect to server"}'
        with self.assertRaisesRegex(peers.Unreadable, "unable to connect"):
            self.tool.read(peers.TESTS["stream1"], [text])

    def test_a_missing_figure_is_named(self):
        with self.assertRaisesRegex(peers.Unreadable, r"no \.end\.sum_received"):
            self.tool.read(peers.TESTS["stream1"], ['{"end": {}}'])


class Sockperf(unittest.TestCase):
    tool = peers.Sockperf("sockperf")

    def test_rate_is_of_the_valid_part_and_work_of_the_whole(self):
        reading = self.tool.read(peers.TESTS["rr1"], [fixture("sockperf-rr1.txt")])
        self.assertAlmostEqual(reading.rate, 29294 / 0.550)
        self.assertEqual((reading.work, reading.latency_us), (47667, 18.762))

    def test_half_round_trips_are_refused(self):
        text = fixture("sockperf-rr1.txt").replace("Round trip is", "Latency is")
        with self.assertRaisesRegex(peers.Unreadable, "Round trip"):
            self.tool.read(peers.TESTS["rr1"], [text])


class Podperf(unittest.TestCase):
    tool = peers.Podperf("podperf")

    def test_stream_and_rr(self):
        stream = {"status": "complete",
                  "throughput": {"bits_per_second": 9.5e9, "bytes_received": 5_937_500_000}}
        reading = self.tool.read(peers.TESTS["stream1"], [json.dumps(stream)])
        self.assertEqual((reading.rate, reading.work, reading.latency_us), (9.5, 47.5, None))
        rr = {"status": "complete", "transactions": {"count": 100_000, "per_second": 20_000.0},
              "latency": {"mean": 49_500.0}}
        reading = self.tool.read(peers.TESTS["rr1"], [json.dumps(rr)])
        self.assertEqual((reading.rate, reading.work, reading.latency_us), (20_000, 100_000, 49.5))

    def test_user_time_is_a_share_of_all_cpu_time_of_the_shared_machine(self):
        def end(user):
            return {"busy": 2.0, "process": {"user": user, "system": 0.5}}

        stream = {"status": "complete", "cpu": {"client": end(0.01), "server": end(0.03)},
                  "throughput": {"bits_per_second": 1.0, "bytes_received": 1}}
        reading = self.tool.read(peers.TESTS["stream1"], [json.dumps(stream)])
        self.assertAlmostEqual(reading.user_share, 2.0)
        for cpu in ({}, {"client": None, "server": None}, {"client": end(0.1), "server": None}):
            reading = self.tool.read(peers.TESTS["stream1"], [json.dumps({**stream, "cpu": cpu})])
            self.assertIsNone(reading.user_share)

    def test_ways_add_their_options_and_one_message_size(self):
        fast = peers.Podperf("podperf", "podperf-fast")
        for path in peers.FAST:
            target = replace(TARGET, path=path)
            (command,) = fast.clients(peers.TESTS["stream4-fast"], target)
            self.assertEqual(command.count("-l"), 1)
            self.assertEqual(command[command.index("--pin") + 1], "2,3")
            self.assertNotIn("{", " ".join(command))
        spin = peers.Podperf("podperf", "podperf-spin").clients(peers.TESTS["rr1-pinned"], TARGET)
        self.assertEqual(spin[0][-4:], ["--wait", "spin", "--server-wait", "spin"])
        self.assertNotIn("-C", self.tool.clients(peers.TESTS["udp"], TARGET)[0])

    def test_what_a_program_does_not_know_is_found_out_without_a_run(self):
        command = self.tool.check_command(peers.TESTS["rr512"], TARGET)
        self.assertEqual(command[-1], "--help")
        self.assertEqual(command[:-1], self.tool.clients(peers.TESTS["rr512"], TARGET)[0])

    def test_an_incomplete_run_is_no_sample(self):
        with self.assertRaisesRegex(peers.Unreadable, "incomplete.*gone"):
            self.tool.read(peers.TESTS["rr1"], ['{"status": "incomplete", "errors": ["gone"]}'])


class Commands(unittest.TestCase):
    def test_every_way_that_a_test_names_is_there(self):
        for test in peers.TESTS.values():
            self.assertLessEqual(set(test.tools()), set(ALL))
        self.assertLessEqual(set(peers.FIRST_LOOK), set(peers.TESTS))

    def test_all_tools_get_the_same_time_and_each_its_flows(self):
        for test in peers.TESTS.values():
            for tool in (ALL[name] for name in test.tools()):
                commands = tool.clients(test, TARGET)
                with self.subTest(tool=tool.name, test=test.name):
                    flag = "-l" if tool.program == "netperf" else "-t"
                    for command in commands:
                        self.assertEqual(command[command.index(flag) + 1], "5")
                    if tool.program == "netperf":
                        self.assertEqual(len(commands), test.flows)
                    elif "-P" in commands[0]:
                        self.assertEqual(commands[0][commands[0].index("-P") + 1], str(test.flows))

    def test_only_pinned_tests_name_cpus(self):
        for test in peers.TESTS.values():
            for tool in (ALL[name] for name in test.tools() if name != "podperf-fast"):
                text = " ".join(tool.clients(test, TARGET)[0])
                named = any(flag in text for flag in ("--pin 2", "-T 2,3", "taskset -c 2"))
                with self.subTest(tool=tool.name, test=test.name):
                    self.assertEqual(named, test.pinned)

    def test_ports_of_programs_differ_and_ways_share_theirs(self):
        ports = {}
        for tool in ALL.values():
            for command, port in tool.servers(TARGET):
                self.assertEqual(ports.setdefault(port, command), command)
        self.assertEqual(len(ports), 5)


class Comparison(unittest.TestCase):
    compare = load_compare_peers()

    def plan(self, *names):
        tests = [peers.TESTS[name] for name in names or peers.TESTS]
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
                {"loopback": TARGET, "veth": TARGET}, [peers.TESTS["rr1-pinned"]], tools)
        names = {path: [tool.name for _, able in tests for tool in able]
                 for path, tests in plan.items()}
        self.assertEqual(names, {"loopback": ["podperf"], "veth": ["podperf"]})
        self.assertEqual(missing, 1)
        self.assertIn("rr1-pinned podperf-spin: unexpected argument", talk.getvalue())

    def test_a_test_for_one_path_runs_there_alone(self):
        tools = {"netperf": ALL["netperf"], "podperf-epoll": peers.Netperf("x", "podperf-epoll")}
        plan, _ = self.compare.plan_runs({"loopback": TARGET, "veth": TARGET},
                                         [peers.TESTS["rr512"]], tools)
        self.assertEqual([len(plan["loopback"]), len(plan["veth"])], [0, 1])

    def test_the_widest_figures_fit_the_line(self):
        tests = list(peers.TESTS.values())
        samples = [{"path": "veth", "test": test.name, "tool": tool, "round": number,
                    "rate": 1e6 * factor, "cpu": 2e4 / factor, "latency_us": 3e4 / factor,
                    "user_share": 99.0}
                   for test in tests for number in range(7) for tool in test.tools()
                   for factor in [37.1 if tool in test.subjects else 1.0 + number / 10]]
        rows = goals.compare(samples, ["veth"], tests, 1)
        shown = goals.shown(samples, ["veth"], tests, 1)
        with redirect_stdout(StringIO()) as printed:
            self.compare.report(["veth"], rows, shown, samples)
        self.assertLessEqual(max(len(line) for line in printed.getvalue().splitlines()), 120)
        self.assertIn("no difference shown", goals.Shown(
            goals.GOALS[0], "veth", "netperf", stats.Ratio(1, 1, 1.0, 0.9, 1.1, 7)).word())

    def test_command_lines_stand_once(self):
        plan = {path: self.plan("stream1", "stream4-fast") for path in ("veth", "vxlan")}
        targets = {path: replace(TARGET, path=path) for path in plan}
        lines = self.compare.command_lines(plan, targets)
        self.assertEqual(len(lines), len(set(lines)))
        self.assertIn("stream1: netperf -H ADDRESS", "\n".join(lines))

    def test_the_markdown_has_command_facts_and_tables(self):
        samples = [{"path": "veth", "test": "stream1", "tool": tool, "round": number, "rate": rate,
                    "cpu": 0.1} for tool, rate in (("podperf", 12.0), ("netperf", 10.0))
                   for number in range(5)]
        tests = [peers.TESTS["stream1"]]
        rows = goals.compare(samples, ["veth"], tests, 1)
        shown = goals.shown(samples, ["veth"], tests, 1)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "table.md"
            settings = SimpleNamespace(json=None, markdown=str(file), typed=["--all"], rounds=5,
                                       time=2, seed=1)
            facts = {"kernel": "6.1", "cpus": 2, "cpu": "X", "versions": {"podperf": "podperf 9"},
                     "congestion_control": "cubic", "default_congestion_control": "cubic"}
            self.compare.write_files(settings, facts, ["veth"], tests,
                                     {"veth": self.plan("stream1")}, {"veth": TARGET}, samples,
                                     rows, shown)
            text = file.read_text()
        self.assertIn("scripts/compare-peers --all", text)
        self.assertIn("- kernel 6.1, 2 x X", text)
        self.assertIn("| stream1 | veth | plain | rate | netperf | ≥ 1 × | 1.200 |", text)
        self.assertIn("| stream1 | plain | goodput ↑ | Gbit/s | netperf | 12.00 | 10.00 |", text)


if __name__ == "__main__":
    unittest.main()
