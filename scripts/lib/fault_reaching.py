"""How scripts/faults plays the cases of reaching a peer (rows 1 to 9).

Enters: a bench. Leaves: a function a row, which returns a few words on what was seen, or ends the case
as decided. What is asked of a tool stands in the first line of each.
"""

import re
import socket

from fault_bench import LOOPBACK, fault, hold, is_closed, need_root, not_applicable, until, with_words


def failed(done, limit):
    """A program ended by itself, and not well."""
    hold(done.status is not None, f"still running after {limit} s")
    hold(done.status != 0, f"exit status 0; it says: {done.last_words()}")


def names(done, *parts):
    """What a program says has one of `parts`."""
    if not any(part in done.text for part in parts):
        fault(f"it does not say {' or '.join(parts)}: {done.last_words()}")


def row_1(bench):
    """The server ends at once, and says that the port is in use."""
    for family, address in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):
        try:
            bench.stack.enter_context(socket.create_server((address, bench.port), family=family))
        except OSError:
            continue  # taken by the one before, or there is no such family
    done = bench.start(bench.tool.server(bench.port)).wait(3)
    failed(done, 3)
    names(done, str(bench.port))
    names(done, "in use")
    return f"exit {done.status}"


def row_2(bench):
    """The second server on a port ends, and the first serves on."""
    first = bench.serve()
    failed(bench.start(bench.tool.server(bench.port)).wait(3), 3)
    bench.serves(first)


def row_3(bench):
    """The client ends within seconds and names who refused."""
    done = bench.run(limit=5)
    failed(done, 5)
    names(done, str(bench.port), "refused")
    return f"after {done.seconds:.1f} s"


def row_4(bench):
    """Without an answer to its SYN the client gives up by itself in 20 s."""
    options = bench.tool.connect_patience
    with bench.rules(f"tcp dport {bench.port} drop"):
        done = bench.run("192.0.2.1", place="one", limit=20, options=options)
    failed(done, 20)
    names(done, "192.0.2.1", str(bench.port), "timed out")
    return f"after {done.seconds:.0f} s {with_words(options)}".rstrip()


def row_5(bench):
    """A name that does not resolve is named; of a name with two addresses each is tried."""
    done = bench.run("nosuch.invalid", limit=15)
    failed(done, 15)
    names(done, "nosuch.invalid")
    need_root()
    hosts = bench.directory / f"{bench.port}.hosts"
    hosts.write_text(f"::1 two-families\n{LOOPBACK} two-families\n")
    bench.serve(*bench.tool.bound(LOOPBACK))
    inside = ("unshare", "--mount", "sh", "-c",
              f"mount --bind {hosts} /etc/hosts && exec \"$0\" \"$@\"")
    done = bench.quick("two-families", before=inside)
    hold(done.status == 0, f"where ::1 refuses, 127.0.0.1 is not tried: {done.last_words()}")


def row_6(bench):
    """One server serves IPv4, IPv6, and an address on a link with its zone."""
    need_root()
    server = bench.serve()
    for host in ("192.0.2.1", "2001:db8:1::1", "fe80::1%wire"):
        done = bench.quick(host, place="one")
        hold(done.status == 0, f"{host}: {done.last_words()}")
    hold(server.alive(), "the server is gone")


def row_7(bench):
    """The client of an HTTP server ends in 10 s, and the server of an HTTP client hangs up in 15 s."""
    def http(connection):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: keep-alive\r\n\r\n")
        connection.recv(4096)

    options = bench.tool.peer_patience
    done = bench.run(port=bench.listen(http), limit=10, options=options)
    failed(done, 10)
    server = bench.serve()
    stranger = bench.connect()
    stranger.sendall(b"GET / HTTP/1.1\r\nHost: server\r\nUser-Agent: none\r\n\r\n")
    bench.serves(server, "beside an HTTP client")
    hold(is_closed(stranger, 15), "an HTTP client is kept for 15 s")
    return with_words(options)


def row_8(bench):
    """A peer of another version is told apart and not waited for."""
    tool = bench.tool
    if tool.name == "iperf3":
        not_applicable("no version on its wire decides anything")
    server = bench.serve()
    if tool.name == "podperf":
        other = bytearray(tool.OPENING)
        other[9] = 9

        def serve(connection):
            connection.recv(32)
            connection.sendall(other)
            connection.recv(1)

        done = bench.run(port=bench.listen(serve), limit=10)
        failed(done, 10)
        names(done, "version 9")
    else:
        other = bytes(256)  # a whole message of netperf before 2.6
    old = bench.connect()
    old.sendall(other)
    hold(is_closed(old, 15), "a client of another version is kept for 15 s")
    if tool.ours:
        told = until(lambda: re.search(r"version|before 2\.6", server.said()), 3)
        hold(told is not None, "the log does not name it")
    bench.serves(server)


def row_9(bench):
    """Runs both ways work where nothing but the server's port is reachable."""
    need_root()
    with bench.shared["two"]:
        bench.serve()
        syn = "tcp flags & (syn | ack) == syn"
        with bench.rules(f'iifname "two" {syn} tcp dport != {bench.port} drop'), \
                bench.rules_out(f'oifname "two" {syn} drop'):
            for reverse in (False, True):
                done = bench.run("198.51.100.1", place="two", reverse=reverse, limit=12)
                way = "down" if reverse else "up"
                hold(done.status is not None, f"{way}: still waiting after 12 s")
                hold(done.status == 0, f"{way}: {done.last_words()}")
