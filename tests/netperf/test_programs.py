"""The command lines of the programs that drive netperf, as they call it, and read as they read it.

The table is that of the reference, most important first; podperf on both ends, and the real programs
to show that the table is right. Times are shortened, addresses and ports are the testbed's.
"""

import contextlib
import re
import signal
import time
import unittest
from dataclasses import dataclass, field

import hosts
import clients
from hosts import SERVER4

KUBENETBENCH_KEYS = ("THROUGHPUT,THROUGHPUT_UNITS,THROUGHPUT_CONFID,PROTOCOL,ELAPSED_TIME,"
                     "LOCAL_CPU_UTIL,REMOTE_CPU_UTIL,LOCAL_SEND_CALS,LOCAL_BYTES_PER_RECV,"
                     "P50_LATENCY,P90_LATENCY,P99_LATENCY,MEAN_LATENCY,STDEV_LATENCY,RT_LATENCY,"
                     "TRANSACTION_RATE,LOCAL_TRANSPORT_RETRANS,TRANSPORT_MSS,COMMAND_LINE")
LISA_KEYS = ("THROUGHPUT, THROUGHPUT_UNITS, MIN_LATENCY, MAX_LATENCY, P50_LATENCY, P90_LATENCY, "
             "P99_LATENCY, MEAN_LATENCY, STDDEV_LATENCY, LOCAL_CPU_UTIL")


@dataclass(frozen=True)
class Program:
    """One command line, and what reads it. @PORT stands for netserver's, @DATA for a free one."""

    name: str
    words: str
    read: object  # of a Run; raises Broken or returns a figure above nought
    server: tuple = ()
    copies: int = 1
    keys: tuple = field(default=())  # a last word with blanks
    env: dict = field(default_factory=dict)


def text(read, *more):
    """A reader of standard output, that returns a number or a list of them."""
    def of(run):
        found = read(run.text, *more)
        return found if isinstance(found, (int, float)) else found[-1]
    return of


def lkp(run):
    values, _ = clients.lkp(run.text)
    return values[-1]


def cilium(stream):
    return lambda run: clients.cilium(run.text, 1, stream)[0]["throughput"]


def pkb(histogram):
    def of(run):
        # Debian's netperf is built without histograms.
        found = clients.pkb(run.text, histogram and "ours" in run.words)
        return found["Throughput"]
    return of


def mmtests(run):
    if not clients.interim(run.text):
        raise clients.Broken("no interim result")
    return clients.classic(run.text)


def flent(run):
    samples, found, _ = clients.flent(run.text, run.err.decode())
    if len(samples) < 3:
        raise clients.Broken(f"{len(samples)} samples")
    return float(found["THROUGHPUT"])


def k8s(stream, untold):
    return lambda run: clients.k8s_netperf(run.text, stream, untold)["throughput"]


def tp_qemu(run):
    if clients.migrate(run.text) != 1:
        raise clients.Broken("not one MIGRATE")
    return clients.classic(run.text)


CILIUM = "-H @HOST -p @PORT -l 1s -t {} -- -R 1 -o " \
    "MIN_LATENCY,MEAN_LATENCY,MAX_LATENCY,P50_LATENCY,P90_LATENCY,P99_LATENCY,TRANSACTION_RATE," \
    "THROUGHPUT,THROUGHPUT_UNITS"
K8S = "-s 2 -H @HOST -p @PORT -l 1 -t {} -- -k rt_latency,p99_latency,throughput,throughput_units," \
    "remote_recv_calls,local_send_calls,local_transport_retrans {} -P @DATA"
FLENT = "-P 0 -v 0 -D -0.20 -4 -Y 0x0,0x0 -H @HOST -p @PORT -t {} -l 1 -F /dev/urandom -f m " \
    "-L 192.0.2.1,4 -- {} -L 192.0.2.1,4 -H @HOST -k " + clients.FLENT_KEYS + " -K cubic"
PKB = "-p @PORT -j {} -t OMNI -H @HOST -L 192.0.2.1 -l 1 -I 99,5 -i 3,3 -- -T {} -d {} " \
    "-P ,@DATA -o " + clients.PKB_KEYS
LKP = "-4 -H @HOST -p @PORT -t {} -c -C -l 1 -- {}"
QUIET = "-4 -H @HOST -p @PORT -t {} -l 1 -v 0 -P 0 -Z pass"


def betterspeedtest(run):
    return clients.betterspeedtest(run.text, run.err)


PROGRAMS = (
    Program("k8s-netperf stream", K8S.format("TCP_STREAM", "-m 1024"), k8s(True, False), copies=2),
    Program("k8s-netperf udp", K8S.format("UDP_STREAM", "-m 1024 -R 1"), k8s(True, True)),
    Program("k8s-netperf rr", K8S.format("TCP_RR", "-r 1024,1024 -b 2"), k8s(False, False)),
    Program("k8s-netperf crr", K8S.format("TCP_CRR", "-r 1024,1024"), k8s(False, None)),
    Program("k8s-netperf probe", "-H @HOST -p @PORT -l 1 -- 42424", text(clients.classic)),
    Program("cilium stream", CILIUM.format("TCP_STREAM"), cilium(True), copies=2),
    Program("cilium udp", CILIUM.format("UDP_STREAM") + " -m 1024", cilium(True)),
    Program("cilium rr", CILIUM.format("TCP_RR"), cilium(False)),
    Program("cilium udp rr", CILIUM.format("UDP_RR"), cilium(False)),
    Program("cilium crr", CILIUM.format("TCP_CRR"), cilium(False)),
    Program("perf-tests", "-H @HOST -p @PORT", text(clients.perf_tests)),
    Program("flent download", FLENT.format("TCP_MAERTS", "-m 16384 -M 16384"), flent,
            env={"DUMP_TCP_INFO": "1"}),
    Program("flent upload", FLENT.format("TCP_STREAM", "-m 16384 -M 16384"), flent,
            env={"DUMP_TCP_INFO": "1"}),
    Program("flent udp rr", FLENT.format("UDP_RR", "-e 1"), flent),
    Program("pkb rr", PKB.format("-v2", "TCP", "RR"), pkb(True)),
    Program("pkb udp rr", PKB.format("-v2", "UDP", "RR"), pkb(True)),
    Program("pkb stream", PKB.format("", "TCP", "STREAM") + " -R 1 -m 131072 -M 131072 -G 1400",
            pkb(False)),
    Program("pkb udp stream", PKB.format("", "UDP", "STREAM") + " -R 1 -m 1400 -M 1400",
            pkb(False)),
    Program("pkb in containers", "-p @PORT -t TCP_STREAM -H @HOST -l 1 -- -m 131072 -o "
            + clients.PKB_KEYS, pkb(False)),
    Program("pkb backwards", "-p @PORT -j -t TCP_MAERTS -H @HOST -l 1 -- -P ,@DATA -o "
            + clients.PKB_KEYS, pkb(False)),
    Program("pkb mesh", "-t TCP_RR -H @HOST -p @PORT -i 3 -l 1", text(clients.mesh)),
    Program("submariner", "-H @HOST -p @PORT -l 1 -t TCP_RR -- -o "
            "min_latency,mean_latency,max_latency,stddev_latency,transaction_rate",
            text(clients.submariner)),
    Program("kubenetbench", "-l 1 -j -H @HOST -p @PORT -t tcp_rr -- -P ,@DATA -k "
            + KUBENETBENCH_KEYS, text(clients.kubenetbench)),
    Program("kubenetbench streams", "-s 2 -l 1 -j -H @HOST -p @PORT -t tcp_stream -- -P ,@DATA -k "
            + KUBENETBENCH_KEYS, text(clients.kubenetbench), copies=2),
    Program("lkp stream", LKP.format("TCP_STREAM", "-m 10K -s 64K -S 64K"), lkp, ("-4",)),
    Program("lkp maerts", LKP.format("TCP_MAERTS", "-m 10K"), lkp, ("-4",), copies=2),
    Program("lkp sendfile", LKP.format("TCP_SENDFILE", "-m 10K"), lkp, ("-4",)),
    Program("lkp udp", LKP.format("UDP_STREAM", "-R 1 -m 10K"), lkp, ("-4",)),
    Program("lkp rr", LKP.format("TCP_RR", ""), lkp, ("-4",)),
    Program("lkp udp rr", LKP.format("UDP_RR", ""), lkp, ("-4",)),
    Program("lkp crr", LKP.format("TCP_CRR", ""), lkp, ("-4",)),
    Program("mmtests", "-4 -i 3,3 -I 95,5 -l 1 -f m -D 1 -t TCP_STREAM -H @HOST -p @PORT -- "
            "-s 851968 -S 851968 -m 64 -M 64", mmtests, ("-4",)),
    Program("mmtests udp", "-4 -l 2 -f m -D 1 -t UDP_STREAM -H @HOST -p @PORT -- -R 1 -m 1024 "
            "-M 1024", mmtests),
    Program("betterspeedtest down", QUIET.format("TCP_MAERTS"), betterspeedtest, ("-Z", "pass"),
            copies=5),
    Program("betterspeedtest up", QUIET.format("TCP_STREAM"), betterspeedtest, ("-Z", "pass"),
            copies=5),
    Program("avocado-vt", "-D 1 -H @HOST -p @PORT -l 2 -C -c -t TCP_STREAM -- -m 8192", tp_qemu),
    Program("avocado-vt backwards", "-D 1 -H @HOST -p @PORT -l 2 -C -c -t TCP_MAERTS -- -m ,8192",
            tp_qemu),
    Program("avocado-vt rr", "-D 1 -H @HOST -p @PORT -l 2 -C -c -t TCP_RR -v 1 -- -r 64,64",
            tp_qemu),
    Program("avocado-vt crr", "-D 1 -H @HOST -p @PORT -l 2 -C -c -t TCP_CRR -- -b 10 -D", tp_qemu),
    Program("avocado-misc", "-H @HOST -p @PORT -t TCP_STREAM -l 1 -i 3,1", text(clients.avocado)),
    Program("phoronix", "-P 0 -v 0 -H @HOST -p @PORT -t UDP_RR -l 1", text(clients.phoronix)),
    Program("lisa", "-L 192.0.2.1 -H @HOST -p @PORT -t TCP_RR -n 2 -l 2 -D 1 -- -O",
            text(clients.lisa), ("-L", SERVER4), copies=4, keys=(LISA_KEYS,)),
    Program("steadybit", "-H @HOST -p @PORT -l2 -t TCP_RR -- -P@DATA -r 1,1 -o mean_latency",
            text(clients.steadybit)),
    Program("readiness probe", "-H @HOST -p @PORT -l 1", text(clients.awk, 1, 5)),
    Program("a shell", "-H @HOST -p @PORT -l 1 -t TCP_RR", text(clients.awk, 2, 6)),
)


class Programs:
    """Each program's command lines, against a netserver started as it starts it."""

    def run_all(self, program):
        """The copies' results."""
        with contextlib.ExitStack() as stack:
            netserver = stack.enter_context(hosts.Server(self.server, *program.server))
            started = []
            for _ in range(program.copies):
                words = program.words.replace("@HOST", SERVER4)
                words = words.replace("@PORT", str(netserver.port))
                words = words.replace("@DATA", str(hosts.free_port()))
                process = hosts.Process(self.client, ["netperf", *words.split(), *program.keys],
                                        **program.env)
                stack.callback(process.end_if_left)
                started.append(process)
            return [process.finish(40) for process in started]

    def test_every_program_reads_what_it_is_told(self):
        # The long ones first.
        programs = sorted(PROGRAMS, key=lambda program: (program.name != "perf-tests",
                                                         "crr" not in program.name))
        results = hosts.together([lambda program=program: self.run_all(program)
                                  for program in programs], 10)
        for program, runs in zip(programs, results):
            with self.subTest(program.name):
                for run in runs:
                    self.assertEqual(run.status, 0, run)
                    if not program.env:
                        self.assertEqual(run.err, b"", run)
                    run.words.append(self.client)
                    self.assertGreater(program.read(run), 0, run)

    def test_many_copies_sum_up(self):
        with hosts.Server(self.server) as netserver:
            words = ["sh", str(hosts.ROOT / "tests/netperf/super_netperf.sh"), "8", "-H", SERVER4,
                     "-p", str(netserver.port), "-t", "TCP_RR", "-l", "1"]
            run = hosts.Process(self.client, words).finish(20)
        self.assertGreater(clients.super_netperf(run.text, 8), 0)

    def every(self, seconds):
        """-D as the programs give it. netperf itself then counts units, and is late where its rate
        drops, in a short run for ever: by the clock it is told."""
        return ["-D", seconds if self.client == "ours" else f"-{seconds}"]

    def test_a_signal_ends_the_aggregate_and_its_parts_were_told(self):
        # netperf's own runemomniaggdemo.sh; -b and -w pace only where they are built in.
        with hosts.Server(self.server) as netserver:
            for form in (["-o", "all"], ["-k", "THROUGHPUT"], ["-O", "THROUGHPUT"]):
                process = hosts.Process(self.client, [
                    "netperf", "-H", SERVER4, "-p", str(netserver.port), *self.every("0.5"),
                    "-c", "-C", "-f", "x", "-P", "0", "-t", "omni", "-l", "7200", "-v", "2", "--",
                    "-r", "1", "-b", "1", "-e", "1", "-T", "udp", "-u", "0123", *form])
                time.sleep(2)
                process.signal(signal.SIGALRM)
                run = process.finish(10)
                with self.subTest(form[0]):
                    self.assertEqual(run.status, 0, run)
                    found = clients.aggregate(run.text)
                    self.assertGreaterEqual(len(found), 2, run)
                    ends = [end for end, _ in found]
                    self.assertEqual(ends, sorted(ends), run)

    def test_the_banner_is_seen_while_it_runs(self):
        # tp-qemu waits for it: with -D it comes with the first interim result.
        with hosts.Server(self.server) as netserver:
            process = hosts.Process(self.client, ["netperf", *self.every("1"), "-H", SERVER4, "-p",
                                                  str(netserver.port), "-l", "6"])
            try:
                while process.process.poll() is None:
                    time.sleep(0.1)
                    if clients.migrate(process.written(process.out).decode()) == 1:
                        break
                self.assertIsNone(process.process.poll(), "the banner came at its end alone")
            finally:
                process.end()

    def test_programs_find_it_by_its_name(self):
        # killall, pgrep and pidof go by this.
        with hosts.Server(self.server) as netserver:
            process = hosts.Process(self.client, ["netperf", "-H", SERVER4, "-p",
                                                  str(netserver.port), "-l", "2"])
            try:
                time.sleep(0.5)
                for pid, name in ((process.pid, "netperf"), (netserver.pid, "netserver")):
                    with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                        self.assertEqual(file.read().strip(), name)
            finally:
                process.end()

    def test_netserver_goes_to_the_background_by_itself(self):
        port = hosts.free_port()
        run = hosts.Process(self.server, ["netserver", "-p", str(port)], hosts.SERVER)
        status = run.process.wait(10)
        out, err = run.written(run.out), run.written(run.err)
        left = pids_that_listen(port)
        try:
            self.assertEqual((status, err), (0, b""))
            self.assertEqual(out.decode(), "Starting netserver with host 'IN(6)ADDR_ANY' port "
                             f"'{port}' and family AF_UNSPEC\n")
            self.assertEqual(len(left), 1, "a process that is left and listens")
            done = hosts.netperf(self.client, "-H", SERVER4, "-p", str(port), "-l", "1")
            self.assertGreater(clients.perf_tests(done.text), 0)
        finally:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(hosts.os.pidfd_open(pid), signal.SIGKILL)
            run.out.close()
            run.err.close()

    def test_a_busy_port_is_said(self):
        with hosts.Server(self.server) as netserver:
            run = hosts.Process(self.server, ["netserver", "-D", "-p", str(netserver.port)],
                                hosts.SERVER).finish(10)
        self.assertEqual(run.status, 1, run)
        self.assertRegex(run.out + run.err, rb"Unable to start netserver with  '.*' port '%d' and "
                                            rb"family AF_UNSPEC" % netserver.port)


def pids_that_listen(port):
    """The processes whose socket listens on a port of the server's host."""
    told = hosts.Process("real", ["ss", "-Hltnp", f"sport = :{port}"], hosts.SERVER).finish(10).text
    return {int(pid) for pid in re.findall(r"pid=(\d+)", told)}


hosts.each_pair(("real", "real"), ("ours", "ours"))(Programs)

if __name__ == "__main__":
    unittest.main()
