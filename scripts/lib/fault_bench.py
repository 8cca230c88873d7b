"""Where a case of scripts/faults is played: programs of one tool in network namespaces, peers that
speak byte by byte, and ways to look at a server from outside.

Enters: a tool and a port that is its own. Leaves: verdicts. Whatever was started or opened is ended,
by its id, when the bench is closed.
"""

import contextlib
import ctypes
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import netns
from listening import listens

LOOPBACK = "127.0.0.1"
SOON = 5  # seconds in which the next client has to be served
PASS, FAULT, NOT_APPLICABLE, NOT_PLAYED = "pass", "fault", "not applicable", "not played"


@dataclass(frozen=True)
class Verdict:
    """What a case showed of a tool, and in a few words why."""

    state: str
    why: str = ""

    def __str__(self):
        # Ports differ from run to run.
        why = re.sub(r"\b2[1-9]\d{3}\b", "PORT", self.why.replace("|", "/"))
        return f"{self.state}: {why}" if why else self.state


class Decided(Exception):
    """A case is decided; the rest of it need not be played."""

    def __init__(self, state, why):
        super().__init__(why)
        self.verdict = Verdict(state, why)


def fault(why):
    """Ends the case: that is wrong."""
    raise Decided(FAULT, why)


def not_applicable(why):
    """Ends the case: the tool has nothing that it could go wrong with."""
    raise Decided(NOT_APPLICABLE, why)


def not_played(why):
    """Ends the case: this machine cannot play it."""
    raise Decided(NOT_PLAYED, why)


def with_words(options):
    """What a verdict adds where a client was given options."""
    return f"with {options[0]}" if options else ""


def hold(condition, why):
    """What has to be so."""
    if not condition:
        fault(why)


def need_root():
    if os.geteuid() != 0:
        not_played("needs root")


def until(done, seconds):
    """Looks again and again; the seconds it took, or None."""
    begun = time.monotonic()
    while time.monotonic() < begun + seconds:
        if done():
            return time.monotonic() - begun
        time.sleep(0.02)
    return None


@dataclass(frozen=True)
class Done:
    """A program that has ended, or was ended because it did not."""

    status: int | None  # as a shell says it; None: it had to be ended
    out: str
    err: str
    seconds: float

    @property
    def text(self):
        return self.out + self.err

    def last_words(self):
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return lines[-1][:160] if lines else "nothing"


class Program:
    """A program under way, with what it writes."""

    def __init__(self, directory, number, command, **options):
        paths = [Path(directory, f"{number}.{name}") for name in ("out", "err")]
        self.paths, self.command = paths, command
        self.begun = time.monotonic()
        with paths[0].open("wb") as out, paths[1].open("wb") as err:
            options = {"stdout": out, "stderr": err, **options}
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                            start_new_session=True, **options)
        self.pid = self.process.pid

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        """To the program and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def said(self):
        return "".join(path.read_text(errors="replace") for path in self.paths)

    def wait(self, seconds):
        """Its end, or that it did not end within `seconds` from now."""
        try:
            status = self.process.wait(seconds)
            status = 128 - status if status < 0 else status
        except subprocess.TimeoutExpired:
            status = None
            self.end()
        return Done(status, *(path.read_text(errors="replace") for path in self.paths),
                    time.monotonic() - self.begun)

    def end(self):
        for number in (signal.SIGCONT, signal.SIGKILL):
            self.signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)

    def held(self):
        """Threads, descriptors and child processes."""
        task = Path(f"/proc/{self.pid}/task")
        return (len(os.listdir(task)), len(os.listdir(f"/proc/{self.pid}/fd")),
                len(children(self.pid)))

    def resident_bytes(self):
        """Resident memory, children's too."""
        return sum(status_bytes(pid, "VmRSS") for pid in (self.pid, *children(self.pid)))

    def cpu_seconds(self):
        """CPU time that it took so far, without its children's."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return []


def status_bytes(pid, name):
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) << 10
    return 0


class Bench:
    """One case played with one tool."""

    def __init__(self, tool, port, directory, places, shared):
        self.tool, self.port, self.directory, self.places = tool, port, directory, places
        self.shared = shared  # locks and files that cases share
        self.stack = contextlib.ExitStack()
        self.started = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def start(self, command, place=None, before=(), **options):
        """Starts a program in a namespace, by default the server's, behind the words `before`."""
        command = [*before, *command]
        if place:
            command = netns.inside(self.places[place], command)
        self.started += 1
        program = Program(self.directory, f"{self.port}-{self.started}", command, **options)
        self.stack.callback(program.end)
        return program

    def serve(self, *extra, before=(), port=None, **options):
        """Starts the tool's server and waits until it listens."""
        port = port or self.port
        server = self.start(self.tool.server(port, *extra), before=before, **options)
        if until(lambda: listens(server.pid, port) or not server.alive(), 10) is None \
                or not server.alive():
            raise netns.Failed(f"{self.tool.name}: its server does not listen: {server.said()}")
        return server

    def client(self, host=LOOPBACK, place=None, before=(), port=None, options=(), **wishes):
        """Starts the tool's client."""
        command = self.tool.client(host, port or self.port, **wishes)
        return self.start([*command[:1], *command[1:], *options], place, before)

    def run(self, *arguments, limit=30, **wishes):
        """Runs the tool's client to its end."""
        return self.client(*arguments, **wishes).wait(limit)


    def quick(self, host=LOOPBACK, place=None, limit=SOON, port=None, before=()):
        """A short run."""
        return self.start(self.tool.quick(host, port or self.port), place, before).wait(limit)

    def serves(self, server, what="afterwards", within=SOON):
        """The server lives, and the next client is served; else the case is decided."""
        hold(server.alive(), f"the server is gone {what}")
        done = self.quick(limit=within)
        if done.status is None:
            fault(f"the next client still waits after {within} s {what}")
        hold(done.status == 0, f"the next client fails {what}: {done.last_words()}")

    def ready(self, *extra, **options):
        """A server that has served once, and what it holds at rest."""
        server = self.serve(*extra, **options)
        self.serves(server, "at the start")
        self.settle(server)
        return server, server.held()

    def settle(self, server):
        """Waits until a server holds no more than before, for half a second."""
        last, since, deadline = None, time.monotonic(), time.monotonic() + 5
        while time.monotonic() < min(deadline, since + 0.5):
            if (now := server.held()) != last:
                last, since = now, time.monotonic()
            time.sleep(0.05)

    def freed(self, server, before, within=15, what="afterwards"):
        """Threads, descriptors and children are what they were."""
        def done():
            return all(now <= then for now, then in zip(server.held(), before))

        if until(done, within) is None:
            names = ("threads", "descriptors", "children")
            left = [f"{now - then} {name}" for now, then, name in
                    zip(server.held(), before, names) if now > then]
            fault(f"{', '.join(left)} are left after {within} s {what}")

    def connect(self, port=None, source=None, kind=socket.SOCK_STREAM):
        """A connection of our own to the server, from another address of loopback if so said."""
        end = self.stack.enter_context(socket.socket(socket.AF_INET, kind))
        end.settimeout(10)
        if source:
            end.bind((source, 0))
        end.connect((LOOPBACK, port or self.port))
        return end

    def listen(self, serve):
        """A peer of our own; each connection goes to `serve` in a thread. Its port."""
        listener = self.stack.enter_context(socket.create_server((LOOPBACK, 0)))

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.settimeout(30)
                self.stack.callback(connection.close)
                threading.Thread(target=quietly, args=(serve, connection), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return listener.getsockname()[1]

    def rules_out(self, *rules):
        """The same for what leaves the server's namespace."""
        return self.rules(*rules, hook="output")

    @contextlib.contextmanager
    def rules(self, *rules, hook="input", place="server"):
        """Rules of nft in a namespace, in a table of this case's own."""
        need_root()
        table = f"fault{self.port}{hook}"
        lines = [f"add table inet {table}",
                 f"add chain inet {table} c {{ type filter hook {hook} priority 0; }}",
                 *(f"add rule inet {table} c {rule}" for rule in rules)]
        netns.call(*netns.inside(self.places[place], ["nft", "; ".join(lines)]))
        try:
            yield
        finally:
            netns.call(*netns.inside(self.places[place], ["nft", f"delete table inet {table}"]))

    def data_connections(self, least_bytes=1 << 16):
        """Local ports of clients' connections that have carried data, the busiest last."""
        table = subprocess.run(
            ["ss", "-tniHO", "state", "established", f"dport = :{self.port}"],
            capture_output=True, text=True).stdout
        found = []
        for line in table.splitlines():
            words = dict(word.split(":", 1) for word in line.split() if ":" in word)
            moved = max(int(words.get(key, 0)) for key in ("bytes_acked", "bytes_received"))
            if moved >= least_bytes:
                found.append((moved, int(line.split()[2].rpartition(":")[2])))
        return [port for _, port in sorted(found)]


def quietly(call, *arguments):
    """What a peer of our own says may meet a closed connection."""
    with contextlib.suppress(OSError):
        return call(*arguments)


def is_closed(connection, within):
    """The peer ends the connection within so many seconds, with or without words."""
    deadline = time.monotonic() + within
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([connection], [], [], left)[0]:
            return False
        try:
            if not connection.recv(65536):
                return True
        except OSError:
            return True
    return False


def drip(connection, text, within, pause=1.0):
    """Sends a byte after the other, over and over; the seconds until the peer hangs up, or None."""
    begun = time.monotonic()
    at = 0
    while time.monotonic() < begun + within:
        try:
            connection.sendall(text[at % len(text):][:1])
            if select.select([connection], [], [], pause)[0] and not connection.recv(65536):
                return time.monotonic() - begun
        except OSError:
            return time.monotonic() - begun
        at += 1
    return None


def receive(connection, count):
    """So many bytes, or what came before the end."""
    got = b""
    while len(got) < count and (part := connection.recv(count - len(got))):
        got += part
    return got


def enter(namespace):
    """The calling thread, and those it starts, are in a network namespace from now on."""
    with open(f"/run/netns/{namespace}", encoding="ascii") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")
