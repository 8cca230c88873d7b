"""How scripts/faults plays the cases of what a client asks of a server (rows 37 to 40, 45 to 47).

Enters: a bench. Leaves: a function a row; see fault_reaching.py.
"""

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import time

from fault_bench import (LOOPBACK, children, fault, hold, is_closed, need_root, not_applicable,
                         not_played, quietly, until, with_words)
from fault_messages import ANOTHER, MIB
from fault_reaching import names


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
        for pid in map(int, (server.pid, *children(server.pid))):
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
