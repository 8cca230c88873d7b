"""The programs that compare-peers runs: found, or installed as allowed.

Enters: the settings of its command line. Leaves: tools (peers.py), each with its program's path.
"""

import os
import shutil
import subprocess
from pathlib import Path

import netns
import peers
from report import note

ROOT = netns.SCRIPTS.parent


def find_tools(settings, links):
    """Name -> tool, installing peers as allowed; and how many programs are missing."""
    found, absent = {}, 0
    if not settings.without_podperf:
        path = str(executable(settings.podperf).resolve())
        found |= {way: peers.Podperf(path, way) for way in peers.PODPERF}
        found["podperf-as-netperf"] = by_name(path, links)
    if settings.before:
        path = str(executable(settings.before).resolve())
        found |= {way + peers.BEFORE: peers.PodperfBefore(path, way + peers.BEFORE)
                  for way in peers.PODPERF}
    for name in settings.peers:
        tool = peers.PEERS[name]
        path = settings.iperf3 if name == "iperf3" and settings.iperf3 else None
        path = path or find(tool.program, settings.no_install)
        if path:
            found |= {way: tool(path, way) for way in peers.WAYS[name]}
        else:
            note(f"left out: {name}")
            absent += 1
    if settings.peers and absent == len(settings.peers):
        raise netns.Failed("no peer to compare with")
    return found, absent


def executable(path):
    """A program that is there."""
    if not os.access(path, os.X_OK):
        raise netns.Failed(f"{path} is not there: run cargo build --release")
    return Path(path)


def by_name(path, links):
    """podperf as netperf, by links to it in a directory."""
    for name in peers.AsNetperf.links:
        Path(links, name).symlink_to(path)
    return peers.AsNetperf(str(Path(links, "netperf")), "podperf-as-netperf")


def find(program, no_install):
    """Path of a program, installed where that is allowed; or None."""
    unpacked = ROOT / "target" / "peers"
    if not no_install and not shutil.which(program):
        wish = ["--netperf", str(unpacked)] if program == "netperf" else [program, program]
        subprocess.run(["bash", str(netns.SCRIPTS / "lib" / "packages.sh"), *wish],
                       stdin=subprocess.DEVNULL, check=False)
    local = unpacked / "usr" / "bin" / program
    return shutil.which(program) or (str(local) if local.exists() else None)


def version(tool):
    """First line of what a tool says of its version."""
    done = subprocess.run(tool.version_command(), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else "unknown"
