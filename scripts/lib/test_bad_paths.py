"""The bad paths of docs/RELIABILITY.md: their rows, what of a tool's output is told, and the conditions
themselves."""

import json
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

import bad_path_doc
import bad_path_net
import bad_path_rows
import bad_path_tools
import netns
from fault_bench import Done

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "bad-paths"
REFUSED = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), 9)
except ConnectionRefusedError:
    sys.exit(0)
sys.exit(1)
"""


def done(out="", err="", status=0):
    return Done(status, out, err, 1.0)


class Rows(unittest.TestCase):
    def test_each_names_who_reported_it_and_asks_each_tool_or_says_why_not(self):
        self.assertEqual(len(bad_path_rows.BY_NAME), len(bad_path_rows.ROWS))
        for row in bad_path_rows.ROWS:
            with self.subTest(row.name):
                self.assertRegex(row.reports, r"^[\w.-]+/[\w.-]+#\d+(, [\w.-]+/[\w.-]+#\d+)*$")
                for tool in bad_path_tools.TOOLS:
                    self.assertTrue(row.words(tool))
                self.assertIsInstance(row.podperf, list)

    def test_the_document_has_them_and_podperf_ended_on_each(self):
        text = (ROOT / "docs" / "RELIABILITY.md").read_text(encoding="utf-8")
        part = text.partition(f"\n{bad_path_doc.TITLE}\n")[2].partition("\n## ")[0]
        lines = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", part, re.M)
        self.assertEqual([line[:2] for line in lines if line[0] not in ("report", "---")],
                         [(row.reports, row.condition) for row in bad_path_rows.ROWS])
        for *_, podperf in lines[2:]:
            self.assertRegex(podperf, r"^exit \d+: .")


class Told(unittest.TestCase):
    def test_of_iperf3_its_error_or_the_rates_of_its_summary(self):
        told = bad_path_tools.Iperf3.told
        summary = ("[SUM]   0.00-3.00   sec  1.10 MBytes  3.00 Mbits/sec   12             sender\n"
                   "[  5]   0.00-3.04   sec   630 KBytes  1.70 Mbits/sec                  receiver\n"
                   "[SUM]   0.00-3.04   sec  0.00 Bytes  0.00 bits/sec                  receiver\n")
        self.assertEqual(told(done(summary), ()), "3.00 Mbits/sec sender, 0.00 bits/sec receiver")
        lost = "[  5]   0.00-3.0 sec  7 MBytes  2.0 Mbits/sec  0.2 ms  4821/5357 (90%)  receiver\n"
        self.assertEqual(told(done(lost), ()), "2.0 Mbits/sec receiver with 90% lost")
        error = "iperf3: error - unable to connect to server: Connection refused"
        self.assertEqual(told(done(summary, error + "\n", 1), ()), error)

    def test_of_netperf_its_last_line_or_what_is_wrong(self):
        told = bad_path_tools.Netperf.told
        self.assertEqual(told(done("1\n0.00,10^6bits/s\n"), ()), "0.00 10^6bits/s")
        self.assertEqual(told(done("", "send_omni: connect failed\n", 255), ()),
                         "send_omni: connect failed")

    def test_of_podperf_its_first_error_or_its_figure_and_verdict(self):
        told = bad_path_tools.Podperf.told
        run = {"errors": [], "throughput": {"bits_per_second": 9.5e7}, "transactions": None,
               "udp": None, "verdict": {"bound_by": "path", "evidence": ["a queue", "more"]},
               "warnings": [{"code": "retransmits", "text": "many"}]}
        self.assertEqual(told(done(json.dumps(run)), ()), "95.00 Mbit/s; bound by path: a queue")
        self.assertIn("retransmits: many", told(done(json.dumps(run)), ("retransmits",)))
        run["errors"] = [{"operation": "receive", "cause": "nothing came", "remedy": "look"}]
        self.assertEqual(told(done(json.dumps(run)), ()), "receive: nothing came (look)")
        run["throughput"]["bytes_received"] = 7
        self.assertEqual(told(done(json.dumps(run)), ()), "receive: nothing came (look); 95.00 Mbit/s")
        self.assertEqual(told(done("", "podperf: error: no space\n"), ()), "podperf: error: no space")

    def test_of_interim_results_the_lowest_and_the_highest(self):
        lines = "".join(f"[  5]   {at}.00-{at + 1}.00   sec  1.1 MBytes  {rate}bits/sec    0   76 KBytes\n"
                        for at, rate in enumerate(("9.40 M", "0.00 ", "12.0 M")))
        end = "[  5]   0.00-3.00   sec  1.1 MBytes  90.0 Mbits/sec    0             sender\n"
        self.assertEqual(bad_path_tools.interim("iperf3", done(lines + end)),
                         "3 interim results from 0.0 to 12.0 Mbit/s")
        netperf = "Interim result:    9.50 10^6bits/s over 1.0 seconds ending at 1.0\n"
        self.assertIn("1 interim results from 9.5", bad_path_tools.interim("netperf", done(netperf)))
        document = json.dumps({"intervals": [{"bits_per_second": 9e6}, {"bits_per_second": None}]})
        self.assertIn("from 9.0 to 9.0", bad_path_tools.interim("podperf", done(document)))

    def test_a_cell_is_one_line_that_breaks_no_table(self):
        self.assertEqual(bad_path_tools.shortened("a |\n b"), "a / b")
        self.assertEqual(len(bad_path_tools.shortened("x" * 999)), bad_path_tools.LONGEST)


class Document(unittest.TestCase):
    TEXT = ("# A\n\n| report | x |\n\n## Bad paths\n\nWords.\n\nOf 2026-01-01: old,\nand more.\n\n"
            "| report | a |\n| --- | --- |\n| old | b |\n\nAfter.\n\n## Next\n\n| c | d |\n")

    def test_the_table_is_renewed_in_its_place_alone(self):
        text = bad_path_doc.renewed(self.TEXT, [["a/b#1", "bad", "1", "2", "3"]], "Of 2026-12-01: new.")
        self.assertIn("Words.\n\nOf 2026-12-01: new.\n\n| report | condition | iperf3 |", text)
        self.assertIn("| a/b#1 | bad | 1 | 2 | 3 |\n\nAfter.\n\n## Next\n\n| c | d |\n", text)
        self.assertTrue(text.startswith("# A\n\n| report | x |\n"))
        self.assertNotIn("old", text)

    def test_a_document_without_a_place_for_it_is_an_error(self):
        with self.assertRaises(ValueError):
            bad_path_doc.renewed("\n## Bad paths\n\nWords.\n", [], "Of 2026-12-01.")


class Conditions(unittest.TestCase):
    def test_the_busiest_connection_is_found_in_what_ss_lists(self):
        listed = ("0 0 10.71.1.2:40001 10.71.2.2:24000 cubic bytes_acked:100 segs_out:3\n"
                  "0 9 10.71.1.2:40002 10.71.2.2:24000 cubic bytes_sent:99 bytes_acked:9000\n")
        self.assertEqual(bad_path_net.busiest_port(listed), "40002")
        self.assertIsNone(bad_path_net.busiest_port(""))

    def test_each_can_be_set_up_and_is_gone_with_its_hosts(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        prefix = f"pbt{os.getpid()}"
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        for row in bad_path_rows.ROWS:
            if row.set_up is None:
                continue
            with self.subTest(row.name), bad_path_net.Net(prefix) as net:
                row.set_up(net)
        with bad_path_net.Net(prefix) as net:
            self.assertFalse(net.kill_one_stream(bad_path_tools.PORT))
            for host in (bad_path_net.SERVER, bad_path_net.OTHER):
                # Where nobody listens: a refusal has come all the way.
                netns.call(*netns.inside(net.spaces["client"], [sys.executable, "-c", REFUSED, host]))
        left = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
        self.assertEqual([name for name in left if name.startswith(prefix)], [])


class Script(unittest.TestCase):
    def run_script(self, *words):
        return subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True)

    def test_wrong_usage_is_status_two_and_says_what_is_allowed(self):
        for words, said in ((["--rows", "none"], "black-hole"), (["--tools", "nc"], "iperf3")):
            ended = self.run_script(*words)
            self.assertEqual(ended.returncode, 2, ended)
            self.assertIn(said, ended.stderr)

    def test_a_tool_that_does_nothing_is_told_as_one_that_failed(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        ended = self.run_script("--rows", "full-disk", "--tools", "podperf", "--podperf", "true")
        self.assertEqual(ended.returncode, 1, ended)
        self.assertIn("does not listen", ended.stdout)


if __name__ == "__main__":
    unittest.main()
