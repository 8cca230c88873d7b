"""Two hosts in network namespaces, the real netperf and podperf under netperf's names, on either.

Enters: PODPERF_ENGINE, the engine's program, without which only the real programs run, against each
other. Leaves: what each program wrote, its exit status and how long it took. They come up with
the first test that needs them and go at exit; whatever was started is ended by its id.
"""

import atexit
import concurrent.futures
import ctypes
import itertools
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "scripts" / "lib"))
from listening import listens  # noqa: E402
from retry import Retried  # noqa: E402

ENGINE = os.environ.get("PODPERF_ENGINE")
PREFIX = f"ppn{os.getpid()}"
CLIENT, SERVER = "hostA", "hostB"
SERVER4, SERVER6 = "192.0.2.2", "2001:db8::2"
CLIENT4, CLIENT6 = "192.0.2.1", "2001:db8::1"
AT_ONCE = 6  # runs that do not disturb each other's results
REAL_TO_REAL = ("real", "real")
PAIRS = (REAL_TO_REAL, ("real", "ours"), ("ours", "real"), ("ours", "ours"))

_ports = itertools.count(20001)
_lock = threading.RLock()
_two_hosts = None


def why_not(*names):
    """What the programs of these names, "real" or "ours", lack to be run here; None: nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root: run this as root"
    if "ours" in names and not ENGINE:
        return "PODPERF_ENGINE does not name podperf's engine"
    return None


def needs(*names):
    """Skips a class of tests, with the reason, where these programs cannot be run."""
    reason = why_not(*names)
    return unittest.skip(reason) if reason else lambda cases: cases


def each_pair(*pairs):
    """Makes a class of tests of a class of cases for each pair, which are .client and .server."""
    def make(cases):
        module = sys.modules[cases.__module__]
        for client, server in pairs or PAIRS:
            name = f"{cases.__name__}_{client}_to_{server}"
            base = Retried if (client, server) == REAL_TO_REAL else unittest.TestCase
            made = type(name, (cases, base),
                        {"client": client, "server": server, "__module__": cases.__module__})
            setattr(module, name, needs(client, server)(made))
        return cases
    return make


class TwoHosts:
    """The namespaces, and a directory of programs for each name."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="podperf-netperf-")
        atexit.register(self.down)
        real = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "netperf"
        finish(["bash", str(ROOT / "scripts/lib/packages.sh"), "--netperf", str(real)], 120)
        self.programs = {"real": real.resolve() / "usr" / "bin"}
        if ENGINE:
            engine = Path(ENGINE).resolve()
            if not os.access(engine, os.X_OK):
                raise AssertionError(f"PODPERF_ENGINE: {engine} is not a program")
            ours = Path(self.directory.name) / "ours"
            ours.mkdir()
            (ours / "netperf").symlink_to(engine)
            (ours / "netserver").symlink_to(engine)
            self.programs["ours"] = ours
        finish([str(ROOT / "scripts/twohosts"), "up", "--prefix", PREFIX], 60)

    def down(self):
        subprocess.run([ROOT / "scripts/twohosts", "down", "--prefix", PREFIX], check=False)
        self.directory.cleanup()


def finish(words, seconds):
    """Runs a command of the project's to its end."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=seconds)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(words)}: exit {done.returncode}: {done.stdout[-2000:]}")


def two_hosts():
    global _two_hosts
    with _lock:
        if _two_hosts is None:
            _two_hosts = TwoHosts()
        return _two_hosts


def free_port():
    """A control port that no other test uses; below those that the kernel gives out."""
    with _lock:
        return next(_ports)


def path_of(name):
    """PATH with one name's netperf and netserver in front."""
    return f"{two_hosts().programs[name]}:{os.environ['PATH']}"


@dataclass(frozen=True)
class Run:
    """A program that has ended."""

    words: list
    out: bytes
    err: bytes
    status: int
    seconds: float

    @property
    def text(self):
        """Standard output, without a line of its own debugging that the real netperf lets slip where
        its timer goes off once more."""
        return self.out.decode().replace("catcher: timer popped with times_up != 0\n", "")

    def __str__(self):
        return (f"{' '.join(self.words)}: exit {self.status} after {self.seconds:.2f} s\n"
                f"stdout:\n{self.out.decode(errors='replace')[-3000:]}\n"
                f"stderr:\n{self.err.decode(errors='replace')[-3000:]}")


class Process:
    """A program under way on a host of the pair, found as a shell would: by its name, in PATH."""

    def __init__(self, name, words, place=CLIENT, **env):
        two_hosts()
        # A variable of the caller's must not decide.
        kept = {key: value for key, value in os.environ.items() if key != "DUMP_TCP_INFO"}
        self.words = list(words)
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.begun = time.monotonic()
        # ip netns exec becomes the program, so that the id is the program's.
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", f"{PREFIX}-{place}", *words], stdin=subprocess.DEVNULL,
            stdout=self.out, stderr=self.err, start_new_session=True,
            env={**kept, "LC_ALL": "C", "PATH": path_of(name), **env})
        self.pid = self.process.pid

    def signal(self, number):
        """Sends a signal to the program alone."""
        self.process.send_signal(number)

    def written(self, file):
        """What was written so far, without moving where the program writes."""
        return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)

    def end(self):
        """Ends it and what it started, at once."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(10)
        self.out.close()
        self.err.close()

    def end_if_left(self):
        """Ends it where a test failed before it did."""
        if not self.out.closed:
            self.end()

    def finish(self, seconds):
        """Waits for its end; what runs longer is ended, and that is a failure."""
        try:
            status = self.process.wait(max(0.01, self.begun + seconds - time.monotonic()))
            done = Run(self.words, self.written(self.out), self.written(self.err), status,
                       time.monotonic() - self.begun)
        except subprocess.TimeoutExpired:
            late = Run(self.words, self.written(self.out), self.written(self.err), -1,
                       time.monotonic() - self.begun)
            raise AssertionError(f"still running at its deadline: {late}") from None
        finally:
            self.end()
        return done


class Server:
    """netserver on a host of the pair, as long as the block lasts."""

    def __init__(self, name, *words, port=None, place=SERVER):
        self.name, self.place, self.port = name, place, port or free_port()
        self.words = ["netserver", "-D", "-p", str(self.port), *words]

    def __enter__(self):
        self.process = Process(self.name, self.words, self.place)
        deadline = time.monotonic() + 10
        while not listens(self.process.pid, self.port):
            if self.process.process.poll() is not None or time.monotonic() > deadline:
                words = self.process.written(self.process.out) + \
                    self.process.written(self.process.err)
                self.process.end()
                raise AssertionError(f"{' '.join(self.words)} does not listen: {words.decode()}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self.process.end()

    @property
    def pid(self):
        return self.process.pid

    def started(self, cases):
        """Starts it for all tests of a class."""
        self.__enter__()
        cases.addClassCleanup(self.__exit__)
        return self


def netperf(name, *words, seconds=30, **env):
    """Runs netperf on the client's host to its end."""
    return Process(name, ["netperf", *words], **env).finish(seconds)


def together(calls, at_once=AT_ONCE):
    """The results of calls without arguments that do not disturb each other, in their order."""
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def inside(place, make):
    """What `make` returns when called on a host of the pair: a socket stays where it was made."""
    two_hosts()
    made = []

    def enter():
        try:
            with open(f"/run/netns/{PREFIX}-{place}") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            made.append((make(), None))
        except OSError as error:
            made.append((None, error))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    value, error = made[0]
    if error:
        raise error
    return value


MESSAGE = 656  # bytes of every message on the control connection
OMNI, OMNI_ANSWER, UNKNOWN = 97, 98, 998


def message(kind, *words, auxiliary=0xFFFFFFFF):
    """A message of a type, with words of test data."""
    unsigned = (word & 0xFFFFFFFF for word in words)
    head = struct.pack(f">{2 + len(words)}I", kind, auxiliary, *unsigned)
    return head.ljust(MESSAGE, b"\0")


def receive(connection, count=MESSAGE):
    """So many bytes, or what came before the end."""
    got = b""
    while len(got) < count:
        part = connection.recv(count - len(got))
        if not part:
            break
        got += part
    return got


def words_of(text):
    """A message as words."""
    return struct.unpack(f">{len(text) // 4}I", text)


def control(port, address=SERVER4, seconds=5):
    """A control connection of our own from the client's host."""
    return inside(CLIENT, lambda: socket.create_connection((address, port), timeout=seconds))


class ScriptedServer:
    """A server of our own on the server's host: each connection goes to `serve` in a thread."""

    def __init__(self, serve):
        self.serve, self.failures = serve, []
        self.connections = []

    def __enter__(self):
        self.listener = inside(SERVER, lambda: socket.create_server(("0.0.0.0", 0)))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()
        return self

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(30)
            self.connections.append(connection)
            thread = threading.Thread(target=self.speak, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def speak(self, connection):
        try:
            with connection:
                self.serve(connection)
        except OSError as error:
            self.failures.append(error)

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            connection.close()
        for thread in self.threads:
            thread.join(5)


class Relay(ScriptedServer):
    """Passes control connections on to a netserver, and keeps the types of what was asked."""

    def __init__(self, port):
        super().__init__(self.relay)
        self.target, self.asked = port, []

    def relay(self, connection):
        # From the client's host, where data comes from as well.
        onward = inside(CLIENT, lambda: socket.create_connection((SERVER4, self.target), 5))
        onward.settimeout(30)
        with onward:
            back = threading.Thread(target=self.pump, args=(onward, connection), daemon=True)
            back.start()
            while len(text := receive(connection)) == MESSAGE:
                self.asked.append(words_of(text)[0])
                onward.sendall(text)
            onward.shutdown(socket.SHUT_WR)
            back.join(30)

    def pump(self, source, target):
        try:
            while part := source.recv(65536):
                target.sendall(part)
            target.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.failures.append(error)
