"""The tools that scripts/faults plays its cases with: their command lines and their wires.

Enters: where a server is. Leaves: command lines, and messages byte by byte. Starts nothing, but for what
installs a peer that is missing.
"""

import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import netns


class Podperf:
    """`podperf serve`, and podperf as its client."""

    name = "podperf"
    ours = True
    # Options that bound the client's waits for a connection and for answers to 5 s: its defaults.
    connect_patience = peer_patience = ()

    def __init__(self, path):
        self.path = path

    def version_command(self):
        return [self.path, "--version"]

    def server(self, port, *extra):
        return [self.path, "serve", "-p", str(port), *extra]

    def bound(self, address):
        return ["--bind", address]

    def client(self, host, port, seconds=1, streams=1, reverse=False, json=False):
        return [self.path, "stream", host, "-p", str(port), "-t", str(seconds), "-O", "0.1",
                "-P", str(streams), *["-R"] * reverse, *["-J"] * json]

    def quick(self, host, port):
        return [self.path, "rr", host, "-p", str(port), "-n", "100"]

    # Its wire: a preamble of 32 bytes, then messages of four bytes of length and so much JSON.
    OPENING = b"podperf\n" + struct.pack(">HBBI", 1, 0, 0, 0) + bytes(16)
    HELLO = {"hello": {"podperf": "0", "features": [], "nonce": "0" * 32, "token": False,
                       "boot_id": None}}

    @staticmethod
    def message(what):
        text = what if isinstance(what, bytes) else json.dumps(what).encode()
        return struct.pack(">I", len(text)) + text

    @staticmethod
    def answer(connection):
        """The next message that is no heartbeat; None at the end of the connection."""
        while True:
            head = received(connection, 4)
            if len(head) < 4:
                return None
            text = json.loads(received(connection, struct.unpack(">I", head)[0]))
            if text != "heartbeat":
                return text

    def open(self, connection):
        """Says what every client says first, and hears the server's."""
        connection.sendall(self.OPENING)
        received(connection, 32)

    def greet(self, connection):
        """The same, until the server asks for a plan."""
        self.open(connection)
        connection.sendall(self.message(self.HELLO))
        self.answer(connection)
        return self.answer(connection)

    @staticmethod
    def plan(**changed):
        plan = {
            "workload": {"kind": "stream", "direction": "up", "message_bytes": 1024,
                         "send": "write", "receive": "read"},
            "stop_condition": {"kind": "time", "window_seconds": 1.0},
            "warm_up_seconds": 0.0, "interval_seconds": 1.0, "flows": 1,
            "client": {"workers": None, "pin": "none"}, "server": {"workers": None, "pin": "none"},
            "socket": {"congestion_control": None, "buffer_bytes": None, "mss_bytes": None,
                       "pacing_bits_per_second": None, "dscp": None, "no_delay": False}}
        return {"prepare": {"plan": {**plan, **changed}}}

    def data_opening(self, session, stream):
        return b"podperf\n" + struct.pack(">HBBI", 1, 1, 0, stream) + bytes.fromhex(session)


class Netperf:
    """netserver and netperf, the real ones."""

    name = "netperf"
    ours = False
    connect_patience = peer_patience = ()  # it has none
    MESSAGE = 656  # bytes of every message of the control connection
    OMNI, PASSPHRASE = 97, 6

    def __init__(self, path):
        """`path` is netperf's; netserver stands beside it."""
        self.path, self.server_path = path, str(Path(path).parent / "netserver")

    def version_command(self):
        return [self.path, "-V"]

    def server(self, port, *extra):
        return [self.server_path, "-D", "-p", str(port), *extra]

    def bound(self, address):
        return ["-L", address]

    def client(self, host, port, seconds=1, streams=1, reverse=False, json=False):
        return [self.path, "-H", host, "-p", str(port), "-t",
                "TCP_MAERTS" if reverse else "TCP_STREAM", "-l", str(seconds)]

    def quick(self, host, port):
        return [self.path, "-H", host, "-p", str(port), "-t", "TCP_RR", "-l", "-100"]

    # Its wire: 656 bytes a message, words of four bytes, big-endian.
    @classmethod
    def message(cls, kind, *words):
        unsigned = (word & 0xFFFFFFFF for word in words)
        return struct.pack(f">{2 + len(words)}I", kind, 0xFFFFFFFF, *unsigned).ljust(cls.MESSAGE, b"\0")

    # A stream to the server; what each word is stands in crates/netperf/src/wire/ask.rs.
    STREAM = [-1, -1, 8, 0, 2, -1, -1, -1, 8, 0, 0, -1, 0x28, 0, 1, 0, 0, -1, -1, -1, 0, 4, 1, 6, 4,
              0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1]

    @classmethod
    def asked(cls, fill_file="", **changed):
        """The request of a test with some words changed, by their index."""
        words = list(cls.STREAM)
        for at, value in changed.items():
            words[int(at[1:])] = value
        text = bytearray(cls.message(cls.OMNI, *words))
        text[176:208] = fill_file.encode().ljust(32, b"\0")
        return bytes(text)

    @classmethod
    def words_of(cls, connection):
        text = received(connection, cls.MESSAGE)
        return struct.unpack(f">{len(text) // 4}I", text[:len(text) // 4 * 4])

    OPENING = struct.pack(">2I", 97, 0xFFFFFFFF).ljust(656, b"\0")


class Netserver(Netperf):
    """podperf called as netserver and netperf."""

    name = "netserver"
    ours = True
    connect_patience = peer_patience = ("--peer-timeout", "5")

    def server(self, port, *extra):
        return [*super().server(port, *extra), "-d"]

    def client(self, host, port, seconds=1, streams=1, reverse=False, json=False):
        extra = ["--streams", str(streams)] if streams > 1 else []
        return [*super().client(host, port, seconds, streams, reverse), *extra,
                *["--json"] * json]


class Iperf3:
    """iperf3, server and client."""

    name = "iperf3"
    ours = False
    connect_patience = ("--connect-timeout", "5000")
    peer_patience = ()  # what it has is for the end that receives

    def __init__(self, path):
        self.path = path

    def version_command(self):
        return [self.path, "--version"]

    def server(self, port, *extra):
        return [self.path, "-s", "-p", str(port), "--forceflush", *extra]

    def bound(self, address):
        return ["-B", address]

    def client(self, host, port, seconds=1, streams=1, reverse=False, json=False):
        return [self.path, "-c", host, "-p", str(port), "-t", str(seconds), "-P", str(streams),
                "--forceflush", *["-R"] * reverse, *["-J"] * json]

    def quick(self, host, port):
        return [self.path, "-c", host, "-p", str(port), "-n", "1K"]

    # Its wire: a cookie of 37 bytes, a state of one byte, parameters as JSON behind their length.
    COOKIE = b"faultfaultfaultfaultfaultfaultfault1\0"
    OPENING = COOKIE
    PARAMETERS = {"tcp": True, "omit": 0, "time": 5, "num": 0, "blockcount": 0, "parallel": 1,
                  "len": 131072, "pacing_timer": 1000, "client_version": "3.12"}

    @staticmethod
    def message(what):
        text = what if isinstance(what, bytes) else json.dumps(what).encode()
        return struct.pack(">I", len(text)) + text

    def open(self, connection):
        """Says the cookie, and hears that parameters are waited for."""
        connection.sendall(self.COOKIE)
        return received(connection, 1)

    def prepared(self, connection, **changed):
        """The same, with parameters; the server's next state."""
        self.open(connection)
        connection.sendall(self.message({**self.PARAMETERS, **changed}))
        return received(connection, 1)


TOOLS = {tool.name: tool for tool in (Podperf, Netserver, Iperf3, Netperf)}


def received(connection, count):
    got = b""
    while len(got) < count and (part := connection.recv(count - len(got))):
        got += part
    return got


def default_podperf(root):
    """Where cargo puts it."""
    return str(Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "release" / "podperf")


def some_of(known):
    """A parser of names out of those, with commas between."""
    def parse(text):
        words = text.split(",")
        for word in words:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word!r}: one of {', '.join(known)}")
        return tuple(dict.fromkeys(words))

    return parse


def find(wanted, podperf, directory, root):
    """Name -> tool; peers are had as scripts/compare-peers has them, netperf's names by links."""
    program = shutil.which(podperf)
    if not program:
        raise netns.Failed(f"{podperf} is no program: build it, or name one with --podperf")
    program = str(Path(program).resolve())
    links = Path(directory) / "links"
    links.mkdir()
    for name in ("netperf", "netserver"):
        (links / name).symlink_to(program)
    found = {}
    for name in wanted:
        path = {"podperf": program, "netserver": str(links / "netperf")}.get(name)
        path = path or find_peer(name, root)
        if path:
            found[name] = TOOLS[name](path)
        else:
            print(f"left out: {name}", file=sys.stderr)
    if not found:
        raise netns.Failed("no tool to play with")
    return found


def find_peer(name, root):
    """Path of a peer's program, or None."""
    unpacked = root / "target" / "peers"
    wish = ["--netperf", str(unpacked)] if name == "netperf" else [name, name]
    if not shutil.which(name):
        subprocess.run(["bash", str(netns.SCRIPTS / "lib" / "packages.sh"), *wish],
                       stdin=subprocess.DEVNULL, check=False)
    local = unpacked / "usr" / "bin" / name
    return shutil.which(name) or (str(local) if local.exists() else None)
