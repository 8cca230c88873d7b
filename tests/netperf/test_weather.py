"""Bad paths: what netperf says of a test that cannot be, and what it rides out.

Each condition is set up once, and all that it makes bad run in it at once.
"""

import re
import time
import unittest

import clients
import weather
from hosts import SERVER4, Process, Server, free_port, needs, netperf, together

FIGURES = re.compile(r"^[\s\d.]*\d[\s\d.]*$", re.MULTILINE)


def wait_for_data(process):
    """Until the first interim result of a test under way is there."""
    deadline = time.monotonic() + 20
    while b"Interim" not in process.written(process.out):
        if time.monotonic() > deadline or process.process.poll() is not None:
            raise AssertionError(f"no data of {process.words}: {process.written(process.err)}")
        time.sleep(0.05)


@unittest.skipUnless(weather.NFT, "nft is missing: install nftables")
class Weather(unittest.TestCase):
    """Runs netperf in a condition, which has to end and to say why it failed."""

    def run_all(self, port, *calls, host=SERVER4):
        """The runs of these words, which go on at once."""
        return together([
            lambda words=words: netperf("ours", "-H", host, "-p", str(port), *words, seconds=60)
            for words in calls])

    def assert_failed(self, run, status, *words):
        self.assertEqual(run.status, status, run)
        for text in words:
            self.assertRegex(run.err.decode(), text, run)
        # Nobody takes it for a whole one.
        self.assertNotRegex(run.text.partition("\n")[2], FIGURES, run)


@needs("real", "ours")
class ClosedPorts(Weather):
    def test_connections_that_never_stand_are_a_failure_as_with_netperf(self):
        for name in ("ours", "real"):
            with Server(name) as server, weather.closed_ports(server.port):
                runs = self.run_all(
                    server.port, ("-t", "TCP_CRR", "-l", "2"), ("-t", "TCP_CC", "-l", "2"),
                    ("-t", "TCP_CRR", "-l", "-5", "--peer-timeout", "4"),
                    ("-t", "UDP_RR", "-l", "2"), ("-t", "UDP_STREAM", "-l", "1"))
            for run in runs[:3]:
                with self.subTest(name, words=run.words):
                    self.assert_failed(run, 255, "connect_data_socket", "-P ,PORT", "affinity")
            for run in runs[3:]:
                with self.subTest(name, words=run.words):
                    self.assert_failed(run, 1, "not one (response|datagram)", "-P ,PORT")


@needs("ours")
class BlackHole(Weather):
    def test_what_no_large_packet_passes_is_a_failure_that_names_the_mtu(self):
        with Server("ours") as server, weather.black_hole():
            runs = self.run_all(
                server.port, ("-l", "2"), ("-l", "2", "--native", "off"),
                ("-t", "TCP_RR", "-l", "2", "--", "-r", "4K,4K"),
                ("-t", "TCP_CRR", "-l", "2", "--", "-r", "4K,4K"),
                ("-l", "-100K", "--peer-timeout", "4"), ("-t", "TCP_RR", "-l", "1"))
        for run in runs[:-1]:
            with self.subTest(words=run.words):
                status = 255 if "TCP_CRR" in run.words else 1
                self.assert_failed(run, status, "small packets pass and")
        self.assertEqual(runs[-1].status, 0, runs[-1])


@needs("ours")
class DeadPath(Weather):
    def test_a_test_by_count_ends_and_one_by_time_is_not_whole(self):
        """The path dies in mid-test."""
        with Server("ours") as server:
            control = ("-H", SERVER4, "-p", str(server.port), "-D", "-0.3")
            started = [Process("ours", ["netperf", *control, *words]) for words in (
                ("-l", "-1G", "--peer-timeout", "4", "--", "-q", "10000000"),
                ("-t", "TCP_RR", "-l", "-1000000", "--peer-timeout", "4"),
                ("-t", "UDP_RR", "-l", "-1000000", "--peer-timeout", "4", "--", "-e", "1"),
                ("-t", "TCP_MAERTS", "-l", "7"), ("-t", "UDP_RR", "-l", "7"))]
            for process in started:
                wait_for_data(process)
            with weather.Rules("type filter hook input priority 0; ip saddr 192.0.2.1 drop;"):
                runs = [process.finish(60) for process in started]
        for run in runs[:3]:
            with self.subTest(words=run.words):
                self.assert_failed(run, 1, "not a byte has moved for [4-9] s")
        for run in runs[3:]:
            with self.subTest(words=run.words):
                self.assert_failed(run, 1, "nothing came any more for [1-9]")


@needs("real", "ours")
class SlowLink(Weather):
    def test_a_stream_that_is_received_is_over_with_its_time(self):
        with Server("ours") as server, Server("real") as real, weather.Shaper("512kbit"):
            for client, port in (("ours", server.port), ("ours", real.port), ("real", server.port)):
                words = ("-t", "TCP_MAERTS", "-l", "3", "--", "-k", "THROUGHPUT,ELAPSED_TIME")
                run = netperf(client, "-H", SERVER4, "-p", str(port), *words, seconds=60)
                with self.subTest(client, port=port):
                    self.assertEqual(run.status, 0, run)
                    found = clients.key_values(run.text)
                    self.assertLess(float(found["ELAPSED_TIME"]), 5, run)
                    self.assertTrue(0.25 < float(found["THROUGHPUT"]) < 0.75, run)


@needs("ours")
class Balanced(Weather):
    def test_several_netservers_behind_one_address_are_named(self):
        port = free_port()
        with Server("ours", port=port), Server("ours", port=port, place=weather.POD), \
                weather.Balancer(port):
            # One after the other, so that control and data have the two in turn.
            runs = [netperf("ours", "-H", weather.SHARED4, "-p", str(port), "-t", test, "-l", "2",
                            seconds=60) for test in ("TCP_STREAM", "TCP_RR", "TCP_MAERTS")]
        for run in runs:
            with self.subTest(words=run.words):
                self.assert_failed(run, 1, "another netserver", "sessionAffinity: ClientIP")
                self.assertLess(run.seconds, 20, run)


@needs("ours")
class Rejected(Weather):
    def test_datagrams_ride_out_what_icmp_says(self):
        port = free_port()
        words = ("-t", "UDP_RR", "-l", "5", "-D", "-0.3", "--", "-P", f",{port}")
        with Server("ours") as server:
            process = Process("ours", ["netperf", "-H", SERVER4, "-p", str(server.port), *words])
            wait_for_data(process)
            with weather.reject("udp", port):
                time.sleep(1)
            run = process.finish(30)
        self.assertEqual(run.status, 0, run)
        self.assertGreater(len(clients.interim(run.text)), 3, run)


@needs("ours")
class InterimResults(Weather):
    def test_none_is_a_fraction_of_the_others(self):
        with Server("ours") as server:
            runs = self.run_all(server.port, *(
                ("-t", test, "-l", "2", "-D", "-0.2", "-P", "0", "--", "-k", "THROUGHPUT")
                for test in ("TCP_STREAM", "TCP_MAERTS", "TCP_RR", "UDP_RR") * 3))
        for run in runs:
            with self.subTest(words=run.words):
                found = clients.key_values(run.text, header=False)
                intervals = [float(value) for key, value in found.items() if "INTERVAL" in key]
                self.assertGreater(len(intervals), 3, run)
                self.assertGreaterEqual(min(intervals), 0.1, run)


if __name__ == "__main__":
    unittest.main()
