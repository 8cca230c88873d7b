"""A cluster of two nodes, the launcher run against it, and what the two leave behind.

One cluster serves all tests of a run: started by the first that needs it, taken away at exit.
"""

import atexit
import base64
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = str(ROOT / "scripts" / "cluster")
PREFIX = os.environ.get("PODPERF_CLUSTER_PREFIX", "ppt")
IMAGE = "localhost/podperf:dev"
# Short runs: what is tested is the path, not its speed.
BRIEF = ["-t", "500ms", "-O", "100ms", "-P", "2", "--rr-flows", "1"]

# A pod goes when its containers have been removed, and a kubelet may look for dead ones but once a
# minute (ContainerGCPeriod in Kubernetes' pkg/kubelet/kubelet.go).
DELETION_TIMEOUT_S = 180


def command(*words, timeout=120, check=True, **more):
    """Runs a command with a limit of time; its standard output as text."""
    done = subprocess.run(words, timeout=timeout, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    if check and done.returncode != 0:
        said = f"{done.stderr[-2000:]}{done.stdout[-1000:]}"
        raise AssertionError(f"{' '.join(words)}: exit {done.returncode}: {said}")
    return done.stdout


def script(verb, *words, **more):
    return command(SCRIPT, verb, "--prefix", PREFIX, *words, **more)


def kubectl(*words, **more):
    if words[0] == "delete":
        more.setdefault("timeout", DELETION_TIMEOUT_S)
    return script("kubectl", *words, **more)


def objects(kind, *more, namespace="podperf"):
    return json.loads(kubectl("get", kind, "-n", namespace, "-o", "json", *more))["items"]


def in_network(place, *words, **more):
    return script("exec", place, *words, **more)


def until(ask, complaint, seconds):
    """Asks until the answer is true; that answer. `complaint` says what is still not so."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > end:
            raise AssertionError(complaint())
        time.sleep(0.3)
    return answer


class Run:
    """One call of the launcher that has ended."""

    def __init__(self, words, status, out, err, seconds):
        self.words, self.status, self.out, self.err = words, status, out, err
        self.seconds = seconds

    @property
    def document(self):
        return json.loads(self.out)

    def __str__(self):
        return f"{' '.join(self.words)}: exit {self.status} after {self.seconds:.0f} s\n" \
               f"{self.out[-1500:]}\n{self.err[-3000:]}"


class Launcher:
    """A call of the launcher under way."""

    def __init__(self, *words, kubeconfig=None):
        kubeconfig = kubeconfig or cluster().kubeconfig
        self.words = words
        self.out, self.err = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")
        self.begun = time.monotonic()
        # ip netns exec becomes the launcher, so that a signal meets the launcher itself.
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", f"{PREFIX}-cp", "env", f"KUBECONFIG={kubeconfig}",
             cluster().launcher, *words],
            stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err, text=True,
            cwd=cluster().directory.name)

    def stop(self):
        """Ends it, whatever became of the test, and lets it clean up."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(90)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def said(self):
        """Standard error so far, without moving where the launcher writes."""
        size = os.fstat(self.err.fileno()).st_size
        return os.pread(self.err.fileno(), size, 0).decode()

    def wait_for(self, pattern, seconds=90):
        """Waits until standard error matches."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self.said()):
            if self.process.poll() is not None:
                raise AssertionError(f"ended before it said {pattern!r}: {self.end(1)}")
            if time.monotonic() > end:
                self.process.kill()
                raise AssertionError(f"never said {pattern!r}: {self.said()[-3000:]}")
            time.sleep(0.1)

    def end(self, seconds):
        """Waits for its end."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired as late:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"not done within {seconds} s: {self.said()[-3000:]}") from late
        took = time.monotonic() - self.begun
        self.out.seek(0)
        out = self.out.read()
        said = self.said()
        self.out.close()
        self.err.close()
        return Run(self.words, status, out, said, took)


def launch(*words, seconds=180, kubeconfig=None):
    return Launcher(*words, kubeconfig=kubeconfig).end(seconds)


def measure(*words, seconds=180, kubeconfig=None):
    """A run with its document on standard output."""
    for option, default in (("--samples", "1"), ("--image", IMAGE)):
        if option not in words:
            words = (option, default, *words)
    return launch("run", "-o", "json", *words, seconds=seconds, kubeconfig=kubeconfig)


class TwoNodes:
    """The cluster that scripts/cluster starts, with the image loaded."""

    def __init__(self):
        self.launcher = os.environ.get("PODPERF_LAUNCHER",
                                       str(ROOT / "target" / "debug" / "kubectl-podperf"))
        self.archive = os.environ.get("PODPERF_IMAGE_ARCHIVE",
                                      str(ROOT / "target" / "podperf-image.tar"))
        for file, how in ((self.launcher, "cargo build"),
                          (self.archive, f"container/build --archive {self.archive}")):
            if not Path(file).exists():
                raise AssertionError(f"{file} is missing: {how}")
        self.directory = tempfile.TemporaryDirectory(prefix="podperf-cluster-")
        atexit.register(self.down)
        script("up", timeout=300)
        script("load", self.archive, timeout=120)
        self.kubeconfig = script("env").strip().split("=", 1)[1]
        # There from the start: a namespace that a run makes is deleted with it, which takes a while.
        kubectl("create", "namespace", "podperf")

    def down(self):
        script("down", timeout=120, check=False)
        self.directory.cleanup()


_cluster = None


def cluster():
    global _cluster
    if _cluster is None:
        _cluster = TwoNodes()
    return _cluster


def cluster_address(service, namespace="podperf"):
    """Address of a Service that is about to be made."""
    def found():
        return next((item["spec"]["clusterIP"] for item in objects("services", namespace=namespace)
                     if item["metadata"]["name"] == service), None)
    return until(found, lambda: f"Service {service} did not come", 60)


class Proxy:
    """tests/cluster/proxy.py on a node's network, as long as the block lasts."""

    def __init__(self, place, port, host, target):
        program = str(Path(__file__).with_name("proxy.py"))
        self.words = ["ip", "netns", "exec", f"{PREFIX}-{place}", "python3", "-B", program,
                      str(port), host, str(target)]
        self.connections = 0

    def __enter__(self):
        self.process = subprocess.Popen(self.words, stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE)
        if self.process.stdout.readline() != "listening\n":
            raise AssertionError("the proxy does not listen")
        return self

    def __exit__(self, *_):
        said, _ = self.process.communicate(timeout=20)
        self.connections = said.count("connection")


def account(name, rules):
    """A service account with a Role of these rules in a namespace of its own; its kubeconfig."""
    cluster()
    kubectl("create", "namespace", name)
    kubectl("create", "serviceaccount", name, "-n", name)
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": name, "namespace": name}, "rules": rules}
    file = Path(cluster().directory.name) / f"{name}.role.json"
    file.write_text(json.dumps(role), encoding="utf-8")
    kubectl("apply", "-f", str(file))
    kubectl("create", "rolebinding", name, "-n", name, f"--role={name}",
            f"--serviceaccount={name}:{name}")
    # Nodes are read by all accounts of these tests: it is pods that they lack.
    kubectl("create", "clusterrole", f"{name}-nodes", "--verb=get,list", "--resource=nodes")
    kubectl("create", "clusterrolebinding", f"{name}-nodes", f"--clusterrole={name}-nodes",
            f"--serviceaccount={name}:{name}")
    return kubeconfig_of(name, name)


def kubeconfig_of(account_name, namespace):
    """A kubeconfig of a service account."""
    def named():
        return json.loads(kubectl("get", "serviceaccount", account_name, "-n", namespace, "-o",
                                  "json")).get("secrets")
    (name, *_) = until(named, lambda: f"{account_name} gets no token", 30)
    secret = json.loads(kubectl("get", "secret", name["name"], "-n", namespace, "-o", "json"))
    token = base64.b64decode(secret["data"]["token"]).decode()
    file = Path(cluster().directory.name) / f"{account_name}.kubeconfig"
    config = Path(cluster().kubeconfig).read_text(encoding="utf-8")
    config, found = re.subn(r"(?m)\btoken: *[^\s,}]+", f"token: {token}", config)
    if found != 1:
        raise AssertionError(f"{cluster().kubeconfig} has not one token")
    file.write_text(config, encoding="utf-8")
    return str(file)


def kill_container(pod, words):
    """Kills the process of a pod whose command line has `words`, as the kernel's OOM killer would."""
    uid = next(item["metadata"]["uid"] for item in objects("pods")
               if item["metadata"]["name"] == pod)
    for process in Path("/proc").iterdir():
        try:
            if not process.name.isdigit():
                continue
            # A pod's own /etc/hosts is mounted from a directory of the kubelet's that names the pod.
            mounts = (process / "mountinfo").read_text(encoding="utf-8")
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if uid in mounts and words in line:
            os.kill(int(process.name), 9)
            return
    raise AssertionError(f"no process of {pod} runs {words}")


def api_server():
    """Starts the API server again, and waits until it answers."""
    script("start", "apiserver", check=False)

    def answers():
        try:
            return kubectl("get", "nodes", timeout=10)
        except (AssertionError, subprocess.TimeoutExpired):
            return None
    until(answers, lambda: "the API server does not come back", 60)


def kubelet(node):
    """Starts a node's kubelet again, and waits until pods may go there: it is ready, and has ended
    the containers whose pods went while it was away, a server on the node's own port among them."""
    script("start", "kubelet", node)

    def back():
        found = json.loads(kubectl("get", "node", node, "-o", "json"))
        ready = [condition for condition in found["status"]["conditions"]
                 if condition["type"] == "Ready" and condition["status"] == "True"]
        listening = in_network(node, "ss", "-Hltn", "sport = :5210").strip()
        return ready and not found["spec"].get("taints") and not listening
    until(back, lambda: f"{node} does not come back", 60)


def leftovers(namespace=None):
    """What podperf has left; a namespace that it made is waited for on its way out."""
    end = time.monotonic() + DELETION_TIMEOUT_S
    while True:
        left = []
        for kind in ("jobs", "pods", "services", "networkpolicies", "configmaps"):
            found = json.loads(kubectl("get", kind, "-A", "-o", "json", "-l",
                                       "app.kubernetes.io/managed-by=podperf"))["items"]
            left += [f"{kind}/{item['metadata']['name']}" for item in found]
        if left:
            return left
        namespaces = json.loads(kubectl("get", "namespaces", "-o", "json"))["items"]
        if namespace is None or namespace not in [item["metadata"]["name"] for item in namespaces]:
            return []
        if time.monotonic() > end:
            return [f"namespaces/{namespace}"]
        time.sleep(0.5)


def device_bytes(place):
    """Bytes sent by each device of a node's network."""
    counted = {}
    for device in json.loads(in_network(place, "ip", "-j", "-s", "link")):
        counted[device["ifname"]] = device["stats64"]["tx"]["bytes"]
    return counted


class ServiceConnections:
    """Adds up the connections to Services while it is entered.

    kube-proxy writes its rules anew at every change and every 30 s (--iptables-sync-period), and
    counts from zero then. What came between the last look and that is not in the sum.
    """

    def __init__(self, wanted):
        self.sums = {of: (0, 0) for of in wanted}  # (place, service) -> by cluster IP, by node port
        self.last = dict(self.sums)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.ended.wait(0.5):
            self.look()

    def look(self):
        for of, last in self.last.items():
            now = self.last[of] = service_connections(*of)
            new = [count - before if count >= before else count
                   for count, before in zip(now, last)]
            self.sums[of] = tuple(sum(pair) for pair in zip(self.sums[of], new))

    def __enter__(self):
        cluster()
        self.look()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.look()


def service_connections(place, service):
    """Connections that kube-proxy's rules for a Service translated: by cluster IP, by node port."""
    rules = in_network(place, "iptables-save", "-c", "-t", "nat")
    by_address = by_port = 0
    for line in rules.splitlines():
        counted = re.match(r"\[(\d+):\d+\] -A (KUBE-SERVICES|KUBE-NODEPORTS) ", line)
        if counted and f"/{service}:control" in line and "-j KUBE-SVC" in line:
            if counted[2] == "KUBE-SERVICES":
                by_address += int(counted[1])
            else:
                by_port += int(counted[1])
    return by_address, by_port
