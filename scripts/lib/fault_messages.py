"""How scripts/faults plays the cases of broken or hostile messages (rows 28 to 36).

Enters: a bench. Leaves: a function a row; see fault_reaching.py.
"""

import contextlib
import random
import socket
import threading
import time

from fault_bench import LOOPBACK, SOON, drip, fault, hold, is_closed, not_applicable, quietly, until

ANOTHER = "127.0.0.2"  # an address of loopback that is not the client's
KEPT = 30  # seconds in which a peer that proves nothing has to be gone
MIB = 1 << 20


def row_28(bench):
    """A silent connection delays nobody, and is closed in 30 s."""
    server, before = bench.ready()
    silent = bench.connect()
    bench.serves(server, "beside a silent connection")
    hold(is_closed(silent, KEPT), f"a silent connection is kept for {KEPT} s")
    bench.freed(server, before)


def row_29(bench):
    """A byte a second of a first message delays nobody, and is ended in 40 s."""
    server, before = bench.ready()
    slow = bench.connect()
    tool, text = bench.tool, bench.tool.OPENING
    if tool.name == "iperf3":
        tool.open(slow)
        slow.sendall((1000).to_bytes(4, "big"))
        text = b" "
    took = []
    thread = threading.Thread(target=lambda: took.append(drip(slow, text, 40)), daemon=True)
    thread.start()
    time.sleep(1)
    bench.serves(server, "beside a slow connection")
    thread.join(60)
    hold(took and took[0] is not None, "it still listens after 40 s")
    bench.freed(server, before)
    return f"ended after {took[0]:.0f} s"


def row_30(bench):
    """Bytes that keep coming after a message was refused end within 30 s, and delay nobody."""
    server, before = bench.ready()
    end = bench.connect()
    tool = bench.tool
    if tool.name == "iperf3":
        tool.open(end)
        end.sendall(tool.message(b"{" * 100))
    elif tool.name == "podperf":
        end.sendall(b"g" * 64)
    else:
        end.sendall(tool.message(7777))
        end.sendall(b"g" * 100)
    time.sleep(0.3)
    took = []
    thread = threading.Thread(target=lambda: took.append(drip(end, b"g", KEPT + 5)), daemon=True)
    thread.start()
    bench.serves(server, "while a refused peer goes on")
    thread.join(KEPT + 20)
    hold(took and took[0] is not None, f"it still listens after {KEPT} s")
    bench.freed(server, before)


def row_31(bench):
    """Garbage is hung up on in 35 s, with a line that names its address."""
    server, before = bench.ready()
    noisy = bench.connect()
    quietly(noisy.sendall, random.Random(1).randbytes(64 << 10))
    hold(is_closed(noisy, KEPT + 5), f"a peer that talks garbage is kept for {KEPT + 5} s")
    bench.serves(server)
    bench.freed(server, before)
    port = str(noisy.getsockname()[1]) if noisy.fileno() >= 0 else LOOPBACK
    hold(port in server.said() or LOOPBACK in server.said(), "the log does not name the address")


def opened(bench):
    """A connection at the point where messages with a length begin."""
    end = bench.connect()
    bench.tool.open(end)
    return end


def row_32(bench):
    """Lengths of 0, of 4 GiB and above the limit are refused before memory is taken."""
    if bench.tool.name in ("netserver", "netperf"):
        not_applicable("its messages have one fixed length")
    server, before = bench.ready()
    memory = server.resident_bytes()
    for length in (0, 0xFFFFFFFF, 0x7FFFFFFF, 300_000):
        end = opened(bench)
        quietly(end.sendall, length.to_bytes(4, "big") + b" " * 5000)
        hold(is_closed(end, 15), f"length {length:#x}: it is kept for 15 s")
        end.close()
        bench.serves(server, f"after length {length:#x}")
    bench.freed(server, before)
    grown = server.resident_bytes() - memory
    hold(grown < 32 * MIB, f"it has grown by {grown // MIB} MiB")


def row_33(bench):
    """Messages cut short leave nothing behind."""
    server, before = bench.ready()
    tool = bench.tool
    whole = {"podperf": tool.OPENING + tool.message({"hello": {}}) if tool.name == "podperf" else b"",
             "iperf3": tool.OPENING + b"\0\0\0\x64{" if tool.name == "iperf3" else b""}
    text = whole.get(tool.name) or tool.OPENING
    for length in (1, 4, 31, 36, len(text) - 1):
        for reset in (False, True):
            end = bench.connect()
            quietly(end.sendall, text[:length])
            if reset:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            end.close()
        bench.serves(server, f"after {length} bytes of a message")
    bench.freed(server, before)


def row_34(bench):
    """Messages of wrong types, without members, with many, nested without end: none is believed."""
    server, before = bench.ready()
    tool, memory = bench.tool, server.resident_bytes()
    if tool.name == "podperf":
        plans = [tool.plan(flows="many"), tool.plan(flows=-1), tool.plan(warm_up_seconds=-1.0),
                 {"prepare": {}}, {"prepare": 7}, {"unheard": 1}, {"start": None, "stop": None}]
        texts = [tool.message(plan) for plan in plans]
        texts += [tool.message(b"[" * 200_000), tool.message(b'{"hello":' * 900),
                  tool.message(b"\xff\xfe{}"), tool.message(b"7")]
    elif tool.name == "iperf3":
        wrong = [{"tcp": "yes"}, {"parallel": "many"}, {"len": None}, {"time": {}}, {"num": []},
                 {"congestion": 7}, {"client_version": [1]}, {"authtoken": {}}]
        texts = [tool.message({**tool.PARAMETERS, **change}) for change in wrong]
        texts += [tool.message(b"[" * 5000), tool.message(b"7"), tool.message(b"null"),
                  tool.message(b"{}"), tool.message(b'{"a":' * 900), tool.message(b"\xff\xfe")]
    else:
        texts = [bytes([byte]) * tool.MESSAGE for byte in (0x7F, 0x80, 0xFF)]
        texts += [tool.message(kind) for kind in (10, 97, 300, 7777, 1 << 31)]
        texts += [tool.message(97, *[-1] * 160), tool.message(97, *[0x7FFFFFFF] * 160)]
    for number, text in enumerate(texts):
        with contextlib.suppress(OSError):
            end = opened(bench) if tool.name in ("podperf", "iperf3") else bench.connect()
            quietly(end.sendall, text)
            quietly(end.shutdown, socket.SHUT_WR)
            is_closed(end, 0.5)
            end.close()
        hold(server.alive(), f"the server is gone after message {number}")
    bench.serves(server, "after wrong messages")
    bench.freed(server, before)
    grown = server.resident_bytes() - memory
    hold(grown < 32 * MIB, f"it has grown by {grown // MIB} MiB")


def row_35(bench):
    """Messages out of their order are refused, and a stranger's cookie changes nothing."""
    server, before = bench.ready()
    tool = bench.tool
    if tool.name == "podperf":
        for texts in (["start"], ["open"], [tool.plan(), "start"], [tool.plan(), tool.plan()]):
            end = bench.connect()
            tool.greet(end)
            for text in texts:
                quietly(end.sendall, tool.message(text))
            hold(is_closed(end, 15), f"{str(texts)[:20]}: it is kept for 15 s")
            end.close()
    elif tool.name == "iperf3":
        for state in (b"\x01", b"\x02", b"\x04", b"\x0c", b"\x0d"):
            end = bench.connect()
            quietly(tool.open, end)
            quietly(end.sendall, state * 8)
            end.close()
    else:
        end = bench.connect()
        for _ in range(3):  # a test before the last one has begun
            quietly(end.sendall, tool.asked())
        is_closed(end, 3)
        end.close()
    bench.serves(server, "after messages out of order")
    bench.freed(server, before)


def row_36(bench):
    """A stranger's connection in set-up takes nobody's place."""
    server, before = bench.ready()
    tool = bench.tool
    own = bench.connect()
    if tool.name == "podperf":
        tool.greet(own)
        own.sendall(tool.message(tool.plan()))
        session = tool.answer(own)["connect"]["session"]
        stranger = bench.connect(source=ANOTHER)
        stranger.sendall(tool.data_opening("07" * 16, 0))
        hold(is_closed(stranger, 15), "a stranger's stream is kept")
        data = bench.connect()
        data.sendall(tool.data_opening(session, 0))
        hold("ready" in (tool.answer(own) or {}), "the run does not go on")
    elif tool.name == "iperf3":
        # With a type of service asked for, which the server sets on each stream.
        hold(tool.prepared(own, TOS=8) == b"\x0a", "no streams are waited for")
        stranger = bench.connect(source=ANOTHER)
        stranger.sendall(b"x" * 36 + b"\0")
        is_closed(stranger, 2)
        data = bench.connect()
        data.sendall(tool.COOKIE)
        states = own.recv(2)
        hold(states[:1] == b"\x01", "the victim's test is ended")
    else:
        own.sendall(tool.asked())
        port = tool.words_of(own)[13]
        with contextlib.suppress(OSError):
            stranger = bench.connect(port, source=ANOTHER)
            stranger.sendall(b"stranger")
        time.sleep(0.2)
        data = bench.connect(port)
        data.sendall(b"x" * 1000)
        data.shutdown(socket.SHUT_WR)
        own.settimeout(5)
        try:
            results = tool.words_of(own)
        except TimeoutError:
            fault("the first comer, a stranger, has the place")
        hold(len(results) > 3 and results[3] == 1000, "a stranger's bytes are counted")
    own.close()
    data.close()
    hold(until(lambda: bench.quick(limit=SOON).status == 0, 20) is not None,
         "the next client is not served in 20 s")
    bench.freed(server, before)
