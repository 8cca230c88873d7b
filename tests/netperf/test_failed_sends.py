"""Sends of UDP_STREAM that fail, beside the real netperf.

A datagram that needs more of the socket's send buffer than there is, because it goes in fragments, is
refused with ENOBUFS: netperf counts it as an error and goes on. A port that nobody has open is told by
ICMP: netperf gives up at once, podperf goes on for seconds and counts the sends that were refused. Where
not one datagram arrived, podperf's test has failed.
"""

import re
import shutil
import subprocess
import unittest

from hosts import PREFIX, SERVER, SERVER4, Server, each_pair, free_port, needs, netperf

TOO_LARGE = ("-m", "60000", "-s", "2048")


def messages(run):
    """Messages that were sent and sends that failed, out of the table's first row."""
    told = re.search(rb"not one datagram arrived: (\d+) were sent, (\d+) sends failed", run.err)
    if told:
        return int(told[1]), int(told[2])
    rows = [line.split() for line in run.text.splitlines()]
    row = next(row for row in rows if len(row) == 6 and row[0].isdigit())
    return int(row[3]), int(row[4])


def udp_stream(name, port, *words):
    return netperf(name, "-H", SERVER4, "-p", str(port), "-t", "UDP_STREAM", "-l", "1", "--", "-R", "1",
                   *words)


@each_pair()
class NoRoom:
    def test_sends_that_found_no_room_are_errors(self):
        with Server(self.server) as server:
            run = udp_stream(self.client, server.port, *TOO_LARGE)
        self.assertEqual(run.status, 1 if self.client == "ours" else 0, run)
        sent, failed = messages(run)
        self.assertEqual(sent, 0, run)
        self.assertGreater(failed, 0, run)


class Refused:
    """A data port that the server's host rejects datagrams to."""

    def __init__(self, port):
        self.port = port

    def __enter__(self):
        self.nft(f"table inet refused {{ chain in {{ type filter hook input priority 0; "
                 f"udp dport {self.port} reject; }}; }}")

    def __exit__(self, *_):
        self.nft("delete table inet refused")

    def nft(self, rules):
        subprocess.run(["ip", "netns", "exec", f"{PREFIX}-{SERVER}", "nft", "-f", "-"], input=rules,
                       text=True, check=True, timeout=30)


@unittest.skipUnless(shutil.which("nft"), "nft is missing: install nftables")
@needs("real", "ours")
class RefusedDestination(unittest.TestCase):
    def test_refused_sends_are_errors_where_the_test_goes_on(self):
        port = free_port()
        with Server("real") as server, Refused(port):
            ours = udp_stream("ours", server.port, "-P", f",{port}", "-m", "1000")
            real = udp_stream("real", server.port, "-P", f",{port}", "-m", "1000")
        self.assertEqual(ours.status, 1, ours)
        sent, failed = messages(ours)
        self.assertGreater(sent, 0, ours)
        self.assertGreater(failed, 0, ours)
        self.assertEqual(real.status, 1, real)
        self.assertIn(b"send_data failed: Connection refused", real.err, real)


if __name__ == "__main__":
    unittest.main()
