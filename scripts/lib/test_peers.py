"""What compare-peers starts, and how it reads what the tools print (fixtures are real outputs)."""

import json
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from random import Random

import peers

HERE = Path(__file__).resolve().parent
TARGET = peers.Target("192.0.2.2", 5, "cubic", 2, 3)


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

    def test_an_incomplete_run_is_no_sample(self):
        with self.assertRaisesRegex(peers.Unreadable, "incomplete.*gone"):
            self.tool.read(peers.TESTS["rr1"], ['{"status": "incomplete", "errors": ["gone"]}'])


class Commands(unittest.TestCase):
    tools = [peers.Podperf("podperf"), *(tool(name) for name, tool in peers.PEERS.items())]

    def test_all_tools_get_the_same_time_and_each_its_flows(self):
        for tool in self.tools:
            for name in tool.tests:
                test = peers.TESTS[name]
                commands = tool.clients(test, TARGET)
                with self.subTest(tool=tool.name, test=name):
                    flag = "-l" if tool.name == "netperf" else "-t"
                    for command in commands:
                        self.assertEqual(command[command.index(flag) + 1], "5")
                    if tool.name == "netperf":
                        self.assertEqual(len(commands), test.flows)
                    elif "-P" in commands[0]:
                        self.assertEqual(commands[0][commands[0].index("-P") + 1], str(test.flows))

    def test_only_pinned_tests_name_cpus(self):
        for tool in self.tools:
            for name in tool.tests:
                test = peers.TESTS[name]
                text = " ".join(tool.clients(test, TARGET)[0])
                named = any(flag in text for flag in ("--pin 2", "-T 2,3", "taskset -c 2"))
                with self.subTest(tool=tool.name, test=name):
                    self.assertEqual(named, test.pinned)

    def test_ports_of_servers_differ(self):
        ports = [port for tool in self.tools for _, port in tool.servers(TARGET)]
        self.assertEqual(len(ports), len(set(ports)))


class Comparison(unittest.TestCase):
    compare = load_compare_peers()

    def sample(self, tool, number, rate, **more):
        return {"path": "veth", "test": "stream1", "tool": tool, "round": number, "rate": rate,
                "cpu": 0.1, **more}

    def test_a_round_runs_each_able_tool_once_and_keeps_a_test_together(self):
        tests = list(peers.TESTS.values())
        order = self.compare.one_round(Random(3), tests, Commands.tools)
        wanted = {(name, tool.name) for tool in Commands.tools for name in tool.tests}
        self.assertEqual({(test.name, tool.name) for test, tool in order}, wanted)
        self.assertEqual(len(order), len(wanted))
        names = [test.name for test, _ in order]
        changes = sum(1 for a, b in zip(names, names[1:]) if a != b)
        self.assertEqual(changes, len(tests) - 1)

    def test_orders_differ_between_rounds_and_repeat_with_the_seed(self):
        def orders(seed):
            draw = Random(seed)
            tests = list(peers.TESTS.values())
            return [[(test.name, tool.name)
                     for test, tool in self.compare.one_round(draw, tests, Commands.tools)]
                    for _ in range(5)]

        self.assertEqual(orders(1), orders(1))
        self.assertGreater(len({tuple(order) for order in orders(1)}), 1)

    def test_only_rounds_with_both_figures_are_paired(self):
        samples = [self.sample("podperf", 0, 10.0), self.sample("netperf", 0, 5.0),
                   {"path": "veth", "test": "stream1", "tool": "podperf", "round": 1, "error": "x"},
                   self.sample("netperf", 1, 50.0),
                   self.sample("podperf", 2, 12.0), self.sample("netperf", 2, 6.0)]
        rows = self.compare.compare_samples(samples, ["veth"], [peers.TESTS["stream1"]], seed=1)
        (rate,) = [row for row in rows if row["measure"] == "rate"]
        self.assertEqual((rate["ours"], rate["theirs"], rate["pairs"]), (11.0, 5.5, 2))
        self.assertEqual((rate["ratio"], rate["peer"], rate["unit"]), (2.0, "netperf", "Gbit/s"))

    def test_without_podperf_the_peers_medians_remain(self):
        samples = [self.sample("iperf3", number, rate) for number, rate in enumerate((3.0, 9.0, 5.0))]
        rows = self.compare.compare_samples(samples, ["veth"], [peers.TESTS["stream1"]], seed=1)
        self.assertEqual([(r["measure"], r["theirs"], r["pairs"]) for r in rows],
                         [("rate", 5.0, 0), ("cpu", 0.1, 0)])
        self.assertEqual(self.compare.row_cells(rows[0])[4:],
                         ["iperf3", "-", "5.00", "-", "-", "0"])


if __name__ == "__main__":
    unittest.main()
