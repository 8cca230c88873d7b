"""The image itself: built, looked into, and its program run as in a restricted pod.

Needs root, for buildah and for the pod's surroundings. The first build of a release takes minutes.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import image_archive
import sbom

LIB = Path(__file__).resolve().parent
BUILD = LIB.parent.parent / "container" / "build"
TAG = "localhost/podperf:test"
# What a kubelet writes, for a cluster whose name server is the pod itself.
HOSTS = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.0.1\tpodperf-server\n"
RESOLV = ("search podperf.svc.cluster.local svc.cluster.local cluster.local\n"
          "nameserver 127.0.0.1\noptions ndots:5\n")


@unittest.skipUnless(os.getuid() == 0, "building an image and confining its program need root")
class TheImage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.work = Path(directory.name)
        cls.archive = cls.build("first")
        cls.image = image_archive.read(cls.archive)
        cls.root = cls.work / "root"
        (cls.root / "etc").mkdir(parents=True)
        for name, mode in sorted(cls.image.directories.items()):
            (cls.root / name).mkdir(mode, exist_ok=True)
        for name, target in cls.image.links.items():
            (cls.root / name).symlink_to(target)
        for name, (mode, content) in cls.image.files.items():
            (cls.root / name).write_bytes(content)
            (cls.root / name).chmod(mode)
        (cls.root / "etc" / "hosts").write_text(HOSTS)
        (cls.root / "etc" / "resolv.conf").write_text(RESOLV)

    @classmethod
    def build(cls, name):
        """Builds the image in a store of its own, so that it is no newer than the test."""
        store = cls.work / f"{name}.conf"
        store.write_text(f'[storage]\ndriver = "vfs"\nrunroot = "{cls.work}/{name}-run"\n'
                         f'graphroot = "{cls.work}/{name}-images"\n')
        archive = cls.work / f"{name}.tar"
        done = subprocess.run([BUILD, "--tag", TAG, "--archive", archive], capture_output=True,
                              text=True, timeout=1800, stdin=subprocess.DEVNULL,
                              env={**os.environ, "CONTAINERS_STORAGE_CONF": str(store)})
        if done.returncode:
            raise AssertionError(f"exit status {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return archive

    def run_in_pod(self, *arguments, options=()):
        """The program's outcome and how long it took, in seconds."""
        begun = time.monotonic()
        done = subprocess.run(["unshare", "--mount", "--net", sys.executable, "-B",
                               LIB / "confined.py", self.root,
                               *[f"--env={word}" for word in self.image.config["Env"]],
                               *options, "--", *arguments],
                              capture_output=True, text=True, timeout=120)
        return done, time.monotonic() - begun

    def test_it_is_as_it_should_be(self):
        self.assertEqual(image_archive.complaints(self.image, TAG), [])
        self.assertEqual(sorted(self.image.files), ["podperf", image_archive.SBOM])
        self.assertEqual({Path(name).name for name in self.image.links}, {"netperf", "netserver"})

    def test_what_reads_results_is_left_out_and_says_so(self):
        done, _ = self.run_in_pod("compare", "a.json", "b.json", "--tolerance", "5%")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("this build has no compare, ", done.stderr)

    def test_its_bill_of_materials_has_what_the_compiler_linked(self):
        # cargo tells of each package that it compiled for the program, or has compiled already.
        done = subprocess.run([LIB.parent / "static-engine", "--message-format", "json"],
                              capture_output=True, text=True, check=True, timeout=1800,
                              stdin=subprocess.DEVNULL)
        target = f"/{sbom.host()}/release/"
        linked = set()
        for line in done.stdout.splitlines():
            message = json.loads(line) if line.startswith("{") else {}
            files = message.get("filenames", [])
            if any(target in name and name.endswith(".rlib") for name in files):
                # path+file:///…/sys#podperf-sys@0.1.0, registry+…#libc@0.2.1, …/podperf#0.1.0
                linked.add(message["package_id"].rpartition("#")[2])
        linked = {name if "@" in name else f"podperf@{name}" for name in linked}
        _, content = self.image.files[image_archive.SBOM]
        document = json.loads(content)
        said = {part["bom-ref"] for part in document["components"] if part["scope"] == "required"}
        said.add(document["metadata"]["component"]["bom-ref"])
        self.assertGreater(len(linked), 50)
        self.assertEqual(linked, {name for name in said if not name.startswith(sbom.TOOLCHAIN)})

    def test_the_same_engine_gives_the_same_image(self):
        again = self.build("second")
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (self.archive, again)]
        self.assertEqual(digests[0], digests[1])

    def test_the_pod_of_these_tests_is_restricted(self):
        # As confined as podperf is in the other tests, python prints what the kernel says of it.
        code = ("import sys; sys.path.insert(0, sys.argv[1]); import confined;"
                "confined.confine('/');"
                "print(open('/proc/self/status').read())")
        done = subprocess.run(["unshare", "--mount", sys.executable, "-B", "-c", code, LIB],
                              capture_output=True, text=True, check=True)
        status = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
        self.assertEqual(status["Uid"], "\t".join(["65532"] * 4))
        self.assertEqual(status["NoNewPrivs"], "1")
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(status[kind], 16), 0, kind)

    def test_it_runs_without_any_right(self):
        done, _ = self.run_in_pod("--version")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^podperf \d")

    def test_it_measures_without_any_right(self):
        done, _ = self.run_in_pod("stream", "-t", "300ms", "-O", "0", "-J")
        self.assertEqual(done.returncode, 0, done.stderr)
        run = json.loads(done.stdout)
        self.assertEqual(run["status"], "complete")
        self.assertGreater(run["throughput"]["bits_per_second"], 0)
        done, _ = self.run_in_pod("stream", "-t", "300ms", "-O", "0", "-q")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_by_their_names_it_is_netserver_and_netperf(self):
        done, _ = self.run_in_pod("-H", "127.0.0.1", "-l", "1",
                                  options=("--program=netperf", "--netserver"))
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        banner, *_, figures = done.stdout.splitlines()
        self.assertTrue(banner.startswith("MIGRATED TCP STREAM TEST"), banner)
        sizes, (seconds, mbits) = figures.split()[:3], map(float, figures.split()[3:])
        self.assertTrue(all(size.isdigit() for size in sizes), figures)
        self.assertTrue(0.9 < seconds < 2 and mbits > 1, figures)
        # Cilium's command line names the file, and no server is no success.
        done, _ = self.run_in_pod("-H", "127.0.0.1", "-l", "1",
                                  options=("--program=/usr/local/bin/netperf",))
        self.assertEqual(done.returncode, 255)
        self.assertIn("are you sure there is a netserver listening", done.stdout)

    def test_a_name_of_etc_hosts_leads_to_the_server(self):
        for options in (("--serve",), ("--serve", "--silent-dns")):
            done, _ = self.run_in_pod("stream", "podperf-server", "--wait-for-server", "20s",
                                      "-t", "300ms", "-O", "0", "-J", options=options)
            self.assertEqual(done.returncode, 0, done.stderr)
            run = json.loads(done.stdout)
            self.assertEqual((run["status"], run["target"]), ("complete", "podperf-server:5210"))

    def test_a_name_that_nobody_knows_is_an_error_that_names_it(self):
        for options, words, longest in (
            ((), "resolve no-such-server: failed to lookup address", 10),
            (("--silent-dns",), "resolve no-such-server: no answer in time", 10),
        ):
            with self.subTest(options):
                done, seconds = self.run_in_pod("stream", "no-such-server", "-t", "300ms",
                                                "--connect-timeout", "2s", options=options)
                self.assertEqual(done.returncode, 3)
                self.assertIn(words, done.stderr)
                self.assertLess(seconds, longest)
