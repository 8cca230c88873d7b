"""How late datagrams that were sent at a rate arrive: a capture at the receiver's device, for any tool.

Enters: a network namespace, a port, a datagram's size and the rate. Leaves: the 99th percentile of the
lateness, in µs. tcpdump writes the kernel's time stamps of the arrivals; it takes the same from each
tool's CPUs.
"""

import contextlib
import signal
import struct
import subprocess
import tempfile
import threading

import netns

SKIPPED_SECONDS = 0.5  # from the first datagram on: slow starts are no lateness
TIMED_SECONDS = 1.0
CAPTURED_SECONDS = 2.0  # from before the client's start on
SNAP_BYTES = 64
UDP_HEADER_BYTES = 8
# Headers before the payload: tcpdump's of the device `any` (LINKTYPE_LINUX_SLL2), IPv4's and UDP's.
HEADER_BYTES = 20 + 20 + UDP_HEADER_BYTES
FILE_HEADER, RECORD = struct.Struct("=IHHiIII"), struct.Struct("=IIII")
NANOSECONDS = 0xA1B23C4D  # magic number of pcap files with nanoseconds (pcap-savefile(5))


class Arrivals:
    """A capture under way."""

    def __init__(self, namespace, port, payload_bytes, bits_per_second):
        self.gap_ns = payload_bytes * 8e9 / bits_per_second
        self.skipped = int(SKIPPED_SECONDS * 1e9 / self.gap_ns)
        self.wanted = self.skipped + int(TIMED_SECONDS * 1e9 / self.gap_ns)
        self.payload_bytes = payload_bytes
        # What opens and ends a flow is shorter than its datagrams. Several that were handed to the
        # kernel as one pass a veth as one packet (UDP_SEGMENT, udp(7)).
        chosen = f"udp dst port {port} and udp[4:2] >= {payload_bytes + UDP_HEADER_BYTES}"
        self.file = tempfile.NamedTemporaryFile(prefix="podperf-arrivals-")
        command = ["tcpdump", "-i", "any", "-Q", "in", "-n", "-s", str(SNAP_BYTES), "-B", "16384",
                   "--time-stamp-precision=nano", "-y", "LINUX_SLL2", "-w", self.file.name, "-Z", "root",
                   chosen]
        self.process = subprocess.Popen(
            netns.inside(namespace, command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.await_start()
        # An interrupt is how a capture ends: it writes down what it has.
        self.timer = threading.Timer(CAPTURED_SECONDS, self.process.send_signal, [signal.SIGINT])
        self.timer.start()

    def await_start(self):
        """tcpdump says that it listens once it does."""
        said = ""
        for line in self.process.stderr:
            if "listening on" in line:
                return
            said += line
        raise netns.Failed(f"tcpdump: does not listen: {said.strip()[-300:]}")

    def late_p99_us(self):
        """Waits for the capture's end; raises Failed where datagrams are missing in it."""
        _, said = self.process.communicate(timeout=CAPTURED_SECONDS + 5)
        dropped = [line for line in said.splitlines() if line.endswith("dropped by kernel")]
        if dropped and not dropped[0].startswith("0 "):
            raise netns.Failed(f"tcpdump: {dropped[0]}")
        with open(self.file.name, "rb") as file:
            times = arrival_times_ns(file.read(), self.payload_bytes)[:self.wanted]
        if len(times) < self.wanted:
            raise netns.Failed(f"tcpdump: {len(times)} datagrams of {self.wanted} came in time")
        return quantile(lateness_ns(times[self.skipped:], self.gap_ns), 0.99) / 1e3

    def end(self):
        """Ends what still runs."""
        self.timer.cancel()
        if self.process.poll() is None:
            netns.end(self.process)
        self.process.stderr.close()
        self.file.close()


@contextlib.contextmanager
def captured(namespace, port, payload_bytes, bits_per_second):
    """Captures from before the first datagram on; ended afterwards."""
    arrivals = Arrivals(namespace, port, payload_bytes, bits_per_second)
    try:
        yield arrivals
    finally:
        arrivals.end()


def arrival_times_ns(data, payload_bytes):
    """Time stamps in a pcap file, one for each datagram."""
    magic, *_ = FILE_HEADER.unpack_from(data)
    if magic != NANOSECONDS:
        raise netns.Failed(f"tcpdump: no pcap file with nanoseconds: {magic:#x}")
    times, at = [], FILE_HEADER.size
    while at + RECORD.size <= len(data):
        seconds, nanoseconds, captured_bytes, packet_bytes = RECORD.unpack_from(data, at)
        datagrams = (packet_bytes - HEADER_BYTES) // payload_bytes
        times += [seconds * 10**9 + nanoseconds] * datagrams
        at += RECORD.size + captured_bytes
    return times


def lateness_ns(times, gap_ns):
    """How long after its turn each came, on the schedule of `gap_ns` that the earliest one keeps."""
    offsets = [time_ns - times[0] - number * gap_ns for number, time_ns in enumerate(times)]
    earliest = min(offsets)
    return [offset - earliest for offset in offsets]


def quantile(values, share):
    """The nearest-rank quantile."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
