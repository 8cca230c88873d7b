"""Starting and ending programs, and the two-host testbed."""

import os
import shutil
import socket
import subprocess
import sys
import time
import unittest
from unittest import mock

import netns
from listening import listens

TWOHOSTS = str(netns.SCRIPTS / "twohosts")
PREFIX = f"pptest{os.getpid()}"


def python(code, *arguments):
    return [sys.executable, "-c", code, *arguments]


class Programs(unittest.TestCase):
    def test_outputs_come_in_order_with_the_time_they_took(self):
        outcome = netns.run(None, [python("print('a')"), python("print('b')")], 30)
        self.assertEqual(outcome.outputs, ["a\n", "b\n"])
        self.assertGreater(outcome.seconds, 0)
        self.assertGreaterEqual(outcome.busy_core_seconds, 0)

    def test_a_failure_names_command_status_and_last_words(self):
        with self.assertRaisesRegex(netns.Failed, "exit status 7: no route"):
            netns.run(None, [python("import sys; sys.stderr.write('no route'); sys.exit(7)")], 30)

    def test_a_program_past_its_deadline_is_ended(self):
        started = []

        def popen(*arguments, **options):
            started.append(real_popen(*arguments, **options))
            return started[-1]

        real_popen = subprocess.Popen
        with mock.patch("netns.subprocess.Popen", popen):
            with self.assertRaisesRegex(netns.Failed, "sleep 99: still running at its deadline"):
                netns.run(None, [["true"], ["sleep", "99"]], 0.1)
        self.assertEqual([process.poll() is None for process in started], [False, False])

    def test_a_server_is_there_when_it_listens_and_gone_afterwards(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        code = ("import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1])));"
                "c, _ = s.accept(); c.sendall(b'hi'); time.sleep(99)")
        with netns.servers(None, [(python(code, str(port)), port)]):
            with socket.create_connection(("127.0.0.1", port)) as client:
                self.assertEqual(client.recv(2), b"hi")
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()

    def test_a_server_that_ends_at_once_is_reported_with_its_words(self):
        with self.assertRaisesRegex(netns.Failed, "port 1: no such file"):
            with netns.servers(None, [(python("raise SystemExit('no such file')"), 1)], 60):
                self.fail("must not come here")


class TwoHostsCommandLine(unittest.TestCase):
    def test_wrong_usage_is_status_two_and_says_what_is_allowed(self):
        for arguments, words in (
            (["up", "--mtu", "100"], "1330 to 65535"),
            (["up", "--mtu"], "--mtu needs a number"),
            (["up", "--prefix", "a/b"], "letters, digits"),
            (["up", "more"], "unknown argument 'more'"),
            (["exec", "podC", "true"], "hostA, hostB, podA or podB"),
            (["exec", "podA"], "a place and a command"),
            (["sideways"], "unknown command"),
            ([], "scripts/twohosts up"),
        ):
            with self.subTest(arguments):
                done = subprocess.run([TWOHOSTS, *arguments], capture_output=True, text=True)
                self.assertEqual(done.returncode, 2)
                self.assertIn(words, done.stderr)

    def test_without_root_it_says_so(self):
        nobody = 65534 if os.geteuid() == 0 else None
        with open(TWOHOSTS) as script:  # by standard input: nobody may not read this directory
            done = subprocess.run(["bash", "-s", "--", "up"], stdin=script, capture_output=True,
                                  text=True, user=nobody, cwd="/")
        self.assertEqual(done.returncode, 3)
        self.assertIn("need root", done.stderr)


@unittest.skipUnless(os.geteuid() == 0, "network namespaces need root")
class TwoHosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for _ in range(2):  # the second one replaces the first
            subprocess.run([TWOHOSTS, "up", "--prefix", PREFIX, "--mtu", "1400"], check=True)

    @classmethod
    def tearDownClass(cls):
        subprocess.run([TWOHOSTS, "down", "--prefix", PREFIX], check=True)
        left = [name for name in os.listdir("/run/netns") if name.startswith(PREFIX + "-")]
        if left:
            raise AssertionError(f"left behind: {left}")

    def at(self, place, *command):
        return subprocess.run([TWOHOSTS, "exec", "--prefix", PREFIX, place, *command],
                              capture_output=True, text=True)

    def test_exec_has_the_status_and_output_of_the_command(self):
        self.assertEqual(self.at("podA", "sh", "-c", "exit 7").returncode, 7)
        self.assertIn("10.244.0.2/24", self.at("podA", "ip", "-4", "addr").stdout)

    def test_pods_see_the_overlays_mtu(self):
        self.assertIn("mtu 1350", self.at("podA", "ip", "link", "show", "eth0").stdout)
        self.assertIn("mtu 1400", self.at("hostA", "ip", "link", "show", "wire").stdout)

    def test_traffic_between_pods_goes_through_the_tunnel_in_both_families(self):
        for family, address in ((socket.AF_INET, "10.244.1.2"), (socket.AF_INET6, "2001:db8:0:b::2")):
            if family == socket.AF_INET6 and not os.path.isdir("/proc/sys/net/ipv6"):
                continue
            before = self.tunnelled_bytes()
            self.exchange(address)
            with self.subTest(address):
                self.assertGreater(self.tunnelled_bytes() - before, 100_000)

    @unittest.skipUnless(shutil.which("nft"), "needs nft")
    def test_loss_is_of_long_datagrams_to_its_ports_and_ends_with_its_block(self):
        receive = ("import select, socket\n"
                   "ends = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(2)]\n"
                   "for port, end in zip((5, 6), ends): end.bind(('', port))\n"
                   "print('bound', flush=True)\n"
                   "for _ in range(4):\n"
                   "    end = select.select(ends, [], [], 10)[0][0]\n"
                   "    print(end.getsockname()[1], len(end.recv(9999)), flush=True)")

        def send(port, *lengths):
            code = (f"import socket; s = socket.socket(type=socket.SOCK_DGRAM);"
                    f"[s.sendto(bytes(n), ('192.0.2.2', {port})) for n in {lengths}]")
            done = self.at("hostA", *python(code))
            self.assertEqual(done.returncode, 0, done.stderr)

        host = f"{PREFIX}-hostB"
        with subprocess.Popen(netns.inside(host, python(receive)), text=True,
                              stdout=subprocess.PIPE) as receiver:
            def came():
                return receiver.stdout.readline().strip()

            try:
                self.assertEqual(came(), "bound")
                with netns.loss(host, [5, 7], percent=100, least_bytes=100):
                    send(5, 100, 91)  # 8 bytes of UDP header are in the length
                    self.assertEqual(came(), "5 91")
                    send(6, 100)
                    self.assertEqual(came(), "6 100")
                send(5, 100)
                self.assertEqual(came(), "5 100")
                # A rule that nft refuses leaves nothing behind.
                with self.assertRaisesRegex(netns.Failed, "nft"):
                    with netns.loss(host, [5], percent=101, least_bytes=100):
                        self.fail("must not come here")
                send(5, 101)
                self.assertEqual(came(), "5 101")
            finally:
                receiver.kill()

    def tunnelled_bytes(self):
        return int(self.at("hostA", "cat", "/sys/class/net/vxlan1/statistics/tx_bytes").stdout)

    def exchange(self, address):
        """100,000 bytes from podA to podB."""
        listen = ("import socket; s = socket.create_server(('', 5), family=socket.AF_INET6,"
                  "dualstack_ipv6=True) if ':' in '%s' else socket.create_server(('', 5));"
                  "c, _ = s.accept(); print(sum(len(b) for b in iter(lambda: c.recv(65536), b'')))"
                  % address)
        send = (f"import socket; c = socket.create_connection(('{address}', 5), 10);"
                "c.sendall(bytes(100000))")
        with subprocess.Popen(netns.inside(f"{PREFIX}-podB", python(listen)), text=True,
                              stdout=subprocess.PIPE) as server:
            try:
                deadline = time.monotonic() + 10
                while not listens(server.pid, 5) and time.monotonic() < deadline:
                    time.sleep(0.01)
                sent = self.at("podA", *python(send))
                self.assertEqual(sent.returncode, 0, sent.stderr)
                out, _ = server.communicate(timeout=10)
                self.assertEqual(out.strip(), "100000")
            finally:
                server.kill()


if __name__ == "__main__":
    unittest.main()
