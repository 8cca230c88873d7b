"""The paths of scripts/bad-paths: hosts in network namespaces with a router between them, and what can be
wrong with such a path.

Enters: a prefix for names. Leaves: a Net, whose functions set a condition up. All of it is gone with the
namespaces.
"""

import contextlib
import os
import subprocess
import threading

import netns

CLIENT, SERVER, OTHER = "10.71.1.2", "10.71.2.2", "10.71.3.2"
SERVICE = "10.71.9.9"  # an address that the router hands on to one of the two servers
HOSTS = {"client": CLIENT, "server": SERVER, "other": OTHER}
TABLE = "bad_path"


class Net:
    """client - router - server and other; each host's device is `wire`, the router's have their names."""

    def __init__(self, prefix):
        self.spaces = {name: f"{prefix}-{name}" for name in (*HOSTS, "router")}
        self.timers = []

    def __enter__(self):
        try:
            for space in self.spaces.values():
                netns.call("ip", "netns", "add", space)
                self.ip(space, "link", "set", "lo", "up")
            for name, address in HOSTS.items():
                host, router = self.spaces[name], self.spaces["router"]
                gateway = address.rpartition(".")[0] + ".1"
                self.ip(router, "link", "add", name, "type", "veth", "peer", "wire", "netns", host)
                for space, device, own in ((router, name, gateway), (host, "wire", address)):
                    self.ip(space, "addr", "add", f"{own}/24", "dev", device)
                    self.ip(space, "link", "set", device, "up")
                self.ip(host, "route", "add", "default", "via", gateway)
            self.run("router", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for timer in self.timers:
            timer.cancel()
            timer.join()
        for space in self.spaces.values():
            if os.path.exists(f"/run/netns/{space}"):
                subprocess.run(["ip", "netns", "del", space], check=False)

    @staticmethod
    def ip(space, *words):
        netns.call("ip", "-n", space, *words)

    def run(self, host, *command):
        netns.call(*netns.inside(self.spaces[host], command))

    def later(self, seconds, *steps):
        """Carries out (seconds after, host, words of ip) one after the other, from a time on."""
        def carry_out():
            for pause, host, words in steps:
                if gone.wait(pause):
                    return
                with contextlib.suppress(netns.Failed):
                    self.ip(self.spaces[host], *words)

        gone = threading.Event()
        timer = threading.Timer(seconds, carry_out)
        end = timer.cancel
        timer.cancel = lambda: (end(), gone.set())
        self.timers.append(timer)
        timer.start()

    def rules(self, *rules, hook="forward", kind="filter"):
        """Rules of nft on the router, for what goes through it."""
        chain = f"{kind}_{hook}"
        lines = [f"add table ip {TABLE}",
                 f"add chain ip {TABLE} {chain} {{ type {kind} hook {hook} priority 0; }}",
                 *(f"add rule ip {TABLE} {chain} {rule}" for rule in rules)]
        self.run("router", "nft", "; ".join(lines))

    def single_packets(self):
        """Nothing is cut or joined on the way: what the router counts and drops are packets."""
        offloads = ("tso", "off", "gso", "off", "gro", "off")
        for name in HOSTS:
            self.run(name, "ethtool", "-K", "wire", *offloads)
            self.run("router", "ethtool", "-K", name, *offloads)

    # What can be wrong.

    def black_hole(self):
        """Packets of more than 1,300 bytes are dropped, and nobody is told."""
        self.single_packets()
        self.rules("oifname server meta length > 1300 drop")

    def only_port(self, port):
        """Nothing but one port of the server's is reachable, by TCP."""
        self.rules(f"oifname server tcp dport != {port} drop")

    def loss(self, percent, rule=""):
        """So many of 100 packets to the server are dropped, by lot."""
        self.single_packets()
        self.rules(f"oifname server {rule} numgen random mod 100 < {percent} drop")

    def shaper(self, rate, burst, latency):
        """The router sends to the server at a rate, from a queue of some time."""
        self.run("router", "tc", "qdisc", "add", "dev", "server", "root", "tbf", "rate", rate,
                 "burst", burst, "latency", latency)

    def route_gone(self, at, seconds):
        """The client has no route to the server for a while."""
        route = ("unreachable", f"{SERVER}/32")
        self.later(at, (0, "client", ("route", "add", *route)),
                   (seconds, "client", ("route", "del", *route)))

    def link_down(self, at, seconds):
        """The client's link is down for a while: the other end of its cable is."""
        self.later(at, (0, "router", ("link", "set", "client", "down")),
                   (seconds, "router", ("link", "set", "client", "up")))

    def resets(self, every, control_port):
        """One of so many packets to the server is answered by a reset, the control connection's not."""
        self.single_packets()
        self.rules(f"oifname server tcp dport != {control_port} ct state established "
                   f"numgen inc mod {every} == {every - 1} reject with tcp reset")

    def balanced(self):
        """Connections to one address go to the two servers in turn."""
        self.rules(f"ip daddr {SERVICE} dnat to numgen inc mod 2 map {{ 0 : {SERVER}, 1 : {OTHER} }}",
                   hook="prerouting", kind="nat")

    def checksums_by_hand(self):
        """The client's device computes no checksums, and so cuts no segments."""
        self.run("client", "ethtool", "-K", "wire", "tx", "off")

    def kill_one_stream(self, port):
        """Resets the busiest of the client's connections to a port; whether there was one."""
        listed = subprocess.run(
            netns.inside(self.spaces["client"], ["ss", "-tniHO", "state", "established",
                                                 f"dport = :{port}"]),
            capture_output=True, text=True).stdout
        busiest = busiest_port(listed)
        if busiest:
            self.run("client", "ss", "-K", f"sport = :{busiest}", f"dport = :{port}")
        return busiest is not None


def busiest_port(listed):
    """The local port of the connection that has sent most, in what ss(8) lists; None: there is none."""
    found = []
    for line in listed.splitlines():
        facts = dict(word.split(":", 1) for word in line.split() if ":" in word)
        found.append((int(facts.get("bytes_acked", 0)), line.split()[2].rpartition(":")[2]))
    return max(found)[1] if found else None
