"""What real networks do to a test, made on the hosts of the pair and undone at the end of its block."""

import itertools
import shutil
import subprocess

from hosts import CLIENT, PREFIX, SERVER, SERVER4, two_hosts

# An address that no host has, and the netservers that share it in turn.
SHARED4 = "198.51.100.1"
POD, POD4 = "podB", "10.244.1.2"
# For those who skip where it is missing.
NFT = shutil.which("nft")

_tables = itertools.count()


def on(place, *words, **more):
    """Runs a command on a host of the pair."""
    two_hosts()
    done = subprocess.run(["ip", "netns", "exec", f"{PREFIX}-{place}", *words], text=True, timeout=30,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(words)}: {done.stdout}")


class Rules:
    """A table of nftables on a host, with one chain."""

    def __init__(self, rules, place=SERVER, family="inet"):
        self.place, self.table = place, f"{family} weather{next(_tables)}"
        self.text = f"table {self.table} {{ chain weather {{ {rules} }}; }}"

    def __enter__(self):
        on(self.place, "nft", "-f", "-", input=self.text)
        return self

    def __exit__(self, *_):
        on(self.place, "nft", "delete", "table", *self.table.split())


def closed_ports(port):
    """The server's firewall drops whatever is not for one TCP port."""
    return Rules("type filter hook input priority 0; iifname lo accept; "
                 f"ct state established,related accept; tcp dport {port} accept; "
                 "meta l4proto { tcp, udp } drop;")


def black_hole(size=1300):
    """Packets above a size never reach the server, and nobody says so."""
    return Rules(f"type filter hook input priority 0; meta length > {size} drop;")


def reject(protocol, port):
    """The server's host says of a port that nobody is there."""
    return Rules(f"type filter hook input priority 0; {protocol} dport {port} reject;")


class Balancer(Rules):
    """One address for the netservers of two hosts, which have its connections in turn."""

    def __init__(self, port):
        super().__init__("type nat hook prerouting priority -100; "
                         f"ip daddr {SHARED4} tcp dport {port} dnat to numgen inc mod 2 map "
                         f"{{ 0 : {SERVER4}, 1 : {POD4} }};", family="ip")

    def __enter__(self):
        on(CLIENT, "ip", "route", "add", SHARED4, "via", SERVER4)
        return super().__enter__()

    def __exit__(self, *_):
        on(CLIENT, "ip", "route", "del", SHARED4)
        super().__exit__()


class Shaper:
    """The link has this rate, either way."""

    def __init__(self, rate, burst="4kb"):
        # Longer than a queue is full of acknowledgements and of what a send buffer holds.
        self.words = ["rate", rate, "burst", burst, "latency", "400ms"]

    def __enter__(self):
        for place in (CLIENT, SERVER):
            on(place, "tc", "qdisc", "replace", "dev", "wire", "root", "tbf", *self.words)
        return self

    def __exit__(self, *_):
        for place in (CLIENT, SERVER):
            on(place, "tc", "qdisc", "del", "dev", "wire", "root")
