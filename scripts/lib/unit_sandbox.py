"""Runs a program under what a systemd unit holds it to, where systemd is not there to do so: the
system calls and address families of its filters, its limits, no capability, no new privileges, no
memory that is writable and executable, and a user without rights.

    unit_sandbox.py UNIT PROGRAM [ARGUMENT...]        as root, with systemd-analyze and libseccomp

The process id stays the same.
"""

import ctypes
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

NOBODY = 65534
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_MDWE = 24, 38, 65
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
EPERM, EAFNOSUPPORT = 1, 97
COMPARE_EQUAL = 4
LIMITS = {"LimitNOFILE": resource.RLIMIT_NOFILE, "LimitMEMLOCK": resource.RLIMIT_MEMLOCK}
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Compare(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int),
                ("first", ctypes.c_uint64), ("second", ctypes.c_uint64)]


def settings(unit):
    """Each key of the unit with all its values."""
    found = {}
    for line in Path(unit).read_text().splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def calls_of(group):
    """Names of system calls in a group, and in those that it names."""
    lines = subprocess.run(["systemd-analyze", "syscall-filter", group], check=True, text=True,
                           capture_output=True).stdout.splitlines()
    names = [line.strip() for line in lines if line.startswith(" ") and "#" not in line]
    found = set()
    for name in names:
        found |= calls_of(name) if name.startswith("@") else {name}
    return found


def allowed_calls(filters):
    allowed = set()
    for text in filters:
        for word in text.removeprefix("~").split():
            calls = calls_of(word) if word.startswith("@") else {word}
            allowed = allowed - calls if text.startswith("~") else allowed | calls
    return allowed


def load_filter(library, allowed, values):
    library.seccomp_init.restype = ctypes.c_void_p

    def check(result):
        if result:
            sys.exit(f"unit_sandbox: no seccomp filter to be had: {result}")

    def rule(context, action, number, *compares):
        array = (Compare * max(len(compares), 1))(*compares)
        check(library.seccomp_rule_add_array(ctypes.c_void_p(context), ctypes.c_uint32(action),
                                             number, len(compares), array))

    calls = library.seccomp_init(ctypes.c_uint32(ERRNO | EPERM))
    for name in allowed | {"execve"}:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            rule(calls, ALLOW, number)
    families = library.seccomp_init(ctypes.c_uint32(ALLOW))
    known = {value for name, value in vars(socket).items()
             if name.startswith("AF_") and value < 46}
    own = {getattr(socket, name)
           for name in values["RestrictAddressFamilies"][0].split()}
    socket_call = library.seccomp_syscall_resolve_name(b"socket")
    for family in known - own:
        rule(families, ERRNO | EAFNOSUPPORT, socket_call,
             Compare(0, COMPARE_EQUAL, int(family), 0))
    # That of the families first: the other may not let a second one be loaded.
    for context in (families, calls):
        check(library.seccomp_load(ctypes.c_void_p(context)))


def main():
    unit, program = sys.argv[1], sys.argv[2:]
    values = settings(unit)
    # As long as everything may be read.
    allowed, library = allowed_calls(values["SystemCallFilter"]), ctypes.CDLL("libseccomp.so.2")
    for key, limit in LIMITS.items():
        text = values[key][0]
        count = int(text.rstrip("KMG")) * UNITS.get(text[-1], 1)
        # Where this process may not raise its own, the lower one is all there is.
        hard = resource.getrlimit(limit)[1]
        count = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(limit, (count, count))
    libc = ctypes.CDLL(None, use_errno=True)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            sys.exit("unit_sandbox: capabilities cannot be given up")
    os.umask(int(values["UMask"][0], 8))
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        sys.exit("unit_sandbox: new privileges cannot be refused")
    # Linux 6.3 and later.
    libc.prctl(PR_SET_MDWE, 1, 0, 0, 0)
    load_filter(library, allowed, values)
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
