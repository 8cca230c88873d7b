"""How late datagrams arrive: exact figures, a capture file, and a real capture."""

import os
import shutil
import struct
import unittest

import arrivals
import netns

PREFIX = f"pparr{os.getpid()}"
os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"


class Lateness(unittest.TestCase):
    def test_it_is_counted_from_the_schedule_that_the_earliest_keeps(self):
        # Turns at 0, 10, 20, 30; the second came 4 late, the fourth 2 early: all others are late by 2.
        self.assertEqual(arrivals.lateness_ns([100, 114, 120, 128], 10), [2, 6, 2, 0])

    def test_bursts_are_late_by_what_they_wait_for(self):
        # Ten turns of 100 ns that leave together at the tenth's.
        times = [1000 * (1 + number // 10) for number in range(1000)]
        late = arrivals.lateness_ns(times, 100)
        self.assertEqual((min(late), max(late)), (0, 900))
        self.assertEqual(arrivals.quantile(late, 0.99), 900)

    def test_the_quantile_is_of_the_nearest_rank(self):
        values = list(range(1, 101))
        self.assertEqual([arrivals.quantile(values, share) for share in (0.5, 0.99, 1.0)],
                         [50, 99, 100])
        self.assertEqual(arrivals.quantile([7], 0.99), 7)


class Captures(unittest.TestCase):
    def test_time_stamps_of_a_file(self):
        header = arrivals.FILE_HEADER.pack(arrivals.NANOSECONDS, 2, 4, 0, 0, 64, 1)
        # The second packet holds two datagrams.
        records = b"".join(struct.pack("=IIII", 5, number, 3, 48 + payload) + b"xyz"
                           for number, payload in ((1, 1400), (9, 2800)))
        self.assertEqual(arrivals.arrival_times_ns(header + records, 1400),
                         [5_000_000_001, 5_000_000_009, 5_000_000_009])
        with self.assertRaisesRegex(netns.Failed, "nanoseconds"):
            arrivals.arrival_times_ns(b"\xd4\xc3\xb2\xa1" + header[4:], 1400)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("tcpdump"),
                         "needs root for a network namespace, and tcpdump")
    def test_late_datagrams_of_a_real_sender_are_told(self):
        # 200 datagrams a second of which those of every tenth of a second are held back 50 ms, beside
        # shorter ones, which do not count.
        with netns.own_loopback(f"{PREFIX}-lo") as space:
            with arrivals.captured(space, 9, 100, 160e3) as capture:
                code = (f"import socket, time; s = socket.socket(type=socket.SOCK_DGRAM);"
                        f"start = time.monotonic()\n"
                        f"for n in range(320):\n"
                        f"  late = 0.05 if n // 20 % 2 else 0\n"
                        f"  time.sleep(max(0, start + n * 0.005 + late - time.monotonic()))\n"
                        f"  s.sendto(bytes(100), ('127.0.0.1', 9))\n"
                        f"  s.sendto(bytes(99), ('127.0.0.1', 9))\n")
                netns.run(space, [["python3", "-c", code]], 30)
                late = capture.late_p99_us()
        self.assertGreater(late, 49e3)
        self.assertLess(late, 500e3)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("tcpdump"),
                         "needs root for a network namespace, and tcpdump")
    def test_too_few_datagrams_are_no_figure(self):
        with netns.own_loopback(f"{PREFIX}-few") as space:
            with arrivals.captured(space, 9, 100, 160e3) as capture:
                with self.assertRaisesRegex(netns.Failed, "0 datagrams of 300 came"):
                    capture.late_p99_us()


if __name__ == "__main__":
    unittest.main()
