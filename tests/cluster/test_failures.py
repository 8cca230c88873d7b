"""What goes wrong in clusters: each ends in time, says why, and leaves nothing behind."""

import json
import signal
import time
import unittest

import two_nodes
import own_objects
from two_nodes import BRIEF, IMAGE, Launcher, kubectl, launch, measure, script

# Long enough that something can happen meanwhile.
LONG = ["--scenarios", "host,pod", "--tests", "tcp_stream", "-P", "1", "-t", "4s", "-O", "100ms",
        "--samples", "4"]
READY = ["--ready-timeout", "20s"]
MEASURING = r"(?m)^1/\d+ "


def removal(kind, name):
    """Takes away an object of a test, whatever becomes of the test."""
    return lambda: kubectl("delete", kind, name, "--ignore-not-found", "--wait=false", check=False)


class Failure(unittest.TestCase):
    def ends(self, run, status, *reasons, seconds):
        """The exit status, the reasons in words, the time it took, and a clean cluster."""
        self.assertEqual(run.status, status, run)
        for reason in reasons:
            self.assertIn(reason, run.err, run)
        self.assertLess(run.seconds, seconds, run)
        self.assertEqual(two_nodes.leftovers(), [], run)


class BeforeAnythingIsMeasured(Failure):
    def test_one_node_alone(self):
        two_nodes.cluster()
        kubectl("cordon", "node2")
        self.addCleanup(kubectl, "uncordon", "node2")
        run = measure(*LONG)
        self.ends(run, 3, "node2: it is cordoned", "two different usable nodes", seconds=30)

    def test_a_node_that_was_named_and_is_cordoned(self):
        two_nodes.cluster()
        kubectl("cordon", "node1")
        self.addCleanup(kubectl, "uncordon", "node1")
        run = measure(*LONG, "--client-node", "node1", "--server-node", "node2")
        self.ends(run, 3, "--client-node node1: it is cordoned", "kubectl uncordon", seconds=30)

    def test_a_node_that_has_no_room(self):
        run = measure(*LONG, *READY, "--guaranteed", "--cpus", "64")
        self.ends(run, 3, "Unschedulable", "Insufficient cpu", "not within 20s", seconds=90)

    def test_an_image_that_is_not_there(self):
        run = measure(*LONG, "--image", "localhost/nosuch:1", "--pull-policy", "Never")
        self.ends(run, 3, "ErrImageNeverPull", "localhost/nosuch:1", "--pull-policy", seconds=60)

    def test_an_image_that_cannot_be_fetched(self):
        run = measure(*LONG, "--image", "localhost/nosuch:1")
        self.ends(run, 3, "ImagePullBackOff", "localhost/nosuch:1", "load the image", seconds=90)

    def test_a_quota_that_denies_the_pods(self):
        two_nodes.cluster()
        kubectl("create", "namespace", "tight")
        self.addCleanup(removal("namespace", "tight"))
        kubectl("create", "quota", "few", "-n", "tight", "--hard=pods=2")
        run = measure(*LONG, "-n", "tight")
        self.assertEqual(run.status, 3, run)
        self.assertIn("exceeded quota: few", run.err)
        self.assertIn("ResourceQuota", run.err)
        self.assertLess(run.seconds, 60)
        self.assertEqual(two_nodes.leftovers(), [])

    def test_a_quota_that_denies_any_pod(self):
        two_nodes.cluster()
        kubectl("create", "namespace", "full")
        self.addCleanup(removal("namespace", "full"))
        kubectl("create", "quota", "none", "-n", "full", "--hard=pods=0")
        run = measure(*LONG, "-n", "full")
        self.ends(run, 3, "exceeded quota: none", seconds=30)

    def test_an_account_that_may_create_no_pods(self):
        kubeconfig = two_nodes.account("nopods", [
            {"apiGroups": ["batch"], "resources": ["jobs"],
             "verbs": ["create", "get", "list", "delete"]},
            {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]},
        ])
        self.addCleanup(removal("namespace", "nopods"))
        run = measure(*LONG, "-n", "nopods", kubeconfig=kubeconfig)
        self.ends(run, 3, "this account may not", "create pods", "delete pods", seconds=30)

    def test_a_kubelet_that_has_stopped(self):
        two_nodes.cluster()
        script("stop", "kubelet", "node2")
        self.addCleanup(two_nodes.kubelet, "node2")
        run = measure(*LONG, *READY)
        self.ends(run, 3, "on node node2", "not within 20s", seconds=150)

    def test_an_api_server_that_is_not_there(self):
        two_nodes.cluster()
        self.addCleanup(own_objects.caught_up)
        self.addCleanup(two_nodes.api_server)
        script("stop", "apiserver")
        run = measure(*LONG)
        self.assertEqual(run.status, 3, run)
        self.assertIn("connect to the API server https://192.0.2.254", run.err)
        self.assertLess(run.seconds, 40)


class WhileItIsMeasured(Failure):
    def start(self, *more, run_id):
        launcher = Launcher("run", "-o", "json", "--image", IMAGE, "--run-id", run_id, *LONG, *more)
        self.addCleanup(launcher.stop)
        launcher.wait_for(MEASURING)
        return launcher

    def part_is_kept(self, run):
        document = run.document
        self.assertEqual(document["status"], "incomplete")
        self.assertGreater(len(document["errors"]), 0)
        measured = [s for s in document["samples"] if s["runs"] and not s["missing"]]
        lost = [s for s in document["samples"] if s["missing"]]
        self.assertGreater(len(measured), 0)
        self.assertGreater(len(lost), 0)

    def test_a_server_that_is_killed(self):
        launcher = self.start(run_id="killed")
        kubectl("delete", "pod", "podperf-killed-server-0", "-n", "podperf", "--force",
                "--grace-period=0")
        run = launcher.end(90)
        self.ends(run, 4, "podperf-killed-server-0", "is gone", seconds=90)
        self.part_is_kept(run)

    def test_a_server_that_crashes(self):
        launcher = self.start(run_id="crashed")
        two_nodes.kill_container("podperf-crashed-server-0", "serve -p")
        run = launcher.end(90)
        self.ends(run, 4, "podperf-crashed-server-0 on node node2", "exit code 137", seconds=90)
        self.part_is_kept(run)

    def test_a_client_that_is_evicted(self):
        launcher = self.start(run_id="evicted")
        kubectl("delete", "pod", "podperf-evicted-client-0", "-n", "podperf", "--wait=false")
        run = launcher.end(90)
        self.ends(run, 4, "podperf-evicted-client-0", seconds=90)
        self.part_is_kept(run)

    def test_an_api_server_that_is_away_for_20_s(self):
        launcher = self.start(run_id="away")
        self.addCleanup(own_objects.caught_up)
        script("stop", "apiserver")
        time.sleep(20)
        two_nodes.api_server()
        run = launcher.end(150)
        self.ends(run, 0, seconds=150)
        self.assertEqual(run.document["status"], "complete")

    def test_an_api_server_that_stays_away_leaves_a_run_to_collect(self):
        launcher = self.start("--api-timeout", "8s", run_id="unseen")
        self.addCleanup(own_objects.caught_up)
        self.addCleanup(two_nodes.api_server)
        script("stop", "apiserver")
        run = launcher.end(120)
        self.assertEqual(run.status, 4, run)
        self.part_is_kept(run)
        self.assertIn("kubectl podperf collect unseen", run.err)
        two_nodes.api_server()
        collected = launch("collect", "unseen", "-o", "json")
        self.assertEqual(collected.status, 0, collected)
        self.assertEqual(collected.document["status"], "complete")
        self.assertEqual(launch("destroy", "unseen").status, 0)
        self.assertEqual(two_nodes.leftovers(), [])
        # Nor does a controller that was still behind make anything anew.
        own_objects.caught_up()
        self.assertEqual(two_nodes.leftovers(), [])

    def test_a_kubelet_of_the_servers_node_that_stops(self):
        launcher = self.start(run_id="kubelet")
        script("stop", "kubelet", "node2")
        self.addCleanup(two_nodes.kubelet, "node2")
        run = launcher.end(240)
        # Its containers run on, so everything is measured; nobody confirms that they end.
        self.ends(run, 0, "do not answer", "podperf-kubelet-server-0", seconds=240)
        self.assertEqual(run.document["status"], "complete")

    def test_an_interrupt(self):
        launcher = self.start(run_id="interrupted")
        launcher.process.send_signal(signal.SIGINT)
        run = launcher.end(60)
        self.ends(run, 130, "ended by SIGINT", "deleted 1 Job", seconds=90)
        self.part_is_kept(run)

    def test_an_interrupt_while_pods_start(self):
        launcher = Launcher("run", "-o", "json", "--image", "localhost/nosuch:1", "--run-id",
                            "early", *LONG)
        launcher.wait_for("waiting for servers")
        launcher.process.send_signal(signal.SIGTERM)
        run = launcher.end(60)
        self.ends(run, 143, "ended by SIGTERM", seconds=60)

    def test_a_deadline_for_the_whole(self):
        run = measure(*LONG, "--run-id", "late", "--timeout", "15s")
        self.ends(run, 5, "not done within 15s", "raise --timeout", seconds=60)
        self.part_is_kept(run)

    def test_a_launcher_that_is_killed_leaves_what_its_time_to_live_ends(self):
        launcher = Launcher("run", "--image", IMAGE, "--run-id", "orphan", "--ttl", "5s",
                            "--scenarios", "host,clusterip", "--tests", "tcp_rr", *BRIEF,
                            "--samples", "1")
        launcher.wait_for(r"(?m)^1/\d+ ")
        launcher.process.kill()
        launcher.end(10)
        end = time.monotonic() + two_nodes.DELETION_TIMEOUT_S
        selector = ["-l", "app.kubernetes.io/managed-by=podperf", "-n", "podperf"]
        while kubectl("get", "jobs,pods,services", "-o", "name", *selector).strip():
            self.assertLess(time.monotonic(), end, "objects outlive their time to live")
            time.sleep(1)
        listed = launch("destroy")
        self.assertIn("no run has left anything", listed.out)
        self.assertEqual(two_nodes.leftovers(), [])


class Steps(Failure):
    """deploy, collect and destroy, each by itself."""

    def test_deploy_and_collect_later(self):
        run = launch("deploy", "--image", IMAGE, "--run-id", "later", "--scenarios", "host,pod",
                     "--tests", "tcp_stream,tcp_rr", *BRIEF, "--samples", "1")
        self.assertEqual((run.status, run.out), (0, "later\n"), run)
        collected = launch("collect", "later", "-o", "json")
        self.assertEqual(collected.status, 0, collected)
        document = collected.document
        self.assertEqual(document["status"], "complete")
        self.assertEqual(len(document["samples"]), 4)
        self.assertEqual(document["cluster"]["nodes"]["server"]["name"], "node2")
        again = launch("collect", "later", "-o", "json", "--no-wait")
        self.assertEqual(again.document["samples"], document["samples"])
        listed = launch("destroy")
        self.assertIn("kubectl podperf destroy later", listed.out)
        gone = launch("destroy", "later")
        self.assertIn("deleted 1 Job", gone.out)
        self.assertEqual(two_nodes.leftovers(), [])
        missing = launch("collect", "later")
        self.assertEqual(missing.status, 3, missing)
        self.assertIn("there is none of that name", missing.err)

    def test_preflight_tries_every_path_and_measures_nothing(self):
        run = launch("preflight", "--image", IMAGE, "--scenarios", "host,pod,clusterip")
        self.assertEqual(run.status, 0, run)
        for path in ("host", "pod", "clusterip"):
            self.assertRegex(run.out, rf"(?m)^ok +path {path} \(client.*answers at ")
        self.assertNotIn("FAILED", run.out)
        self.assertEqual(two_nodes.leftovers(), [])

    def test_preflight_fails_where_a_run_would(self):
        run = launch("preflight", "--image", "localhost/nosuch:1", "--pull-policy", "Never")
        self.assertEqual(run.status, 3, run)
        self.assertRegex(run.out, r"(?m)^FAILED +.*ErrImageNeverPull")
        self.assertEqual(two_nodes.leftovers(), [])

    def test_plan_touches_nothing_and_its_manifests_are_taken(self):
        before = kubectl("get", "all,networkpolicies,namespaces", "-A", "-o", "name")
        run = launch("plan", "--preset", "policies", "--policies", "3", "--run-id", "planned")
        self.assertEqual(run.status, 0, run)
        self.assertEqual(kubectl("get", "all,networkpolicies,namespaces", "-A", "-o", "name"),
                         before)
        with open(f"{two_nodes.cluster().directory.name}/plan.yaml", "w", encoding="utf-8") as file:
            file.write(run.out)
        taken = kubectl("apply", "--dry-run=client", "--validate=true", "-f", file.name)
        for object_ in ("role.rbac", "namespace/podperf", "job.batch/podperf-planned",
                        "pod/podperf-planned-server-policed-0", "networkpolicy.networking"):
            self.assertIn(object_, taken)


class Presets(Failure):
    def test_quick_is_one_command_of_less_than_three_minutes(self):
        run = launch("run", "--preset", "quick", "--image", IMAGE, "--out-dir", "quick", "-n",
                     "fresh")
        self.ends(run, 0, "namespace fresh", seconds=180)
        self.assertEqual(two_nodes.leftovers("fresh"), [])
        widest = max(len(line) for line in run.out.splitlines())
        self.assertLessEqual(widest, 120)
        for word in ("tcp_stream: goodput", "tcp_rr: latency", "vs host", "softirq", "stddev"):
            self.assertIn(word, run.out)
        files = two_nodes.command("find", f"{two_nodes.cluster().directory.name}/quick",
                                  "-type", "f")
        for name in ("result.json", "summary.json", "summary.md", "summary.txt", "cluster.json",
                     "manifests.yaml", "samples/0001-"):
            self.assertIn(f"quick/{name}", files)
        name = f"{two_nodes.cluster().directory.name}/quick/result.json"
        with open(name, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["schema"], "podperf.cluster/v1")


if __name__ == "__main__":
    unittest.main()
