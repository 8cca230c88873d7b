#!/usr/bin/env python3
"""Floods a server from one address with connections that are no client's: silent ones, half-open
handshakes, wrong guesses of its secret, and garbage; on request with forged SYNs too.

    python3 flood.py TOOL ADDRESS PORT [--syn RATE]

Enters: which tool's wire (fault_tools.py), and where the server is. It goes on until SIGTERM or SIGINT.
Leaves: as JSON, how many connections of each kind it made, how many were refused, the seconds, and the
CPU time that it took itself.
"""

import argparse
import collections
import errno
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass, field

import fault_tools

SILENT = 2000  # kept open; who is closed comes again
HALF_OPEN_PER_SECOND = 1000
GUESSES_PER_SECOND = 100
GARBAGE_PER_SECOND = 50
STEP_SECONDS = 0.005
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: no port waits after the end


@dataclass
class Kind:
    """Connections of one kind."""

    name: str
    text: bytes  # what they say, once
    rate: float  # new ones a second
    most: int  # open at a time
    made: int = 0
    ended: int = 0  # by the server
    failed: int = 0
    open: collections.OrderedDict = field(default_factory=collections.OrderedDict)


def kinds(tool):
    """What a tool's server is flooded with."""
    draw = random.Random(1)
    if tool.name == "podperf":
        greeting = tool.OPENING + tool.message(tool.HELLO)
        guess = greeting + tool.message({"prove": {"proof": "00" * 32}})
    elif tool.name == "iperf3":
        greeting = tool.COOKIE
        guess = tool.COOKIE + tool.message({**tool.PARAMETERS, "authtoken": "d3Jvbmc="})
    else:
        greeting = tool.OPENING[:8]
        guess = tool.message(tool.PASSPHRASE)[:8] + b"wrong".ljust(648, b"\0")
    return [Kind("silent", b"", SILENT, SILENT),
            Kind("half-open", greeting, HALF_OPEN_PER_SECOND, 6 * HALF_OPEN_PER_SECOND),
            Kind("guesses", guess, GUESSES_PER_SECOND, 10 * GUESSES_PER_SECOND),
            Kind("garbage", draw.randbytes(3000), GARBAGE_PER_SECOND, 10 * GARBAGE_PER_SECOND)]


class Flood:
    def __init__(self, all_kinds, address):
        self.kinds, self.address = all_kinds, address
        self.epoll = select.epoll()
        self.owners = {}  # descriptor -> kind, socket
        self.ended = False

    def run(self):
        begun = last = time.monotonic()
        due = dict.fromkeys((kind.name for kind in self.kinds), 0.0)
        while not self.ended:
            now = time.monotonic()
            for kind in self.kinds:
                # What could not be kept up with is not made up for.
                due[kind.name] = min(due[kind.name] + kind.rate * (now - last), kind.rate / 10)
                while due[kind.name] >= 1:
                    due[kind.name] -= 1
                    self.open(kind)
            last = now
            for descriptor, events in self.epoll.poll(STEP_SECONDS, 4096):
                self.look(descriptor, events)
        return time.monotonic() - begun

    def open(self, kind):
        if len(kind.open) >= kind.most:
            if kind.name == "silent":
                return
            self.close(next(iter(kind.open)))
        end = socket.socket()
        end.setblocking(False)
        if end.connect_ex(self.address) not in (0, errno.EINPROGRESS):
            kind.failed += 1
            end.close()
            return
        kind.made += 1
        kind.open[end.fileno()] = end
        self.owners[end.fileno()] = kind, end
        self.epoll.register(end, select.EPOLLOUT if kind.text else select.EPOLLIN)

    def look(self, descriptor, events):
        kind, end = self.owners[descriptor]
        try:
            if events & select.EPOLLOUT:
                end.send(kind.text)
                self.epoll.modify(descriptor, select.EPOLLIN)
            elif not end.recv(65536):
                raise ConnectionError
        except BlockingIOError:
            pass
        except OSError:
            kind.ended += 1
            self.close(descriptor)

    def close(self, descriptor):
        kind, end = self.owners.pop(descriptor)
        del kind.open[descriptor]
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        end.close()


def checksum(text):
    total = sum(struct.unpack(f">{len(text) // 2}H", text))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def syns(address, rate, is_ended):
    """Sends SYNs of forged senders in the server's own network; how many."""
    host, port = address
    target = socket.inet_aton(host)
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    draw, sent, begun = random.Random(2), 0, time.monotonic()
    while not is_ended():
        while sent < rate * (time.monotonic() - begun):
            source = target[:3] + bytes([draw.randrange(50, 250)])
            head = struct.pack(">HHIIHHHH", draw.randrange(1024, 65536), port, draw.getrandbits(32), 0,
                               0x5002, 64240, 0, 0)
            pseudo = source + target + struct.pack(">HH", 6, len(head))
            tcp = head[:16] + struct.pack(">H", checksum(pseudo + head)) + head[18:]
            ip = struct.pack(">BBHHHBBH", 0x45, 0, 40, draw.getrandbits(16), 0, 64, 6, 0) + source + target
            try:
                raw.sendto(ip + tcp, (host, 0))
            except OSError:
                break
            sent += 1
        time.sleep(STEP_SECONDS)
    return sent


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", choices=fault_tools.TOOLS)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--syn", type=int, default=0, metavar="RATE", help="forged SYNs a second")
    settings = parser.parse_args()
    address = (settings.address, settings.port)
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    flood = Flood(kinds(fault_tools.TOOLS[settings.tool]("")), address)

    def end(*_):
        flood.ended = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    child = 0
    if settings.syn:
        child = os.fork()
        if child == 0:
            sent = syns(address, settings.syn, lambda: flood.ended)
            sys.stderr.write(f"{sent} SYNs\n")
            os._exit(0)
    seconds = flood.run()
    if child:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
    used = os.times()
    told = {kind.name: {"made": kind.made, "ended_by_server": kind.ended, "failed": kind.failed,
                        "open": len(kind.open)} for kind in flood.kinds}
    told |= {"seconds": seconds, "cpu_seconds": sum(used[:4])}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
