"""Real programs that take podperf's figures: InfluxDB, Prometheus and its node exporter, from
Debian's packages, unpacked and not installed.

Enters: PODPERF_ENGINE, the engine's program, else this tree's debug build. Leaves: servers on free
ports of 127.0.0.1, each ended by its id when its test is over.
"""

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
ENGINE = os.environ.get("PODPERF_ENGINE", str(TARGET / "debug" / "podperf"))
PACKAGES = {"influxd": "influxdb", "prometheus": "prometheus", "promtool": "prometheus",
            "prometheus-node-exporter": "prometheus-node-exporter"}
DEADLINE = 60  # seconds for what should come at once, on a busy machine


class Missing(Exception):
    """A program that is not here and could not be fetched."""


def program(name):
    """Path of a program: the system's, or out of Debian's package."""
    found = shutil.which(name)
    if found:
        return found
    folder = TARGET / "debian" / PACKAGES[name]
    path = folder / "usr" / "bin" / name
    if not path.exists():
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            raise Missing(f"{name} is missing, and this is not Debian")
        script = '. "$1" && unpack_packages "$2" "$3"'
        packages = ROOT / "scripts" / "lib" / "packages.sh"
        command = ["bash", "-c", script, "bash", packages, folder, PACKAGES[name]]
        fetched = subprocess.run(command, capture_output=True, text=True)
        if fetched.returncode or not path.exists():
            raise Missing(f"{name}: Debian's {PACKAGES[name]} could not be fetched: {fetched.stderr}")
    return str(path)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def get(url, user=None):
    """What an address answers, as text."""
    request = urllib.request.Request(url)
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
        return answer.read().decode()


def until(what, done):
    """Tries until `done` returns something."""
    end = time.monotonic() + DEADLINE
    while True:
        try:
            found = done()
        except (OSError, ValueError, KeyError) as error:
            found, what = None, f"{what} ({error})"
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not in {DEADLINE} s: {what[:2000]}")
        time.sleep(0.1)


class Daemon:
    """A server that runs until it is stopped."""

    def __init__(self, command, log):
        with open(log, "a") as to:
            self.process = subprocess.Popen(command, stdout=to, stderr=to, stdin=subprocess.DEVNULL)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class InfluxDb:
    """InfluxDB 1 with a database `podperf`, and a user who may do everything."""

    USER = "podperf:s@cret"

    def __init__(self, folder):
        self.folder = Path(folder)
        self.port = free_port()
        self.daemon = None
        self.config = self.folder / "influxdb.conf"
        self.config.write_text(f"""
            reporting-disabled = true
            bind-address = "127.0.0.1:{free_port()}"
            [meta]
              dir = "{self.folder}/meta"
            [data]
              dir = "{self.folder}/data"
              wal-dir = "{self.folder}/wal"
            [monitor]
              store-enabled = false
            [http]
              bind-address = "127.0.0.1:{self.port}"
              auth-enabled = true
              log-enabled = false
            """)
        self.start()
        self.query("CREATE USER podperf WITH PASSWORD 's@cret' WITH ALL PRIVILEGES", post=True)
        self.query("CREATE DATABASE podperf", post=True)

    def start(self):
        self.daemon = Daemon([program("influxd"), "run", "-config", self.config],
                             self.folder / "influxdb.log")
        until("InfluxDB to start", lambda: get(f"http://127.0.0.1:{self.port}/ping") == "")

    def stop(self):
        self.daemon.stop()

    def url(self, database="podperf", password="s%40cret"):
        return f"http://podperf:{password}@127.0.0.1:{self.port}/write?db={database}"

    def query(self, text, post=False):
        values = urllib.parse.urlencode({"q": text, "db": "podperf", "epoch": "ns"})
        url = f"http://127.0.0.1:{self.port}/query?{values}"
        request = urllib.request.Request(url, data=b"" if post else None)
        credentials = base64.b64encode(self.USER.encode()).decode()
        request.add_header("Authorization", "Basic " + credentials)
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            return json.loads(answer.read())

    def rows(self, measurement):
        """All points of a measurement, each a dict; what a point does not have is left out."""
        result = self.query(f"SELECT * FROM {measurement}")["results"][0]
        rows = []
        for series in result.get("series", []):
            for values in series["values"]:
                pairs = zip(series["columns"], values)
                rows.append({name: value for name, value in pairs if value is not None})
        return rows


def podperf(*words, **options):
    """Runs podperf to its end."""
    environment = {**os.environ, "PODPERF_CALIBRATION": "/nonexistent/calibration.json"}
    environment.pop("PODPERF_SINK_TOKEN", None)
    return subprocess.run([ENGINE, *map(str, words)], capture_output=True, text=True,
                          timeout=DEADLINE * 2, env=environment, **options)
