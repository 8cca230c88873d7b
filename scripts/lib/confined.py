"""Runs an unpacked image's program as a restricted pod would: as a user without rights, with no
capability, no new privileges, a read-only root, and a network of its own that holds loopback alone.

Enters: `unshare --mount --net python3 confined.py ROOT [OPTION]... -- ARGUMENTS`, as root. --serve
has a server run beside it in the same pod, --netserver a netserver that listens already, --silent-dns
a name server on 127.0.0.1 that never answers. --program=NAME is another program than /podperf, looked
for by the PATH of --env=NAME=VALUE. Leaves: what the program prints, and its exit status.
"""

import ctypes
import fcntl
import os
import socket
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path

import listening

USER = 65532
NETSERVER_PORT = 12865
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG = 24, 38, 1
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def mount_as_in_a_pod(root):
    """The root read-only; /proc, /sys and /dev as a container runtime mounts them."""
    def mount(*words):
        subprocess.run(["mount", *words], check=True)

    mount("--make-rprivate", "/")
    for name in ("proc", "sys", "dev"):
        Path(root, name).mkdir(exist_ok=True)
    mount("--bind", root, root)
    mount("-o", "remount,bind,ro", root)
    mount("-t", "proc", "-o", "nosuid,nodev,noexec", "proc", f"{root}/proc")
    mount("-t", "sysfs", "-o", "ro,nosuid,nodev,noexec", "sysfs", f"{root}/sys")
    mount("-t", "tmpfs", "-o", "nosuid,noexec,mode=755", "dev", f"{root}/dev")
    for name in ("null", "zero", "full", "random", "urandom"):
        os.mknod(f"{root}/dev/{name}", 0o666 | stat.S_IFCHR, os.stat(f"/dev/{name}").st_rdev)
        os.chmod(f"{root}/dev/{name}", 0o666)


def confine(root):
    """In the child: gives up everything that a restricted pod does not have."""
    libc = ctypes.CDLL(None, use_errno=True)
    last = int(LAST_CAPABILITY.read_text())
    os.chroot(root)
    os.chdir("/")
    for capability in range(last + 1):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), f"drop capability {capability}")
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    for option, value in ((PR_SET_NO_NEW_PRIVS, 1), (PR_SET_PDEATHSIG, 15)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), f"prctl {option}")


def wait_until_it_listens(port):
    end = time.monotonic() + 10
    while not listening.listens(os.getpid(), port):
        if time.monotonic() > end:
            raise TimeoutError(f"nobody listens on port {port}")
        time.sleep(0.02)


def values(options, name):
    """What follows --NAME= in each option that begins so."""
    head = f"--{name}="
    return [option.removeprefix(head) for option in options if option.startswith(head)]


def main(words):
    at = words.index("--")
    root, *options = words[:at]
    program = (values(options, "program") or ["/podperf"])[-1]
    environment = dict(value.split("=", 1) for value in values(options, "env"))
    loopback_up()
    mount_as_in_a_pod(root)
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if "--silent-dns" in options:
        silent.bind(("127.0.0.1", 53))

    def start(*command):
        # Found by PATH in the root that it is confined to.
        return subprocess.Popen(command, env=environment, preexec_fn=lambda: confine(root))

    servers = []
    try:
        if "--serve" in options:
            servers.append(start("/podperf", "serve", "-q"))
        if "--netserver" in options:
            servers.append(start("netserver", "-D"))
            wait_until_it_listens(NETSERVER_PORT)
        return start(program, *words[at + 1:]).wait(timeout=60)
    finally:
        for server in servers:
            server.terminate()
            server.wait(timeout=10)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
