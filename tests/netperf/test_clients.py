"""The readers of clients.py: they read what netperf printed, and refuse what breaks a rule."""

import unittest

import clients
from clients import Broken

BANNER = ("MIGRATED TCP STREAM TEST from 0.0.0.0 (0.0.0.0) port 0 AF_INET to 127.0.0.1 () port 0 "
          "AF_INET : demo\n")
STREAM = BANNER + """\
Recv   Send    Send                          \n\
Socket Socket  Message  Elapsed              \n\
Size   Size    Size     Time     Throughput  \n\
bytes  bytes   bytes    secs.    10^6bits/sec  \n\

131072  16384  16384    1.00     19419.26   \n"""
UDP = BANNER.replace("TCP", "UDP") + """\
Socket  Message  Elapsed      Messages                \n\
Size    Size     Time         Okay Errors   Throughput
bytes   bytes    secs            #      #   10^6bits/sec

212992   65507   1.00       114835      0    60174.43
212992           1.00        70350           36863.95

"""
RR = BANNER.replace("STREAM", "REQUEST/RESPONSE") + """\
Local /Remote
Socket Size   Request  Resp.   Elapsed  Trans.
Send   Recv   Size     Size    Time     Rate         \n\
bytes  Bytes  bytes    bytes   secs.    per sec   \n\

16384  131072 1        1       1.00     68200.34   \n\
16384  131072
"""
STREAM_CPU = BANNER + """\
Recv   Send    Send                          Utilization       Service Demand
Socket Socket  Message  Elapsed              Send     Recv     Send    Recv
Size   Size    Size     Time     Throughput  local    remote   local   remote
bytes  bytes   bytes    secs.    10^6bits/s  % S      % S      us/KB   us/KB

131072  16384  16384    1.00       12983.13   100.00   100.00   1.262   1.262  \n"""
UDP_CPU = BANNER.replace("TCP", "UDP") + """\
Socket  Message  Elapsed      Messages                   CPU      Service
Size    Size     Time         Okay Errors   Throughput   Util     Demand
bytes   bytes    secs            #      #   10^6bits/sec % SS     us/KB

212992   65507   1.00        95994      0    50212.8     100.00   0.326 \n\
212992           1.00        58433           30565.3     100.00   0.326 \n\

"""
RR_CPU = BANNER.replace("STREAM", "REQUEST/RESPONSE") + """\
Local /Remote
Socket Size   Request Resp.  Elapsed Trans.   CPU    CPU    S.dem   S.dem
Send   Recv   Size    Size   Time    Rate     local  remote local   remote
bytes  bytes  bytes   bytes  secs.   per sec  % S    % S    us/Tr   us/Tr

16384  131072 1       1      1.00    58512.91  100.00 100.00 34.180  34.180 \n\
16384  131072
"""


class Tables(unittest.TestCase):
    """The classic output."""

    def test_perf_tests_finds_the_rate_of_a_stream(self):
        self.assertEqual(clients.perf_tests(STREAM), 19419.26)
        self.assertRaises(Broken, clients.perf_tests, RR[:RR.index("16384")])

    def test_perf_tests_would_take_three_integers_before_the_row_for_it(self):
        wrong = STREAM.replace("bytes  bytes", "counts 1 2 3 four 5 bytes")
        self.assertNotEqual(clients.perf_tests(wrong), 19419.26)

    def test_awk_counts_lines_from_the_end(self):
        self.assertEqual(clients.awk(STREAM, 1, 5), 19419.26)
        self.assertEqual(clients.awk(RR, 2, 6), 68200.34)
        self.assertRaises(Broken, clients.awk, STREAM, 1, 6)
        self.assertRaises(Broken, clients.awk, STREAM + "note\n", 1, 5)

    def test_the_mesh_needs_a_blank_after_the_number(self):
        self.assertEqual(clients.mesh(RR + RR, 2), 2 * 68200.34)
        self.assertRaises(Broken, clients.mesh, RR.replace("68200.34   \n1", "68200.34 1"), 1)
        self.assertRaises(Broken, clients.mesh, STREAM, 2)

    def test_lkp_takes_the_column_under_its_word(self):
        self.assertEqual(clients.lkp(STREAM_CPU), ([12983.13], "10^6bits"))
        self.assertEqual(clients.lkp(UDP_CPU), ([50212.8, 30565.3], "10^6bits"))
        self.assertEqual(clients.lkp(RR_CPU), ([58512.91], "per sec"))
        self.assertRaises(Broken, clients.lkp, RR_CPU.replace("Rate", "Speed"))
        self.assertRaises(Broken, clients.lkp, STREAM_CPU.replace("10^6bits", "Mbit"))
        self.assertRaises(Broken, clients.lkp, STREAM_CPU.replace("12983.13", "nan"))

    def test_mmtests_takes_the_end_of_the_row(self):
        self.assertEqual(clients.classic(STREAM), 19419.26)
        self.assertEqual(clients.classic(RR), 68200.34)
        self.assertRaises(Broken, clients.classic, BANNER)

    def test_avocado_takes_the_last_word(self):
        self.assertEqual(clients.avocado(STREAM), 19419.26)
        self.assertEqual(clients.avocado(UDP), 36863.95)
        self.assertRaises(Broken, clients.avocado, RR)

    def test_one_number_is_one_number(self):
        self.assertEqual(clients.phoronix("19121.32 \n"), 19121.32)
        self.assertRaises(Broken, clients.phoronix, "1.00 \n2.00 \n")
        self.assertEqual(clients.betterspeedtest("10.5 \n2.5 \n", ""), 13)
        self.assertRaises(Broken, clients.betterspeedtest, "10.5 \n", "\n")
        self.assertRaises(Broken, clients.betterspeedtest, "", "")

    def test_a_sum_tells_of_how_many(self):
        self.assertEqual(clients.super_netperf("12.50 4\n", 4), 12.5)
        self.assertRaises(Broken, clients.super_netperf, "12.50 3\n", 4)


K8S = BANNER + """THROUGHPUT=36023.19
THROUGHPUT_UNITS=10^6bits/s
LOCAL_SEND_CALLS=1000
REMOTE_RECV_CALLS=990
LOCAL_TRANSPORT_RETRANS=0
RT_LATENCY=-1.000
P99_LATENCY=24
"""
FLENT = """NETPERF_INTERIM_RESULT[0]=36622.47
NETPERF_UNITS[0]=10^6bits/s
NETPERF_INTERVAL[0]=0.200
NETPERF_ENDING[0]=1795390642.051
NETPERF_INTERIM_RESULT[1]=35622.47
NETPERF_UNITS[1]=10^6bits/s
NETPERF_INTERVAL[1]=0.100
NETPERF_ENDING[1]=1795390642.151
""" + "".join(f"{name}=1\n" for name in clients.FLENT_KEYS.split(",")).replace("TOS=1", "TOS=0x00")
TCP_INFO = "tcpi_rto 204000 tcpi_ato 0 tcpi_pmtu 65535\ntcpi_rtt 27 tpci_snd_cwnd 16\n"


class Selections(unittest.TestCase):
    """What -o, -O and -k select, and interim results."""

    def test_k8s_netperf_passes_six_values_on(self):
        self.assertEqual(clients.k8s_netperf(K8S, True, False)["throughput"], 36023.19)
        udp = clients.k8s_netperf(K8S.replace("RETRANS=0", "RETRANS=-1"), True, True)
        self.assertAlmostEqual(udp["loss_percent"], 1)

    def test_k8s_netperf_stumbles_over_what_bc_does_not_read(self):
        for wrong in (K8S.replace("=24", "=nan"), K8S.replace("36023.19", "3.6e4"),
                      K8S.replace("P99_LATENCY", "P98_LATENCY"), K8S.replace("-1.000", "-1.00"),
                      K8S.replace("THROUGHPUT_UNITS=", "THROUGHPUT_IN=")):
            self.assertRaises(Broken, clients.k8s_netperf, wrong, True, False)
        self.assertRaises(Broken, clients.k8s_netperf, K8S, True, True)

    def test_cilium_wants_nine_fields_of_one_line_a_stream(self):
        row = "1,3.60,200,2,4,24,1.000,36023.19,10^6bits/s\n"
        found = clients.cilium(BANNER + "Minimum Latency Microseconds,...\n" + row, 1, True)
        self.assertEqual(found[0]["throughput"], 36023.19)
        for wrong in (row + row, row.replace("3.60", "nan"), row.replace(",24", ""),
                      row.replace("bits", "bytes"), ""):
            self.assertRaises(Broken, clients.cilium, BANNER + wrong, 1, True)

    def test_the_probe_of_flent(self):
        self.assertTrue(clients.flent_probe("", ""))
        self.assertFalse(clients.flent_probe("", "netperf: invalid option -- 'e'\n"))
        self.assertRaises(Broken, clients.flent_probe, "", "netperf: invalid option -- '0'")
        self.assertRaises(Broken, clients.flent_probe, "Demo Mode not configured", "")

    def test_flent_reads_samples_values_and_the_state_of_tcp(self):
        samples, found, state = clients.flent(FLENT, TCP_INFO)
        self.assertEqual([sample[1] for sample in samples], [0.2, 0.1])
        self.assertEqual(found["LOCAL_SOCKET_TOS"], 0)
        self.assertEqual(state["tcpi_rtt"], 27)
        self.assertNotIn("tpci_snd_cwnd", state)

    def test_flent_refuses_gaps_and_words_for_numbers(self):
        for out, err in ((FLENT.replace("[1]", "[2]"), ""), (FLENT.replace("0x00", "0"), ""),
                         (FLENT.replace("INTERVAL[1]=0.100\n", "INTERVAL[1]=\n"), ""),
                         (FLENT, TCP_INFO.replace("27", "fast")), (FLENT, "tcpi_rto\n")):
            self.assertRaises(Broken, clients.flent, out, err)

    def test_pkb_reads_a_row_by_its_header_and_the_histogram(self):
        found = clients.pkb(PKB, True)
        self.assertEqual(found["Throughput"], 14000.5)
        self.assertEqual(found["histogram"], {10: 3814, 100: 2, 1000: 1})
        for wrong in (PKB.replace("OMNI", "Note\nOMNI"), PKB.replace("Trans/s", "Trans/sec"),
                      PKB.replace(">100_SECS", ""), PKB.replace("Transport MSS bytes", "MSS")):
            self.assertRaises(Broken, clients.pkb, wrong, True)

    def test_pkb_takes_any_number_of_buckets_in_a_row(self):
        rows = "UNIT_USEC: 0: 1: 0: 0\nTEN_USEC: 0: 0: 2: 0\n>100_SECS: 0\n"
        self.assertEqual(clients.pkb_histogram(rows), {2.5: 1, 50: 2})
        self.assertRaises(Broken, clients.pkb_histogram, rows.replace("1", "0").replace("2", "0"))

    def test_submariner_wants_banner_header_and_values(self):
        header = ("Minimum Latency Microseconds,Mean Latency Microseconds,Maximum Latency "
                  "Microseconds,Stddev Latency Microseconds,Transaction Rate Tran/s\n")
        self.assertEqual(clients.submariner(BANNER + header + "1,2.50,3,0.10,68200.340\n"),
                         [1, 2.5, 3, 0.1, 68200.34])
        self.assertRaises(Broken, clients.submariner, header + "1,2.50,3,0.10,68200.340\n")

    def test_kubenetbench_wants_one_throughput(self):
        self.assertEqual(clients.kubenetbench(K8S), 36023.19)
        self.assertRaises(Broken, clients.kubenetbench, K8S + K8S)

    def test_steadybit_takes_the_third_line(self):
        self.assertEqual(clients.steadybit(BANNER + "Mean Latency Microseconds\n14.61\n"), 14.61)
        self.assertRaises(Broken, clients.steadybit, BANNER + "14.61\n")

    def test_lisa_sees_a_table_of_its_columns(self):
        table = ("Throughput Throughput  99th         \n           Units       Percentile   \n"
                 "                       Latency      \n                       Microseconds \n"
                 "35663.08   10^6bits/s  22           \n")
        self.assertEqual(clients.lisa(BANNER + table), 35663.08)
        self.assertRaises(Broken, clients.lisa, BANNER + "35663.08 10^6bits/s 22\n")

    def test_tp_qemu_counts_who_is_up(self):
        self.assertEqual(clients.migrate(STREAM + RR), 2)
        self.assertEqual(clients.migrate(""), 0)

    def test_interim_results_of_all_forms(self):
        human = "Interim result:    2.24 GBytes/s over 1.000 seconds ending at 1795390656.621\n"
        self.assertEqual(clients.interim(BANNER + human), [(2.24, "GBytes/s", 1.0, 1795390656.621)])
        self.assertRaises(Broken, clients.interim, STREAM)
        for text, end in ((human, 1795390656.621), (FLENT, 1795390642.051),
                          ("15367.14,10^6bits/s,1.723,1795390645.278\n", 1795390645.278)):
            self.assertEqual(clients.aggregate(text)[0][0], end)
        self.assertRaises(Broken, clients.aggregate, STREAM)
        self.assertRaises(Broken, clients.aggregate,
                          FLENT.replace("NETPERF_UNITS[0]=10^6bits/s\n", ""))


PKB = """OMNI Send|Recv TEST from 0.0.0.0 (0.0.0.0) port 0 AF_INET to 127.0.0.1 () port 1 AF_INET : demo
Throughput,Throughput Units,50th Percentile Latency Microseconds,\
90th Percentile Latency Microseconds,99th Percentile Latency Microseconds,\
Stddev Latency Microseconds,Minimum Latency Microseconds,Maximum Latency Microseconds,\
Confidence Iterations Run,Throughput Confidence Width (%),Local Transport Retransmissions,\
Remote Transport Retransmissions,Transport MSS bytes
14000.50,Trans/s,60,90,120,7.40,20,900,3,1.234,0,0,1448

Histogram of request/response times
UNIT_USEC     :    0:    0:    0:    0:    0:    0:    0:    0:    0:    0
TEN_USEC      :    0: 3814:    0:    0:    0:    0:    0:    0:    0:    0
HUNDRED_USEC  :    0:    2:    0:    0:    0:    0:    0:    0:    0:    0
UNIT_MSEC     :    0:    1:    0:    0:    0:    0:    0:    0:    0:    0
>100_SECS: 0
HIST_TOTAL:      3817
"""


if __name__ == "__main__":
    unittest.main()
