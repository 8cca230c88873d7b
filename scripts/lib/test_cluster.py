"""The two-node Kubernetes, as far as it is tried without starting it."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import netns

CLUSTER = str(netns.SCRIPTS / "cluster")
PARTS = netns.SCRIPTS / "lib" / "cluster"
PREFIX = f"pptest{os.getpid()}"
PROGRAMS = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy",
            "kubectl", "pause"]
as_root = unittest.skipUnless(os.geteuid() == 0, "needs root")


def cluster(*arguments, cache=None):
    environment = {**os.environ, **({"PODPERF_CLUSTER_CACHE": str(cache)} if cache else {})}
    return subprocess.run([CLUSTER, *arguments], capture_output=True, text=True, env=environment,
                          timeout=60)


class CommandLine(unittest.TestCase):
    def test_wrong_usage_is_status_two_and_says_what_is_allowed(self):
        for arguments, words in (
            (["up", "more"], "unknown argument 'more'"),
            (["down", "--prefix"], "--prefix needs a name"),
            (["up", "--prefix", "a/b"], "letters, digits"),
            (["up", "--prefix", ".."], "letters, digits"),
            (["up", "--prefix", ""], "letters, digits"),
            (["up", "--prefix", "a" * 33], "at most 32"),
            (["load"], "one image archive"),
            (["load", "a.tar", "b.tar"], "one image archive"),
            (["exec", "cp"], "a place and a command"),
            (["exec", "node3", "true"], "cp, node1 or node2"),
            (["logs", "many"], "a number of lines"),
            (["stop"], "apiserver or kubelet"),
            (["stop", "etcd"], "unknown component 'etcd'"),
            (["stop", "apiserver", "node1"], "nothing more"),
            (["start", "kubelet"], "node1 or node2"),
            (["start", "kubelet", "cp"], "node1 or node2"),
            (["sideways"], "unknown command"),
            ([], "scripts/cluster up"),
        ):
            with self.subTest(arguments):
                done = cluster(*arguments)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(words, done.stderr)

    def test_help_names_every_command(self):
        done = cluster("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for command in ("build", "up", "down", "load", "kubectl", "exec", "env", "logs", "stop",
                        "start"):
            self.assertIn(f"\nscripts/cluster {command} ", done.stdout)

    def test_the_kubeconfig_is_named_by_the_prefix(self):
        self.assertEqual(cluster("env").stdout, "KUBECONFIG=/run/ppk/admin.kubeconfig\n")
        self.assertEqual(cluster("env", "--prefix", "x-1").stdout,
                         "KUBECONFIG=/run/x-1/admin.kubeconfig\n")

    def test_without_root_it_says_so(self):
        nobody = 65534 if os.geteuid() == 0 else None
        with tempfile.TemporaryDirectory() as directory:  # one that nobody may read
            os.chmod(directory, 0o755)
            copy = shutil.copytree(netns.SCRIPTS, Path(directory, "scripts"))
            for command in (["up"], ["down"], ["kubectl", "get", "pods"]):
                done = subprocess.run(["bash", copy / "cluster", *command], capture_output=True,
                                      text=True, user=nobody, cwd="/")
                self.assertEqual(done.returncode, 3, done.stderr)
                self.assertIn("need root", done.stderr)

    @as_root
    def test_without_a_cluster_it_says_how_to_start_one(self):
        for command in (["kubectl", "get"], ["exec", "cp"], ["logs"], ["stop", "apiserver"]):
            arguments = command[1:] + (["true"] if command[0] == "exec" else [])
            done = cluster(command[0], "--prefix", PREFIX, *arguments)
            self.assertEqual(done.returncode, 3)
            self.assertIn(f"there is no cluster {PREFIX}: run scripts/cluster up", done.stderr)


@as_root
class Directories(unittest.TestCase):
    """`down` removes what bears the cluster's mark, and nothing that only has its name."""

    def test_only_a_clusters_own_directories_are_removed(self):
        foreign, own = Path("/run", PREFIX), Path("/var/lib", PREFIX)
        try:
            for directory in (foreign, own):
                directory.mkdir()
                (directory / "precious").touch()
            (own / ".podperf-cluster").touch()
            done = cluster("down", "--prefix", PREFIX)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(os.listdir(foreign), ["precious"])
            self.assertFalse(own.exists())
        finally:
            shutil.rmtree(foreign)
            shutil.rmtree(own, ignore_errors=True)

    def test_a_node_has_files_settings_and_a_name_of_its_own(self):
        def settings():
            return [Path("/proc/sys", name).read_text() for name in ("kernel/panic",
                                                                     "vm/overcommit_memory")]

        before = settings()
        with tempfile.TemporaryDirectory() as run, tempfile.TemporaryDirectory() as state:
            Path(run, "node1").mkdir()
            Path(run, "node1", "resolv.conf").touch()
            done = subprocess.run(
                ["unshare", "--mount", "--uts", "bash", PARTS / "node_files.sh", run, state,
                 "node1", "sh", "-ec",
                 "ls /run /var/lib; cat /etc/resolv.conf; uname -n; touch /run/a /var/lib/a"
                 " /var/log/a; echo 77 >/proc/sys/kernel/panic;"
                 " echo 1 >/proc/sys/vm/overcommit_memory"],
                capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(done.stdout, f"/run:\nlock\n{Path(run).name}\n\n"
                                          f"/var/lib:\n{Path(state).name}\nnode1\n")
            self.assertTrue(Path(state, "node1", "log", "a").exists())
        self.assertEqual(settings(), before)
        self.assertNotEqual(socket.gethostname(), "node1")
        for file in ("/run/a", "/var/lib/a", "/var/log/a"):
            self.assertFalse(os.path.exists(file))


class Shell(unittest.TestCase):
    """A part of the script, with stand-ins for what surrounds it."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def shell(self, part, code):
        return ["bash", "-c", "set -euo pipefail; log() { echo \"$@\"; }\n"
                "fail() { log \"$@\"; exit 3; }\n"
                f"run=$1 cache=$1; bin=$cache/bin debian=$cache/debian\n. '{PARTS / part}'\n{code}",
                "-", self.directory]

    def run_shell(self, part, code):
        return subprocess.run(self.shell(part, code), capture_output=True, text=True, timeout=60)


class Building(Shell):
    STAND_INS = """need_root() { :; }; need_tools() { :; }; need_command() { :; }
        _unpack_source() { mkdir "$1/bin"; touch "$1/tree"; }
        _compile() {
          local program
          echo compiled
          for program in "${programs[@]}"; do
            echo >"$1/bin/$program"; chmod +x "$1/bin/$program"
            [ "$program" != kubelet ] || %s
          done
        }
        build"""

    def build(self, at_the_kubelet):
        return self.run_shell("programs.sh", self.STAND_INS % at_the_kubelet)

    def here(self):
        return sorted(os.listdir(self.directory))

    def test_a_build_is_put_in_place_as_a_whole_and_once(self):
        Path(self.directory, "building.killed").mkdir()
        done = self.build(":")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("compiled", done.stdout)
        self.assertEqual(self.here(), ["bin", "lock"])
        self.assertEqual(sorted(os.listdir(self.directory / "bin")), sorted(PROGRAMS))
        again = self.build(":")
        self.assertEqual(again.returncode, 0)
        self.assertNotIn("compiled", again.stdout)
        self.assertIn("is built already", again.stdout)

    def test_a_build_that_fails_leaves_nothing(self):
        done = self.build("return 1")
        self.assertEqual(done.returncode, 3)
        self.assertIn("could not be compiled", done.stdout)
        self.assertEqual(self.here(), ["lock"])

    def test_an_interrupted_build_leaves_nothing_that_counts(self):
        for number, status, left in ((signal.SIGTERM, 143, 0), (signal.SIGKILL, -9, 1)):
            with self.subTest(number):
                waiting = self.STAND_INS % "{ touch \"$cache/reached\"; sleep 0.5; }"
                with subprocess.Popen(self.shell("programs.sh", waiting),
                                      stdout=subprocess.PIPE) as process:
                    deadline = time.monotonic() + 20
                    while not (self.directory / "reached").exists():
                        self.assertLess(time.monotonic(), deadline)
                        time.sleep(0.01)
                    process.send_signal(number)
                    process.communicate(timeout=20)
                    self.assertEqual(process.returncode, status)
                (self.directory / "reached").unlink()
                self.assertFalse((self.directory / "bin").exists())
                self.assertEqual(len(list(self.directory.glob("building.*"))), left)

    @as_root
    def test_half_a_build_is_none(self):
        bin_directory = self.directory / "bin"
        bin_directory.mkdir()
        for program in PROGRAMS[:-1]:
            (bin_directory / program).write_text("#!/bin/sh\n")
            (bin_directory / program).chmod(0o755)
        (bin_directory / PROGRAMS[-1]).touch()  # there, and no program
        done = cluster("up", "--prefix", PREFIX, cache=self.directory)
        self.assertEqual(done.returncode, 3)
        self.assertIn("run scripts/cluster build first", done.stderr)
        self.assertFalse(Path("/run", PREFIX).exists())


class Processes(Shell):
    def sh(self, code):
        done = self.run_shell("process.sh", code)
        return done.returncode, done.stdout

    def test_a_process_outlives_its_script_until_it_is_ended(self):
        self.assertEqual(self.sh("launch a sleep 99"), (0, ""))
        pid = int((self.directory / "a.pid").read_text().split()[0])
        self.assertEqual(self.sh("is_alive a"), (0, ""))
        self.assertEqual(self.sh("pid_of a"), (0, f"{pid}\n"))
        self.assertEqual(self.sh("end a 10; end a 10; ! is_alive a"), (0, ""))
        self.assertFalse(Path(f"/proc/{pid}/exe").exists())

    def test_one_that_does_not_want_to_end_is_made_to(self):
        code = "launch a bash -c 'trap : TERM; echo >\"$0/set\"; while :; do sleep 0.1; done' \"$run\""
        self.assertEqual(self.sh(code + "; wait_until 10 trap test -e \"$run/set\"; end a 1; ! is_alive a"),
                         (0, ""))

    def test_another_process_with_its_number_is_left_alone(self):
        with subprocess.Popen(["sleep", "99"]) as other:
            (self.directory / "a.pid").write_text(f"{other.pid} 1\n")
            self.assertEqual(self.sh("end a 1; end_all \"$run\"/*.pid; ! is_alive a"), (0, ""))
            self.assertIsNone(other.poll())
            other.kill()

    def test_waiting_is_bounded_and_says_for_what(self):
        self.assertEqual(self.sh("wait_until 1 rain false"), (3, "waited 1 s for rain, in vain\n"))
        code = "launch a sh -c 'echo first; echo no room; exit 1'; wait_for 30 a answers false"
        self.assertEqual(self.sh(code), (3, "a ended by itself: no room\n"))
        code = "launch a sleep 9; (wait_for 1 a 'its answer' false) || true; end a 10"
        self.assertEqual(self.sh(code)[1].split(";")[0], "waited 1 s for its answer, in vain")


if __name__ == "__main__":
    unittest.main()
