"""What compare-peers starts, and how it reads what the tools print (fixtures are real outputs)."""

import json
import subprocess
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

import peers
import suite

HERE = Path(__file__).resolve().parent
TARGET = peers.Target("192.0.2.2", 5, "cubic", 2, 3, "veth")
ALL = {way: peers.Podperf("podperf", way) for way in peers.PODPERF} | {
    way: peers.PEERS[name](name, way) for name, ways in peers.WAYS.items() for way in ways} | {
    "podperf-as-netperf": peers.AsNetperf("/tmp/links/netperf", "podperf-as-netperf")}


def fixture(name):
    return (HERE / "fixtures" / name).read_text()


class Netperf(unittest.TestCase):
    tool = peers.Netperf("/opt/bin/netperf")

    def test_streams_of_several_processes_are_added(self):
        outputs = fixture("netperf-stream4.txt").splitlines(keepends=True)
        reading = self.tool.read(suite.TESTS["stream4"], outputs)
        self.assertAlmostEqual(reading.rate, 46.05777)  # Gbit/s
        self.assertAlmostEqual(reading.work, 46.3004327)  # Gbit, each over its own time
        self.assertIsNone(reading.latency_us)

    def test_transactions(self):
        reading = self.tool.read(suite.TESTS["rr1"], [fixture("netperf-rr1.txt")])
        self.assertEqual((reading.rate, reading.latency_us), (55590.273, 17.989))

    def test_connections_for_each_request(self):
        reading = self.tool.read(suite.TESTS["crr"], [fixture("netperf-crr.txt")])
        self.assertEqual((reading.rate, reading.latency_us), (11931.226, 83.814))
        (command,) = self.tool.clients(suite.TESTS["crr"], TARGET)
        self.assertIn("TCP_CRR", command)

    def test_a_flow_and_its_load_start_at_once_and_are_told_apart(self):
        first, *load = self.tool.clients(suite.TESTS["load"], TARGET)
        self.assertIn("TCP_RR", first)
        self.assertEqual(load, self.tool.clients(suite.TESTS["stream4"], TARGET))
        outputs = fixture("netperf-load.txt").splitlines(keepends=True)
        reading = self.tool.read(suite.TESTS["load"], outputs)
        self.assertEqual((reading.rate, reading.latency_us), (9965.9, 100.342))
        self.assertAlmostEqual(reading.bulk_rate, 40.79571)
        self.assertIsNone(reading.work)

    def test_datagrams_received_count(self):
        reading = self.tool.read(suite.TESTS["udp"], [fixture("netperf-udp.txt")])
        self.assertAlmostEqual(reading.rate, 1.04165)
        (command,) = self.tool.clients(suite.TESTS["udp"], TARGET)
        self.assertNotIn("-K", command)
        self.assertEqual(command[command.index("-R") + 1], "1")

    def test_output_without_figures_is_refused(self):
        for text in ("", "establish control: are you sure\n", "1.0\n", "0.00,5.00\n", "-1,5.0\n"):
            with self.subTest(text), self.assertRaises(peers.Unreadable):
                self.tool.read(suite.TESTS["stream1"], [text])

    def test_its_server_stands_beside_it(self):
        ((command, port),) = self.tool.servers(TARGET)
        self.assertEqual(command[0], "/opt/bin/netserver")
        self.assertIn(str(port), command)

    def test_podperf_by_its_name_gets_the_same_command_line_but_for_the_port(self):
        ours = ALL["podperf-as-netperf"]
        tests = [test for test in suite.TESTS.values() if ours.name in test.subjects]
        kinds = set()
        for test in tests:
            commands = ours.clients(test, TARGET)
            theirs = self.tool.clients(test, TARGET)
            for command in commands:
                self.assertEqual(command[0], "/tmp/links/netperf")
                self.assertEqual(command[command.index("-T") + 1], "2,3")
                kinds.add(command[command.index("-t") + 1])
                self.assertEqual("cubic,cubic" in command, "TCP" in " ".join(command))
            ports = {str(ours.port): str(self.tool.port)}
            self.assertEqual([[ports.get(word, word) for word in command[1:]]
                              for command in commands], [command[1:] for command in theirs])
        self.assertEqual(kinds, {"TCP_STREAM", "TCP_RR", "TCP_CRR", "UDP_STREAM", "UDP_RR"})
        ((server, port),) = ours.servers(TARGET)
        self.assertEqual((server[0], port), ("/tmp/links/netserver", ours.port))
        # Else its end of a test would be on any CPU, and netperf's on the one that -T names.
        self.assertIn("--allow-client-affinity", server)

    def test_a_podperf_that_is_no_netperf_is_found_out(self):
        with tempfile.TemporaryDirectory() as folder:
            for words, status in (("Netperf version 2.7.1", 0), ("podperf 0.1.0", 1)):
                program = Path(folder, "netperf")
                program.write_text(f"#!/bin/sh\necho {words}\n")
                program.chmod(0o755)
                check = peers.AsNetperf(str(program), "x").check_command(
                    suite.TESTS["netperf-rr"], TARGET)
                done = subprocess.run(check, capture_output=True, text=True)
                self.assertEqual(done.returncode, status)
        self.assertIn("no netperf", done.stderr)


class Iperf3(unittest.TestCase):
    tool = peers.Iperf3("iperf3")

    def test_the_receivers_figure_counts(self):
        text = fixture("iperf3-stream4.txt")
        received = json.loads(text)["end"]["sum_received"]
        reading = self.tool.read(suite.TESTS["stream4"], [text])
        self.assertAlmostEqual(reading.rate, received["bits_per_second"] / 1e9)
        self.assertAlmostEqual(reading.work, received["bytes"] * 8 / 1e9)

    def test_datagrams_received_count_and_not_those_sent(self):
        reading = self.tool.read(suite.TESTS["udp"], [fixture("iperf3-udp.txt")])
        self.assertAlmostEqual(reading.rate, 0.652732569881443)
        self.assertAlmostEqual(reading.work, 81607400 * 8 / 1e9)
        self.assertAlmostEqual(reading.loss_percent, 100 * 72749 / 131040)
        self.assertAlmostEqual(reading.jitter_us, 119.1174381533762)

    def test_flags_of_a_way_and_one_message_size(self):
        for way, flags in peers.IPERF3.items():
            command = peers.Iperf3("iperf3", way).clients(suite.TESTS["stream4-fast"], TARGET)[0]
            self.assertEqual(command.count("-l"), 1)
            self.assertEqual(command[len(command) - len(flags):], flags)
            self.assertEqual(command[command.index("-l") + 1], "1M" if "1M" in way else "128K")

    def test_an_error_reported_with_status_zero_is_seen(self):
        text = '{"start": {}, "end": {}, "error": "unable to connect to server"}'
        with self.assertRaisesRegex(peers.Unreadable, "unable to connect"):
            self.tool.read(suite.TESTS["stream1"], [text])

    def test_a_missing_figure_is_named(self):
        with self.assertRaisesRegex(peers.Unreadable, r"no \.end\.sum_received"):
            self.tool.read(suite.TESTS["stream1"], ['{"end": {}}'])


class Sockperf(unittest.TestCase):
    tool = peers.Sockperf("sockperf")

    def test_rate_is_of_the_valid_part_and_work_of_the_whole(self):
        reading = self.tool.read(suite.TESTS["rr1"], [fixture("sockperf-rr1.txt")])
        self.assertAlmostEqual(reading.rate, 29294 / 0.550)
        self.assertEqual((reading.work, reading.latency_us), (47667, 18.762))

    def test_half_round_trips_are_refused(self):
        text = fixture("sockperf-rr1.txt").replace("Round trip is", "Latency is")
        with self.assertRaisesRegex(peers.Unreadable, "Round trip"):
            self.tool.read(suite.TESTS["rr1"], [text])


class Podperf(unittest.TestCase):
    tool = peers.Podperf("podperf")

    def test_stream_and_rr(self):
        stream = {"status": "complete",
                  "throughput": {"bits_per_second": 9.5e9, "bytes_received": 5_937_500_000}}
        reading = self.tool.read(suite.TESTS["stream1"], [json.dumps(stream)])
        self.assertEqual((reading.rate, reading.work, reading.latency_us), (9.5, 47.5, None))
        rr = {"status": "complete", "transactions": {"count": 100_000, "per_second": 20_000.0},
              "latency": {"mean_ns": 49_500.0}}
        reading = self.tool.read(suite.TESTS["rr1"], [json.dumps(rr)])
        self.assertEqual((reading.rate, reading.work, reading.latency_us), (20_000, 100_000, 49.5))

    def test_datagrams_with_their_loss_and_jitter(self):
        udp = {"status": "complete",
               "throughput": {"bits_per_second": 2e8, "bytes_received": 50_000_000},
               "udp": {"datagrams": {"loss_share": 0.02, "jitter_us": 7.5}}}
        reading = self.tool.read(suite.TESTS["udp-loss"], [json.dumps(udp)])
        self.assertEqual((reading.rate, reading.work), (0.2, 0.4))
        self.assertEqual((reading.loss_percent, reading.jitter_us), (2.0, 7.5))
        with self.assertRaisesRegex(peers.Unreadable, r"no \.udp\.datagrams"):
            self.tool.read(suite.TESTS["udp"], [json.dumps({**udp, "udp": {"datagrams": None}})])

    def test_a_load_is_told_apart_and_no_work_is_made_of_both(self):
        run = {"status": "complete", "transactions": {"count": 8000, "per_second": 4000.0},
               "latency": {"mean_ns": 250_000.0}, "load": {"bits_per_second": 2.5e10}}
        reading = self.tool.read(suite.TESTS["load"], [json.dumps(run)])
        self.assertEqual((reading.rate, reading.latency_us, reading.bulk_rate, reading.work),
                         (4000.0, 250.0, 25.0, None))
        (command,) = self.tool.clients(suite.TESTS["load"], TARGET)
        self.assertEqual(command[command.index("--load") + 1], "4")

    def test_transactions_of_the_warm_up_are_in_the_work_because_its_cpu_time_is(self):
        run = {"status": "complete", "transactions": {"count": 4000, "per_second": 2000.0},
               "latency": {"mean_ns": 1.0},
               "streams": [{"lifetime": {"bytes_received": 28 * count}} for count in (2500, 3500)]}
        for name, warm_up, work in (("rr64", "1", 6000), ("rr1", "0", 4000)):
            test = suite.TESTS[name]
            self.assertEqual(self.tool.read(test, [json.dumps(run)]).work, work)
            (command,) = self.tool.clients(test, TARGET)
            self.assertEqual(command[command.index("-O") + 1], warm_up)

    def test_user_time_is_a_share_of_all_cpu_time_of_the_shared_machine(self):
        def end(user):
            return {"busy_cores": 2.0, "process": {"user_cores": user, "system_cores": 0.5}}

        stream = {"status": "complete", "cpu": {"client": end(0.01), "server": end(0.03)},
                  "throughput": {"bits_per_second": 1.0, "bytes_received": 1}}
        reading = self.tool.read(suite.TESTS["stream1"], [json.dumps(stream)])
        self.assertAlmostEqual(reading.user_share, 2.0)
        for cpu in ({}, {"client": None, "server": None}, {"client": end(0.1), "server": None}):
            reading = self.tool.read(suite.TESTS["stream1"], [json.dumps({**stream, "cpu": cpu})])
            self.assertIsNone(reading.user_share)

    def test_ways_add_their_options_and_one_message_size(self):
        fast = peers.Podperf("podperf", "podperf-fast")
        for path in peers.FAST:
            target = replace(TARGET, path=path)
            (command,) = fast.clients(suite.TESTS["stream4-fast"], target)
            self.assertEqual(command.count("-l"), 1)
            self.assertEqual(command[command.index("--pin") + 1], "2,3")
            self.assertNotIn("{", " ".join(command))
        spin = peers.Podperf("podperf", "podperf-spin").clients(suite.TESTS["rr1-pinned"], TARGET)
        self.assertEqual(spin[0][-4:], ["--wait", "spin", "--server-wait", "spin"])
        self.assertNotIn("-C", self.tool.clients(suite.TESTS["udp"], TARGET)[0])

    def test_what_a_program_does_not_know_is_found_out_without_a_run(self):
        command = self.tool.check_command(suite.TESTS["rr512"], TARGET)
        self.assertEqual(command[-1], "--help")
        self.assertEqual(command[:-1], self.tool.clients(suite.TESTS["rr512"], TARGET)[0])

    def test_its_server_lets_the_other_end_choose_where_it_knows_how(self):
        ((command, _),) = self.tool.servers(TARGET)
        self.assertEqual(command[-2:], list(peers.ALLOWING))
        with tempfile.TemporaryDirectory() as folder:
            for usage, known in (("-p PORT", ()), ("--allow-client-spin", peers.ALLOWING[1:])):
                program = Path(folder, "podperf")
                program.write_text(f"#!/bin/sh\necho '{usage}'\n")
                program.chmod(0o755)
                earlier = peers.PodperfBefore(str(program), "podperf" + peers.BEFORE)
                ((command, port),) = earlier.servers(TARGET)
                self.assertEqual(command, [str(program), "serve", "-p", str(port), *known])

    def test_an_incomplete_run_is_no_sample(self):
        with self.assertRaisesRegex(peers.Unreadable, "incomplete.*gone"):
            self.tool.read(suite.TESTS["rr1"], ['{"status": "incomplete", "errors": ["gone"]}'])


class Commands(unittest.TestCase):
    def test_every_way_that_a_test_names_is_there(self):
        for test in suite.TESTS.values():
            self.assertLessEqual(set(test.tools()), set(ALL))
        self.assertLessEqual(set(suite.FIRST_LOOK), set(suite.TESTS))

    def test_all_tools_get_the_same_time_and_each_its_flows(self):
        for test in suite.TESTS.values():
            for tool in (ALL[name] for name in test.tools()):
                commands = tool.clients(test, TARGET)
                with self.subTest(tool=tool.name, test=test.name):
                    netperf = isinstance(tool, peers.Netperf)
                    flag = "-l" if netperf else "-t"
                    for command in commands:
                        self.assertEqual(command[command.index(flag) + 1], "5")
                    if netperf:
                        self.assertEqual(len(commands), test.flows + test.load)
                    elif "-P" in commands[0]:
                        self.assertEqual(commands[0][commands[0].index("-P") + 1], str(test.flows))

    def test_datagrams_at_a_rate_are_offered_alike(self):
        for name, rate in (("udp-paced-50", "50M"), ("udp-paced-1000", "1000M"), ("udp-loss", "50M"), ("udp", "0")):
            offers = []
            for tool in (ALL["podperf"], ALL["iperf3"]):
                (command,) = tool.clients(suite.TESTS[name], TARGET)
                offers.append([command[command.index(flag) + 1]
                               for flag in ("-b", "-l", "-w") if flag in command])
            with self.subTest(name):
                self.assertEqual(offers[0], offers[1])
                self.assertEqual(offers[0][:2], [rate, "1400"])

    def test_only_pinned_tests_name_cpus(self):
        for test in suite.TESTS.values():
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
        self.assertEqual(len(ports), 6)


if __name__ == "__main__":
    unittest.main()
