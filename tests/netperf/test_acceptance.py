"""What a drop-in for netperf must do, held against netperf, by each pair of programs."""

import itertools
import signal
import struct
import time
import unittest

import hosts
import clients
from hosts import SERVER4, SERVER6

# The longest, with the real netserver, first.
TESTS = ("TCP_CRR", "TCP_STREAM", "TCP_MAERTS", "TCP_RR", "UDP_STREAM", "UDP_RR", "OMNI")
CILIUM_KEYS = ("MIN_LATENCY,MEAN_LATENCY,MAX_LATENCY,P50_LATENCY,P90_LATENCY,P99_LATENCY,"
               "TRANSACTION_RATE,THROUGHPUT,THROUGHPUT_UNITS")
K8S_KEYS = ("rt_latency,p99_latency,throughput,throughput_units,remote_recv_calls,"
            "local_send_calls,local_transport_retrans")


class Cases:
    """A netserver for all tests of the class, and runs against it."""

    @classmethod
    def setUpClass(cls):
        cls.netserver = hosts.Server(cls.server).started(cls)

    def start(self, *words, port=None, host=SERVER4, **env):
        """netperf under way, ended whatever becomes of the test."""
        words = ["netperf", "-H", host, "-p", str(port or self.netserver.port), *words]
        process = hosts.Process(self.client, words, **env)
        self.addCleanup(process.end_if_left)
        return process

    def netperf(self, *words, seconds=30, err=b"", **more):
        """netperf that must succeed, with nothing on standard error unless said."""
        run = self.start(*words, **more).finish(seconds)
        self.assertEqual(run.status, 0, run)
        if err is not None:
            self.assertEqual(run.err, err, run)
        return run

    def together(self, *calls):
        return hosts.together(calls)


@hosts.each_pair()
class Clients(Cases):
    """Points 1 to 9: how netperf's clients call it and what they read."""

    def test_01_the_plain_call_is_read_by_columns(self):
        stream, rr = self.together(lambda: self.netperf("-l", "1"),
                                   lambda: self.netperf("-l", "1", "-t", "TCP_RR"))
        rate = clients.perf_tests(stream.text)
        self.assertGreater(rate, 0)
        self.assertEqual(clients.awk(stream.text, 1, 5), rate)
        self.assertEqual(clients.mesh(stream.text), rate)
        self.assertEqual(clients.awk(rr.text, 2, 6), clients.mesh(rr.text))

    def test_02_super_netperf_sums_tables(self):
        script = str(hosts.ROOT / "tests/netperf/super_netperf.sh")

        def measure(test):
            words = ["sh", script, "4", "-H", SERVER4, "-p", str(self.netserver.port), "-t", test,
                     "-l", "2", *(("--", "-R", "1") if test == "UDP_STREAM" else ())]
            return hosts.Process(self.client, words).finish(30)

        tests = ("TCP_STREAM", "TCP_RR")
        runs = self.together(*(lambda test=test: measure(test) for test in tests))
        # Alone: beside four floods a test may be so late that the real netserver, which waits some
        # seconds and no longer, ends its data connection under it.
        for test, run in (*zip(tests, runs), ("UDP_STREAM", measure("UDP_STREAM"))):
            with self.subTest(test):
                self.assertEqual((run.status, run.err), (0, b""), run)
                self.assertGreater(clients.super_netperf(run.text, 4), 0)

    def test_03_k8s_netperf_reads_its_selection(self):
        shapes = (("TCP_CRR", ["-r", "1024,1024"]), ("TCP_STREAM", ["-m", "1024"]),
                  ("UDP_STREAM", ["-m", "1024", "-R", "1"]), ("TCP_RR", ["-r", "1024,1024"]),
                  ("TCP_RR", ["-r", "1024,1024", "-b", "2"]), ("UDP_RR", ["-r", "1024,1024"]))

        def measure(port, test, more):
            return self.netperf("-s", "2", "-l", "1", "-t", test, "--", "-k", K8S_KEYS, *more, "-P",
                                str(port))

        runs = self.together(*(
            lambda port=port, test=test, more=more: measure(port, test, more)
            for port, (test, more) in enumerate(shapes, 42424)))
        for (test, more), run in zip(shapes, runs):
            with self.subTest(test, more=more):
                found = clients.k8s_netperf(run.text, "STREAM" in test,
                                            None if test == "TCP_CRR" else "UDP" in test)
                self.assertGreater(found["throughput"], 0, run)
                self.assertEqual(found["units"], "10^6bits/s" if "STREAM" in test else "Trans/s")
                self.assertGreater(found["p99"], -1, run)
                if test == "UDP_STREAM":
                    self.assertTrue(0 <= found["loss_percent"] < 100, run)

    def test_04_cilium_reads_one_line_of_nine_fields(self):
        def measure(test):
            more = ["-m", "1024"] if test == "UDP_STREAM" else []
            return self.netperf("-l", "2s", "-t", test, "--", "-R", "1", "-o", CILIUM_KEYS, *more)

        tests = ("TCP_CRR", "TCP_STREAM", "UDP_STREAM", "TCP_RR", "UDP_RR")
        runs = self.together(*(lambda test=test: measure(test) for test in tests))
        for test, run in zip(tests, runs):
            with self.subTest(test):
                found, = clients.cilium(run.text, 1, "STREAM" in test)
                self.assertGreater(found["throughput"], 0, run)
                least, mean, most, p50, p90, p99 = found["latencies"]
                self.assertTrue(0 <= least <= p50 <= p90 <= p99, run)
                self.assertTrue(least <= mean <= most, run)

    def test_05_flent_probes(self):
        # It names no server, and ends it before one would be missed.
        process = hosts.Process(self.client, ["netperf", "-l", "1", "-D", "-0.2", "--", "-e", "1"])
        time.sleep(0.1)
        process.signal(signal.SIGTERM)
        process.process.wait(5)
        out, err = process.written(process.out), process.written(process.err)
        process.end()
        self.assertTrue(clients.flent_probe(out.decode(), err.decode()), err)

    def test_05_flent_reads_samples(self):
        def measure(test):
            more = ["-e", "1"] if test == "UDP_RR" else ["-m", "16384", "-M", "16384"]
            return self.netperf(
                "-P", "0", "-v", "0", "-D", "-0.20", "-4", "-Y", "0x0,0x0", "-t", test, "-l", "2",
                "-F", "/dev/urandom", "-f", "m", "--", *more, "-H", SERVER4, "-k",
                clients.FLENT_KEYS, "-K", "cubic", err=None, DUMP_TCP_INFO="1")

        tests = ("TCP_STREAM", "TCP_MAERTS", "UDP_RR")
        runs = self.together(*(lambda test=test: measure(test) for test in tests))
        for test, run in zip(tests, runs):
            with self.subTest(test):
                samples, found, state = clients.flent(run.text, run.err.decode())
                self.assertTrue(8 <= len(samples) <= 12, run)
                self.assertGreater(float(found["THROUGHPUT"]), 0)
                tcp = test != "UDP_RR"
                self.assertEqual(found["PROTOCOL"], "TCP" if tcp else "UDP")
                self.assertEqual("Send" in found["DIRECTION"], test != "TCP_MAERTS")
                self.assertEqual(found["LOCAL_CONG_CONTROL"], "cubic" if tcp else "")
                self.assertEqual(bool(state), tcp, run)
                if tcp:
                    self.assertLessEqual({"tcpi_rto", "tcpi_rtt", "tcpi_total_retrans"},
                                         set(state), run)
                else:
                    self.assertEqual(run.err, b"", run)

    def test_06_pkb_reads_its_row_and_the_histogram(self):
        run = self.netperf("-j", "-v2", "-t", "OMNI", "-L", hosts.CLIENT4, "-l", "1", "-I", "99,5",
                           "-i", "3,3", "--", "-T", "TCP", "-d", "RR", "-P", ",20998", "-o",
                           clients.PKB_KEYS)
        # Debian's netperf is built without histograms.
        found = clients.pkb(run.text, histogram=self.client == "ours")
        self.assertTrue(run.text.startswith("OMNI Send|Recv TEST"), run)
        self.assertEqual(found["Throughput Units"], "Trans/s")
        self.assertGreater(found["Throughput"], 0)
        self.assertEqual(found["Confidence Iterations Run"], 3)
        self.assertEqual(found["Transport MSS bytes"], 1448)
        if self.client == "ours":
            # Three iterations of one second.
            counted = sum(found["histogram"].values())
            self.assertTrue(0.8 < counted / (3 * found["Throughput"]) < 1.2, run)

    def test_07_a_passphrase_is_right_or_wrong(self):
        def measure(netserver, *words, test):
            port = netserver.port
            return self.start("-t", test, "-l", "1", "-v", "0", "-P", "0", *words,
                              port=port).finish(40)

        with hosts.Server(self.server, "-Z", "open sesame") as netserver:
            right, back, wrong, none = self.together(
                lambda: measure(netserver, "-Z", "open sesame", test="TCP_STREAM"),
                lambda: measure(netserver, "-Z", "open sesame", test="TCP_MAERTS"),
                lambda: measure(netserver, "-Z", "open barley", test="TCP_STREAM"),
                lambda: measure(netserver, test="TCP_STREAM"))
        for run in (right, back):
            self.assertEqual(run.status, 0, run)
            self.assertGreater(clients.betterspeedtest(run.text, run.err), 0)
            self.assertGreater(clients.phoronix(run.text), 0)
        for run in (wrong, none):
            self.assertNotEqual(run.err, b"", run)
            self.assertNotEqual(run.status, 0, run)
            self.assertRaises(clients.Broken, clients.betterspeedtest, run.text, run.err)
        # A server without a passphrase takes any.
        other = self.netperf("-Z", "any", "-l", "1", "-v", "0", "-P", "0")
        self.assertGreater(clients.phoronix(other.text), 0)

    def test_08_interim_results_come_by_the_clock(self):
        for test in ("TCP_STREAM", "TCP_RR"):
            with self.subTest(test):
                run = self.netperf("-t", test, "-l", "2", "-D", "-0.2", "-P", "0", "--", "-k",
                                   clients.FLENT_KEYS)
                samples, found, _ = clients.flent(run.text, "")
                intervals = [interval for _, interval, _ in samples]
                self.assertTrue(5 <= len(samples) <= 11, run)
                if self.client == "ours":
                    # A busy machine may make any of them late, but none puts off those that follow,
                    # as with netperf.
                    ends = itertools.accumulate(intervals[:-1])
                    late = [(end + 0.005) % 0.2 - 0.005 for end in ends]
                    self.assertLess(min(late[len(late) // 2:]), 0.01, run)
                # The last, shorter one makes them add up to the whole test.
                self.assertAlmostEqual(sum(intervals), float(found["ELAPSED_TIME"]), delta=0.05)
                ends = [end for end, _, _ in samples]
                for before, after, interval in zip(ends, ends[1:], intervals[1:]):
                    self.assertAlmostEqual(after - before, interval, delta=0.003, msg=run)

    def test_09_lkp_reads_tables_with_cpu(self):
        tests = ("TCP_CRR", "TCP_STREAM", "TCP_MAERTS", "TCP_SENDFILE", "UDP_STREAM", "TCP_RR",
                 "UDP_RR")

        def measure(test):
            more = ["-R", "1"] if test == "UDP_STREAM" else []
            more += ["-m", "10K"] if test == "TCP_STREAM" else []
            return self.netperf("-4", "-t", test, "-c", "-C", "-l", "1", "--", *more)

        runs = self.together(*(lambda test=test: measure(test) for test in tests))
        for test, run in zip(tests, runs):
            with self.subTest(test):
                values, unit = clients.lkp(run.text)
                self.assertEqual(len(values), 2 if test == "UDP_STREAM" else 1, run)
                self.assertEqual(unit, "per sec" if "RR" in test else "10^6bits", run)
                self.assertGreater(min(values), 0, run)


@hosts.each_pair()
class Ends(Cases):
    """Points 10 and 11: a run that is ended early, and a peer that goes away."""

    def ended_early(self, test, number):
        process = self.start("-t", test, "-l", "10", "--", "-R", "1", "-k",
                             "THROUGHPUT,ELAPSED_TIME,THROUGHPUT_UNITS")
        time.sleep(1.5)
        process.signal(number)
        return process.finish(30)

    def test_10_a_signal_ends_it_with_a_full_result(self):
        # The real netserver answers a receiver that leaves first with an error, and looks for the
        # end of connections by its own timer alone.
        tests = ("TCP_STREAM", "TCP_RR", "UDP_STREAM", "UDP_RR")
        if (self.client, self.server) == ("ours", "ours"):
            tests += ("TCP_MAERTS", "TCP_CRR")
        wanted = list(itertools.product(tests, (signal.SIGINT, signal.SIGALRM)))
        runs = self.together(*(lambda test=test, number=number: self.ended_early(test, number)
                               for test, number in wanted))
        for (test, number), run in zip(wanted, runs):
            with self.subTest(test, signal=number.name):
                self.assertEqual((run.status, run.err), (0, b""), run)
                found = clients.key_values(run.text)
                self.assertEqual(len(found), 3, run)
                self.assertGreater(float(found["THROUGHPUT"]), 0, run)
                # Ended at about 1.5 of 10 s; a busy machine takes longer to start and to end it.
                self.assertTrue(0.8 <= float(found["ELAPSED_TIME"]) <= run.seconds < 9, run)

    def test_10_length_nought_lasts_until_a_signal(self):
        process = self.start("-l", "0", "-t", "TCP_STREAM")
        time.sleep(1.5)
        self.assertIsNone(process.process.poll())
        process.signal(signal.SIGINT)
        run = process.finish(10)
        self.assertEqual(run.status, 0, run)
        self.assertGreater(clients.perf_tests(run.text), 0)

    def test_11_a_peer_that_goes_away_is_told(self):
        tests = ["TCP_STREAM", "TCP_RR", "TCP_MAERTS"]
        if self.client == "ours":
            tests += ["TCP_CRR", "UDP_STREAM", "UDP_RR"]
        netserver = hosts.Server(self.server).__enter__()
        try:
            started = [self.start("-t", test, "-l", "20", "--", "-R", "1", port=netserver.port)
                       for test in tests]
            time.sleep(1.5)
        finally:
            netserver.__exit__()
        gone = time.monotonic()
        for test, process in zip(tests, started):
            with self.subTest(test):
                run = process.finish(gone - process.begun + 5)
                if self.client == "real" and run.status == -signal.SIGPIPE:
                    continue  # which it does not handle
                self.assertGreater(run.status, 0, run)
                self.assertRegex(run.out + run.err, rb"(?i)(error|reset|refused|pipe|partial|peer)",
                                 run)


@hosts.each_pair()
class Wire(Cases):
    """Point 12: client and server of either kind understand each other."""

    KEYS = ("THROUGHPUT,THROUGHPUT_UNITS,ELAPSED_TIME,PROTOCOL,LOCAL_CPU_UTIL,REMOTE_CPU_UTIL,"
            "LOCAL_BYTES_SENT,LOCAL_BYTES_RECVD,REMOTE_BYTES_SENT,REMOTE_BYTES_RECVD,"
            "LOCAL_SEND_CALLS,LOCAL_RECV_CALLS,DEST_FAMILY,REMOTE_SEND_CALLS,REMOTE_RECV_CALLS,"
            "TRANSPORT_MSS,LOCAL_CPU_METHOD,REMOTE_CPU_METHOD,REMOTE_CONG_CONTROL")
    STREAM_BYTES, TRANSACTIONS, DATAGRAMS, DATAGRAM = 10_000_000, 300, 40, 1000

    def measure(self, test, host, counted, cpu):
        length = "1"
        more = ["-R", "1"]
        if counted:
            length = {"UDP_STREAM": -self.DATAGRAMS * self.DATAGRAM}.get(
                test, -self.TRANSACTIONS if "RR" in test else -self.STREAM_BYTES)
        if test == "UDP_STREAM":
            more += ["-m", str(self.DATAGRAM)]
        family = "-6" if ":" in host else "-4"
        return self.netperf(family, "-t", test, "-l", str(length), *(("-c", "-C") if cpu else ()),
                            "--", "-k", self.KEYS, *more, host=host, seconds=40)

    def check(self, test, host, counted, cpu, run):
        found = clients.key_values(run.text)
        self.assertEqual(set(found), set(self.KEYS.split(",")), run)
        self.assertEqual(found["DEST_FAMILY"], "10" if ":" in host else "2", run)
        self.assertEqual(found["PROTOCOL"], "UDP" if "UDP" in test else "TCP", run)
        self.assertEqual(found["THROUGHPUT_UNITS"], "Trans/s" if "RR" in test else "10^6bits/s")
        self.assertGreater(float(found["THROUGHPUT"]), 0, run)
        if not counted:
            self.assertTrue(0.9 <= float(found["ELAPSED_TIME"]) <= 2, run)
        for end in ("LOCAL", "REMOTE"):
            if not cpu:
                self.assertEqual(found[f"{end}_CPU_UTIL"], "-1.00", run)
                self.assertEqual(found[f"{end}_CPU_METHOD"], "U", run)
            elif not counted:  # what takes less than a tick of the clock has no share
                # The real netserver divides what it used in 5 s by 1 s, after TCP_CRR.
                most = 100.5 if test != "TCP_CRR" or self.server == "ours" else 510
                self.assertTrue(0 < float(found[f"{end}_CPU_UTIL"]) <= most, run)
                self.assertEqual(found[f"{end}_CPU_METHOD"], "S", run)
        self.check_counts(test, counted, {key: int(value) for key, value in found.items()
                                          if key.endswith(("_CALLS", "_SENT", "_RECVD"))}, run)

    def check_counts(self, test, counted, found, run):
        if test == "UDP_STREAM":
            self.assertTrue(0 < found["REMOTE_BYTES_RECVD"] <= found["LOCAL_BYTES_SENT"], run)
            if counted:
                self.assertEqual(found["REMOTE_BYTES_RECVD"], self.DATAGRAMS * self.DATAGRAM, run)
        elif "RR" in test:
            if counted:
                self.assertEqual(found["LOCAL_SEND_CALLS"], self.TRANSACTIONS, run)
                self.assertEqual(found["LOCAL_BYTES_RECVD"], self.TRANSACTIONS, run)
                self.assertEqual(found["REMOTE_BYTES_RECVD"], self.TRANSACTIONS, run)
        else:
            way = ("REMOTE_BYTES_SENT", "LOCAL_BYTES_RECVD") if test == "TCP_MAERTS" else \
                ("LOCAL_BYTES_SENT", "REMOTE_BYTES_RECVD")
            sent, received = (found[key] for key in way)
            if counted:
                # Whole sends are sent; who receives may leave when it has what was asked for.
                self.assertTrue(self.STREAM_BYTES <= received <= sent, run)
                self.assertLess(sent, self.STREAM_BYTES + 5_000_000, run)
            elif test != "TCP_MAERTS":
                # The real netperf counts the send that its timer interrupts as whole, or not at all.
                off = 0 if self.client == "ours" else 1 << 20
                self.assertLessEqual(abs(sent - received), off, run)

    def matrix(self, counted, at_once):
        wanted = list(itertools.product(TESTS, (SERVER4, SERVER6), (False, True)))
        runs = hosts.together([
            lambda test=test, host=host, cpu=cpu: self.measure(test, host, counted, cpu)
            for test, host, cpu in wanted], at_once)
        for (test, host, cpu), run in zip(wanted, runs):
            with self.subTest(test, host=host, cpu=cpu):
                self.check(test, host, counted, cpu, run)

    def test_12_for_a_time(self):
        self.matrix(False, 8)

    def test_12_by_count(self):
        self.matrix(True, hosts.AT_ONCE)

    def test_12_requests_wait_for_each_other_by_bursts(self):
        plain, burst = self.together(*(
            lambda more=more: self.netperf("-t", "TCP_RR", "-l", "1", "--", "-D", "-k",
                                           "RT_LATENCY,TRANSACTION_RATE,BURST_SIZE", *more)
            for more in ((), ("-b", "15"))))
        for run, requests in ((plain, 1), (burst, 16)):
            found = clients.key_values(run.text)
            self.assertEqual(int(found["BURST_SIZE"]), requests - 1)
            self.assertAlmostEqual(float(found["RT_LATENCY"]) * float(found["TRANSACTION_RATE"]),
                                   requests * 1e6, delta=requests * 1e4, msg=run)

    def test_12_the_other_sizes_and_options_reach_the_server(self):
        keys = ("RSS_SIZE_REQ,RSR_SIZE_REQ,RSR_SIZE,LSS_SIZE,REMOTE_RECV_SIZE,LOCAL_SEND_SIZE,"
                "LOCAL_NODELAY,REMOTE_NODELAY,REMOTE_SOCKET_TOS,LOCAL_SOCKET_TOS,"
                "REMOTE_CONG_CONTROL,TRANSPORT_MSS,REMOTE_RECV_CALLS,REMOTE_BYTES_RECVD")
        run = self.netperf("-l", "1", "-Y", "cs1,cs2", "--", "-m", "8K", "-M", "4096", "-s", "20K",
                           "-S", "32K,64K", "-D", "-K", "reno,reno", "-G", "1000", "-k", keys)
        found = clients.key_values(run.text)
        self.assertEqual(
            {key: found[key] for key in keys.split(",")[:11]},
            {"RSS_SIZE_REQ": "32768", "RSR_SIZE_REQ": "65536", "RSR_SIZE": "131072",
             "LSS_SIZE": "40960", "REMOTE_RECV_SIZE": "4096", "LOCAL_SEND_SIZE": "8192",
             "LOCAL_NODELAY": "1", "REMOTE_NODELAY": "1", "REMOTE_SOCKET_TOS": "0x40",
             "LOCAL_SOCKET_TOS": "0x20", "REMOTE_CONG_CONTROL": "reno"}, run)
        self.assertLessEqual(int(found["TRANSPORT_MSS"]), 1000, run)
        mean = int(found["REMOTE_BYTES_RECVD"]) / int(found["REMOTE_RECV_CALLS"])
        self.assertLessEqual(mean, 4096, run)

    def test_12_data_goes_to_the_port_that_was_asked_for(self):
        for test, more in (("TCP_STREAM", []), ("UDP_STREAM", ["-R", "1"])):
            with self.subTest(test):
                asked = hosts.free_port()
                run = self.netperf("-t", test, "-l", "1", "--", "-P", f",{asked}", "-k",
                                   "DEST_PORT,THROUGHPUT", *more)
                found = clients.key_values(run.text)
                self.assertEqual(found["DEST_PORT"], str(asked), run)
                self.assertGreater(float(found["THROUGHPUT"]), 0, run)

    def test_12_both_ends_are_bound_to_a_cpu(self):
        run = self.netperf("-T", "0,1", "-l", "1", "-c", "-C", "--", "-k",
                           "LOCAL_CPU_BIND,REMOTE_CPU_BIND,LOCAL_CPU_COUNT,REMOTE_CPU_COUNT")
        found = clients.key_values(run.text)
        self.assertEqual((found["LOCAL_CPU_BIND"], found["REMOTE_CPU_BIND"]), ("0", "1"), run)
        # A request without a CPU leaves the server where it may run, for the next one too.
        other = self.netperf("-l", "1")
        self.assertGreater(clients.perf_tests(other.text), 0)

    def test_12_a_pause_of_six_seconds_is_waited_for(self):
        if self.server == "real":
            self.skipTest("the real netserver's clock starts before the data: it leaves after 4 s")
        runs = self.together(
            lambda: self.netperf("-s", "6", "-l", "1"),
            lambda: self.netperf("-s", "6", "-l", "1", "-t", "TCP_MAERTS"),
            lambda: self.netperf("-s", "6", "-l", "1", "-t", "TCP_RR"),
            lambda: self.netperf("-s", "6", "-l", "1", "-t", "UDP_RR"))
        for run in runs:
            self.assertGreater(clients.classic(run.text), 0, run)
            self.assertGreater(run.seconds, 6.9, run)

    def test_12_a_confidence_run_takes_one_control_connection(self):
        # Between two podperfs data would come over the port of the relay too.
        plain = ["--native", "off"] if self.client == "ours" else []
        with hosts.Relay(self.netserver.port) as relay:
            run = self.netperf(*plain, "-t", "TCP_RR", "-l", "-200", "-I", "95,50", "-i", "4,3", "--", "-k",
                               "CONFIDENCE_LEVEL,CONFIDENCE_ITERATION,CONFIDENCE_INTERVAL,"
                               "THROUGHPUT_CONFID,THROUGHPUT", port=relay.port)
        found = clients.key_values(run.text)
        self.assertEqual(len(relay.connections), 1)
        self.assertEqual(relay.failures, [])
        self.assertEqual(relay.asked.count(hosts.OMNI), int(found["CONFIDENCE_ITERATION"]), run)
        self.assertIn(found["CONFIDENCE_ITERATION"], ("3", "4"), run)
        self.assertEqual(found["CONFIDENCE_LEVEL"], "95")
        self.assertEqual(float(found["CONFIDENCE_INTERVAL"]), 50, run)
        self.assertGreater(float(found["THROUGHPUT_CONFID"]), 0, run)

    def test_12_the_cpu_rate_is_asked_for(self):
        run = self.netperf("-t", "REM_CPU", "-P", "0")
        self.assertEqual(run.text.split(), ["100"], run)


class Asked:
    """A netserver asked by hand. `.server` names the programs."""

    @classmethod
    def setUpClass(cls):
        cls.netserver = hosts.Server(cls.server).started(cls)

    def ask(self, *words, kind, auxiliary=0xFFFFFFFF):
        with hosts.control(self.netserver.port) as connection:
            connection.sendall(hosts.message(kind, *words, auxiliary=auxiliary))
            return hosts.words_of(hosts.receive(connection))

    def test_a_type_that_is_unknown_is_answered_998(self):
        with hosts.control(self.netserver.port) as connection:
            for _ in range(2):  # and the connection goes on
                connection.sendall(hosts.message(7777))
                answer = hosts.words_of(hosts.receive(connection))
                self.assertEqual(answer[:2], (0, hosts.UNKNOWN))

    def test_calibration_tells_rate_and_number_of_cpus(self):
        answer = self.ask(kind=5)
        self.assertEqual(answer[:2], (5, 0))
        self.assertEqual(struct.unpack(">f", struct.pack(">I", answer[2]))[0], 100.0)
        self.assertGreaterEqual(answer[3], 1)

    def test_a_hundred_control_connections_at_once(self):
        connections = [hosts.control(self.netserver.port) for _ in range(100)]
        try:
            for connection in connections:
                connection.sendall(hosts.message(7777))
            for connection in reversed(connections):
                self.assertEqual(hosts.words_of(hosts.receive(connection))[:2], (0, hosts.UNKNOWN))
        finally:
            for connection in connections:
                connection.close()

    def test_a_message_in_pieces_is_one_message(self):
        text = hosts.message(7777)
        with hosts.control(self.netserver.port) as connection:
            for at in range(0, len(text), 200):
                connection.sendall(text[at:at + 200])
                time.sleep(0.05)
            self.assertEqual(hosts.words_of(hosts.receive(connection))[:2], (0, hosts.UNKNOWN))

    def test_an_ended_connection_is_closed(self):
        with hosts.control(self.netserver.port) as connection:
            connection.shutdown(1)
            self.assertEqual(hosts.receive(connection, 1), b"")

    def test_a_stream_asked_for_by_hand_is_counted(self):
        request = [-1, -1, 8, 0, 1, -1, -1, -1, 8, 0, 1, -1, 0x28, 0, 5, 0, 0, -1, -1, -1, 0, 4, 1,
                   6, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1]
        with hosts.control(self.netserver.port) as connection:
            connection.sendall(hosts.message(hosts.OMNI, *request))
            answer = hosts.words_of(hosts.receive(connection))
            self.assertEqual(answer[:2], (hosts.OMNI_ANSWER, 0))
            self.assertEqual(answer[8] & 8, 8, "CPU will be measured")
            with hosts.control(answer[13]) as data:
                data.sendall(b"x" * 100_000)
                data.shutdown(1)
                self.assertEqual(hosts.receive(data, 1), b"")
            results = hosts.words_of(hosts.receive(connection))
        self.assertEqual((results[1], results[2], results[3]), (0, 0, 100_000))
        self.assertGreaterEqual(results[4], 1, "calls")
        self.assertTrue(0 < struct.unpack(">f", struct.pack(">I", results[12]))[0] < 5, "seconds")
        self.assertEqual(results[20], 8, "CPU from /proc/stat")


@hosts.needs("real")
class AskedOfReal(Asked, unittest.TestCase):
    server = "real"


@hosts.needs("ours")
class AskedOfOurs(Asked, unittest.TestCase):
    server = "ours"
