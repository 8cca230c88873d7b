"""How scripts/faults plays the cases of hostile or broken control traffic (rows 28 to 47).

Enters: a bench. Leaves: a function a row; see fault_reaching.py.
"""

import contextlib
import json
import os
import random
import re

import socket
import subprocess
import threading
import time
from pathlib import Path

from fault_bench import (LOOPBACK, SOON, Done, drip, fault, hold, is_closed, need_root,
                         not_applicable, not_played, quietly, until, with_words)
from fault_reaching import failed, names
from fault_running import CGROUPS, quiet_rmdir

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
        texts += [tool.message(kind) + bytes([byte]) * 0 for kind in (10, 97, 300, 7777, 1 << 31)
                  for byte in (0,)]
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


def row_37(bench):
    """Huge numbers from a client are refused before memory is taken."""
    server, before = bench.ready()
    tool, memory = bench.tool, server.resident_bytes()
    if tool.name == "podperf":
        workload = tool.plan()["prepare"]["plan"]["workload"]
        for plan in (tool.plan(flows=1 << 31), tool.plan(warm_up_seconds=1e12),
                     tool.plan(workload={**workload, "message_bytes": 1 << 50}),
                     tool.plan(flows=16384, workload={**workload, "message_bytes": 64 * MIB},
                               server={"workers": 1024, "pin": "none"})):
            end = bench.connect()
            tool.greet(end)
            end.sendall(tool.message(plan))
            answer = tool.answer(end) or {}
            hold("refused" in answer, "it is accepted")
            end.close()
    elif tool.name == "iperf3":
        for change in ({"parallel": 1 << 30}, {"len": 1 << 30}, {"window": 1 << 30},
                       {"parallel": 128, "len": MIB}, {"time": 1 << 30, "omit": 1 << 30}):
            end = bench.connect()
            quietly(lambda: tool.prepared(end, **change))
            data = bench.connect()
            quietly(data.sendall, tool.COOKIE)
            time.sleep(0.3)
            hold(server.resident_bytes() - memory < 256 * MIB, "it takes the memory")
            end.close()
            data.close()
            hold(server.alive(), f"{change}: the server is gone")
            time.sleep(1)
    else:
        huge = 0x7FFFFFFF
        for change in ({"w1": huge, "w24": 2}, {"w7": huge}, {"w4": huge, "w24": 2}, {"w10": huge},
                       {"w5": huge, "w11": huge, "w24": 6}, {"w14": huge}):
            end = bench.connect()
            end.sendall(tool.asked(**change))
            end.settimeout(5)
            with contextlib.suppress(OSError):
                answer = tool.words_of(end)
                if len(answer) > 13 and answer[1] == 0 and answer[13]:
                    data = bench.connect(answer[13])
                    data.settimeout(1)
                    is_closed(data, 0.3)
                    data.close()
            grown = server.resident_bytes() - memory
            hold(grown < 256 * MIB, f"{change}: it takes {grown // MIB} MiB")
            end.close()
    bench.serves(server, "after huge numbers")
    bench.freed(server, before)


def row_38(bench):
    """Wrong numbers on the command line are usage errors, before any traffic."""
    listener = bench.stack.enter_context(socket.create_server((LOOPBACK, 0)))
    listener.setblocking(False)
    tool, port = bench.tool, listener.getsockname()[1]
    if tool.name in ("podperf", "iperf3"):
        lines = [["-P", "4x"], ["-P", "-1"], ["-l", "-5"], ["-t", "-1"], ["-p", "70000"],
                 ["-l", "99999999999T"], ["-P", "99999999999"]]
    else:
        lines = [["-l", "4x"], ["-p", "70000"], ["-p", "-7"], ["--", "-m", "-5"], ["--", "-m", "5x"],
                 ["--", "-m", "99999999999T"]]
    for words in lines:
        command = [*tool.client(LOOPBACK, port), *words]
        if "-p" in words:
            command = [word for at, word in enumerate(command)
                       if command[at - 1:at + 1] != ["-p", str(port)] and
                       command[at:at + 2] != ["-p", str(port)]]
        done = bench.start(command).wait(3)
        line = " ".join(words)
        hold(done.status is not None, f"{line}: accepted, and it runs")
        with contextlib.suppress(BlockingIOError):
            listener.accept()
            fault(f"{line}: it connects all the same")
        hold(done.status != 0, f"{line}: exit status 0")
        hold(done.status < 128, f"{line}: it ends by a signal")
    return f"exit {done.status}"


def row_39(bench):
    """A file of the server's that a client names is not opened."""
    tool = bench.tool
    if tool.name in ("podperf", "iperf3"):
        not_applicable("its protocol has no place for the name of a file")
    fifo = f"/tmp/pf{bench.port}"  # a name on the wire has 31 bytes
    os.mkfifo(fifo)
    bench.stack.callback(os.unlink, fifo)
    bench.serve()
    end = bench.connect()
    end.sendall(tool.asked(fill_file=fifo, w24=2))

    def opened_by_server():
        # Succeeds when, and only when, somebody has it open for reading.
        try:
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    hold(until(opened_by_server, 2) is None, "the server opens it")


def row_40(bench):
    """A client from another host does not choose the server's CPU."""
    need_root()
    if os.cpu_count() < 2:
        not_played("needs two CPUs")
    server = bench.serve()
    words = {"podperf": ["--server-pin", "1"], "iperf3": ["-A", "0,1"]}
    client = bench.client("192.0.2.1", place="one", seconds=2,
                          options=words.get(bench.tool.name, ["-T", ",1"]))
    pinned = False
    while client.alive():
        for pid in (server.pid, *children(server)):
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    pinned |= os.sched_getaffinity(int(task)) == {1}
        time.sleep(0.05)
    done = client.wait(10)
    hold(not pinned, "the server runs on the CPU that the client named")
    if done.status != 0:
        names(done, "affinity", "pin", "CPU")
        return f"refused: exit {done.status}"
    return "the server goes on without"


def children(server):
    from fault_bench import children as of
    return map(int, of(server.pid))


def row_41(bench):
    """A hundred clients at once are served, or told that the server is busy."""
    with bench.shared["heavy"]:
        server, before = bench.ready()
        clients = [bench.start(bench.tool.quick(LOOPBACK, bench.port)) for _ in range(100)]
        done = [client.wait(60) for client in clients]
        served = sum(one.status == 0 for one in done)
        lost = [one for one in done if one.status != 0 and not re.search("busy|limited to", one.text)]
        if lost:
            hung = sum(one.status is None for one in lost)
            fault(f"{served} are served, {hung} hang, of {len(lost)} one says: "
                  f"{lost[0].last_words()}")
        bench.serves(server, "after a hundred")
        bench.freed(server, before)
    return f"{served} served" + (f", {100 - served} told which limit" if served < 100 else "")


def row_42(bench):
    """Out of descriptors a server waits, without spinning, and serves again."""
    few = ("sh", "-c", "ulimit -n 64 && exec \"$0\" \"$@\"")
    server = bench.serve(before=few)
    bench.serves(server, "at the start")
    used = server.cpu_seconds()
    idle = []
    for _ in range(200):
        with contextlib.suppress(OSError):
            idle.append(bench.connect())
    time.sleep(2)
    hold(server.alive(), "the server is gone")
    used = server.cpu_seconds() - used
    hold(used < 1.5, f"it spins: {used:.1f} s of CPU in 2 s")
    for end in idle:
        end.close()
    hold(until(lambda: bench.quick(limit=SOON).status == 0, 20) is not None,
         "it does not serve again in 20 s")


def row_43(bench):
    """At a limit of threads or processes a test is refused, and the server serves on."""
    need_root()
    group = CGROUPS / "pids" / f"podperf-faults-{os.getpid()}-{bench.port}"
    if not (CGROUPS / "pids" / "cgroup.procs").exists():
        not_played("there is no cgroup hierarchy that limits processes")
    group.mkdir()
    try:
        server = bench.serve(before=(
            "sh", "-c", f"echo $$ >{group}/cgroup.procs && exec \"$0\" \"$@\""))
        bench.serves(server, "at the start")
        bench.settle(server)
        # As many as there are: not one more.
        now = int((group / "pids.current").read_text())
        (group / "pids.max").write_text(str(now))
        done = bench.run(streams=4, seconds=1, limit=15)
        hold(server.alive(), "the server is gone")
        hold(done.status is not None, "its client still waits after 15 s")
        if done.status != 0:
            names(done, "thread", "process", "busy", "esource", "limit")
        (group / "pids.max").write_text("max")
        hold(until(lambda: bench.quick(limit=SOON).status == 0, 15) is not None,
             "it does not serve again")
        return "it needs none" if done.status == 0 else f"its client is told: exit {done.status}"
    finally:
        bench.stack.close()
        until(lambda: quiet_rmdir(group), 5)


def row_44(bench):
    """Where memory ends a session may end, and not the server."""
    with bench.shared["heavy"]:
        # Address space for the program and some 300 MiB more.
        server = bench.serve(before=("sh", "-c", "ulimit -v 600000 && exec \"$0\" \"$@\""))
        bench.serves(server, "at the start")
        tool = bench.tool
        if tool.name == "podperf":
            done = bench.run(streams=32, options=["-l", "64M", "--server-workers", "32"], limit=15)
        elif tool.name == "iperf3":
            done = bench.run(streams=128, options=["-l", "1M", "-w", "8M"], limit=15)
        else:
            done = bench.run(options=["--", "-m", "300M", "-M", "900M"], limit=15)
        hold(server.alive(), "the server is gone")
        hold(done.status is not None, "its client still waits after 15 s")
        bench.serves(server, "after a run beyond its memory")
    return "it fits" if done.status == 0 else f"refused: exit {done.status}"


def row_45(bench):
    """Datagrams of an address that has proved nothing are not answered by more than they are."""
    bench.serve()
    tool = bench.tool
    stranger = bench.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    stranger.bind((ANOTHER, 0))
    if tool.name == "podperf":
        port, texts = bench.port, [tool.OPENING, b"podperf\n" + bytes(56), bytes(1470)]
    elif tool.name == "iperf3":
        end = bench.connect()
        end.settimeout(3)
        tool.prepared(end, tcp=False, udp=True, reverse=True, time=2, len=1460, bandwidth=1 << 27)
        port, texts = bench.port, [(0x36373839).to_bytes(4, "little")]
    else:
        end = bench.connect()
        end.sendall(tool.asked(w24=6, w22=2, w23=17, w5=1, w11=65507, w1=-1, w7=-1, w14=3))
        answer = tool.words_of(end)
        if answer[1] != 0:
            return f"refused: {os.strerror(answer[1])}"
        port, texts = answer[13], [b"?"]
    sent = sum(len(text) for text in texts)
    for text in texts:
        stranger.sendto(text, (LOOPBACK, port))
    if tool.name == "iperf3":  # it starts when the client says so
        quietly(lambda: end.recv(2))
    got, stranger_until = 0, time.monotonic() + 3
    while (left := stranger_until - time.monotonic()) > 0:
        stranger.settimeout(left)
        with contextlib.suppress(TimeoutError):
            got += len(stranger.recv(65536))
    hold(got <= 3 * sent, f"{got} bytes for {sent}")
    return f"{got} bytes for {sent}"


def row_47(bench):
    """Guesses of one address are looked at ever more slowly."""
    tool, secret = bench.tool, "correct horse battery"
    if tool.name == "podperf":
        server = bench.serve(env={**os.environ, "PODPERF_TOKEN": secret})
        answers = []
        for _ in range(30):
            end = bench.connect()
            tool.open(end)
            end.sendall(tool.message(tool.HELLO))
            tool.answer(end)
            end.sendall(tool.message({"prove": {"proof": "00" * 32}}))
            answers.append(json.dumps(tool.answer(end)))
        looked = sum('"wrong token"' in answer for answer in answers)
        hold(looked < 15, f"{looked} of 30 guesses at once are looked at")
        hold(server.alive(), "the server is gone")
        return f"{looked} of 30 guesses at once were looked at"
    if tool.name == "iperf3":
        return iperf3_guesses(bench, secret)
    bench.serve("-Z", secret)

    def say(phrase):
        end = bench.connect()
        text = bytearray(tool.message(tool.PASSPHRASE))
        text[8:8 + len(phrase)] = phrase.encode()
        quietly(end.sendall, bytes(text) + tool.message(7777))
        answered = bool(quietly(end.recv, 4))
        end.close()
        return answered

    hold(say(secret), "the right phrase is not taken")
    for number in range(30):
        hold(not say(f"wrong {number}"), "a wrong phrase is taken")
    hold(not say(secret), "after 30 wrong phrases at once the next is looked at as the first")
    return "after 30 guesses at once the next has to wait; netperf's phrase goes in the clear"


def iperf3_guesses(bench, secret):
    key, public, users = (bench.directory / f"{bench.port}.{name}" for name in ("key", "pub", "users"))
    for words in (["genrsa", "-out", str(key), "2048"],
                  ["rsa", "-in", str(key), "-pubout", "-out", str(public)]):
        if subprocess.run(["openssl", *words], capture_output=True).returncode != 0:
            not_played("no openssl")
    import hashlib
    users.write_text("u," + hashlib.sha256(b"{u}" + secret.encode()).hexdigest() + "\n")
    bench.serve("--rsa-private-key-path", str(key), "--authorized-users-path", str(users))
    command = [*bench.tool.quick(LOOPBACK, bench.port), "--username", "u", "--rsa-public-key-path",
               str(public)]
    begun = time.monotonic()
    for _ in range(30):
        done = bench.start(command, env={**os.environ, "IPERF3_PASSWORD": "wrong"}).wait(5)
        hold(done.status != 0, "a wrong password is accepted")
    took = time.monotonic() - begun
    hold(took > 5, f"30 guesses are looked at in {took:.1f} s")
    return f"30 guesses take {took:.0f} s"


def row_46(bench):
    """A run of two hours is refused, or cut down, by a server with the limits that it can be given."""
    extra = []
    if bench.tool.name == "netserver":
        policy = bench.directory / f"{bench.port}.toml"
        policy.write_text('[[rule]]\nname = "anybody"\naddresses = ["0.0.0.0/0", "::/0"]\n'
                          'anonymous = true\nrun = { time = "1h" }\n')
        extra = ["--policy", str(policy)]
    server = bench.serve(*extra)
    client = bench.client(seconds=7200)
    done = client.wait(3)
    if done.status is None:
        fault("a run of two hours is accepted")
    names(done, "time", "limit", "hour", "--max-time")
    bench.serves(server)
    return f"refused: exit {done.status} {with_words(extra)}".rstrip()
