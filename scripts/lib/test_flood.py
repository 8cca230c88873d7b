"""A flood from one host harms no client of another: 20 of 20 runs, in less than 64 MiB."""

import os
import struct
import tempfile
import unittest
from pathlib import Path

import fault_tools
import flood
import flooding
import netns
from test_faults import ROOT, podperf


class Generator(unittest.TestCase):
    def test_it_floods_each_tool_as_was_decided(self):
        for tool in fault_tools.TOOLS.values():
            kinds = {kind.name: kind for kind in flood.kinds(tool(""))}
            self.assertEqual(kinds["silent"].most, 2000)
            self.assertEqual((kinds["half-open"].rate, kinds["guesses"].rate), (1000, 100))
            self.assertEqual(kinds["silent"].text, b"")
            self.assertGreater(len(kinds["guesses"].text), len(kinds["half-open"].text))

    def test_checksums_are_those_of_rfc_1071(self):
        text = bytes.fromhex("0001f203f4f5f6f7")
        self.assertEqual(flood.checksum(text), 0xFFFF - 0xDDF2)
        self.assertEqual(flood.checksum(text + struct.pack(">H", flood.checksum(text))), 0)


@unittest.skipUnless(os.geteuid() == 0, "network namespaces need root")
class Flooded(unittest.TestCase):
    def test_clients_of_another_host_are_all_served_in_little_memory(self):
        program = podperf()
        if program is None:
            self.skipTest("no podperf was built: cargo build -p podperf")
        with tempfile.TemporaryDirectory() as directory, \
                netns.server_and_two(f"ppft{os.getpid()}") as places:
            tools = fault_tools.find(("podperf", "netserver"), str(program), directory, ROOT)
            for tool in tools.values():
                with self.subTest(tool.name):
                    seen = flooding.flooded(tool, Path(directory), places, rounds=2, each=10)
                    self.assertEqual((seen.served, seen.runs), (20, 20), seen)
                    self.assertLess(seen.resident_bytes, 64 << 20, seen)
                    # It was one: most of what was to come did.
                    self.assertGreater(seen.connections_per_second, 300, seen)
                    self.assertEqual(seen.told["silent"]["failed"], 0, seen)


if __name__ == "__main__":
    unittest.main()
