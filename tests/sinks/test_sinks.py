"""What podperf sends is what real databases have: InfluxDB 1.6, Prometheus 2.42 and its node
exporter, all of them Debian's."""

import json
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from dashboard import DASHBOARD
from servers import (DEADLINE, ENGINE, Daemon, InfluxDb, Missing, free_port, get, podperf, program,
                     until)

SHORT = ("-t", "1", "-O", "0.2", "-i", "0.2", "-qJ")
RUN_PARTS = ("ceiling", "connect_time", "cpu", "latency", "load", "packets", "schedule", "throughput",
             "transactions", "udp", "window")


def flat(path, value, found):
    """Every number and flag below `value`, by its path with `_` between the keys; lists aside."""
    if isinstance(value, dict):
        for key, below in value.items():
            flat(f"{path}_{key}" if path else key, below, found)
    elif isinstance(value, (bool, int, float)):
        found[path] = value
    return found


class InFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.spool = self.folder / "spool"

    def needs(self, *names):
        try:
            return [program(name) for name in names]
        except Missing as missing:
            self.skipTest(str(missing))

    def measured(self, *words):
        """The document of a run that went well, and what it said."""
        done = podperf(*words)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("cret", done.stdout + done.stderr)
        return json.loads(done.stdout), done.stderr


class InInfluxDb(InFolder):
    def setUp(self):
        super().setUp()
        self.needs("influxd")
        self.influx = InfluxDb(self.folder)
        self.addCleanup(lambda: self.influx.stop())

    def assert_holds(self, *documents):
        """InfluxDB has the figures of these documents, each once, and no others."""
        intervals, runs = self.influx.rows("podperf_interval"), self.influx.rows("podperf_run")
        self.assertEqual(len(runs), len(documents))
        self.assertEqual(len(intervals), sum(len(each["intervals"]) for each in documents))
        for document in documents:
            own = [row for row in intervals if row["run"] == document["started_at"]]
            own.sort(key=lambda row: row["time"])
            self.assertEqual(len(own), len(document["intervals"]))
            self.assertGreaterEqual(len(own), 4)
            for row, interval in zip(own, document["intervals"]):
                for name, value in flat("", interval, {}).items():
                    self.assertEqual(row[name], value, name)
            whole = next(row for row in runs if row["run"] == document["started_at"])
            for part in RUN_PARTS:
                for name, value in flat(part, document[part], {}).items():
                    self.assertEqual(whole[name], value, name)
            self.assertEqual(whole["status"], document["status"])
            self.assertEqual(whole["workload"], document["plan"]["workload"]["kind"])

    def test_points_read_back_equal_the_documents(self):
        documents = []
        for words in (("stream", "-P", "2"), ("rr",), ("crr",), ("udp", "-b", "10M"),
                      ("rr", "--rate", "200")):
            document, said = self.measured(*words, *SHORT, "--sink", self.influx.url())
            self.assertEqual(said, "")
            documents.append(document)
        self.assert_holds(*documents)

    def test_the_dashboards_queries_find_the_points(self):
        for words in (("stream",), ("rr",), ("udp",)):
            self.measured(*words, *SHORT, "--sink", self.influx.url())
        variables = {"$timeFilter": "time > 0", "$__interval": "1s"}
        for variable in DASHBOARD["templating"]["list"]:
            variables["$" + variable["name"]] = ".*"
            if variable["type"] == "query":
                found = self.influx.query(variable["query"])["results"][0]
                self.assertTrue(found.get("series"), variable["query"])
        asked = 0
        for panel in DASHBOARD["panels"]:
            for target in panel["targets"]:
                query = target["query"]
                for name, value in variables.items():
                    query = query.replace(name, value)
                self.assertNotIn("$", query.replace("$/", ""))
                found = self.influx.query(query)["results"][0]
                self.assertTrue(found.get("series"), f"{panel['title']}: {query}: {found}")
                columns = found["series"][0]["columns"]
                values = [row for series in found["series"] for row in series["values"]]
                for number, column in enumerate(columns):
                    self.assertTrue(any(row[number] is not None for row in values), column)
                asked += 1
        self.assertGreaterEqual(asked, 9)

    def test_a_run_while_it_is_away_is_sent_later_and_twice_is_once(self):
        self.influx.stop()
        document, said = self.measured("stream", *SHORT, "--sink", self.influx.url(),
                                       "--sink-spool", self.spool)
        self.assertIn("Connection refused", said)
        self.assertIn("podperf report --spool", said)
        copy = self.folder / "copy"
        shutil.copytree(self.spool, copy)
        self.influx.start()
        for folder in (self.spool, copy):
            done = podperf("report", "--spool", folder, "--sink", self.influx.url())
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(list(folder.iterdir()), [])
            self.assert_holds(document)

    def test_away_for_a_while_nothing_is_lost_and_nothing_comes_twice(self):
        words = ["stream", "-t", "12", "-O", "0.2", "-i", "0.2", "-qJ", "--sink", self.influx.url(),
                 "--sink-spool", str(self.spool)]
        run = subprocess.Popen([ENGINE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
        self.addCleanup(run.kill)
        until("first points", lambda: self.influx.rows("podperf_interval"))
        self.influx.stop()
        until("a spool", lambda: list(self.spool.iterdir()))
        self.influx.start()
        result, said = run.communicate(timeout=DEADLINE)
        self.assertEqual((run.returncode, said), (0, ""))
        self.assert_holds(json.loads(result))
        self.assertEqual(list(self.spool.iterdir()), [])

    def test_a_wrong_password_and_a_missing_database_are_told(self):
        for url, words in (
            (self.influx.url(password="wrong%2Fcret"), "it answers 401"),
            (self.influx.url(database="nosuch"), "it answers 404"),
        ):
            spool = self.folder / words.replace(" ", "-")
            document, said = self.measured("rr", *SHORT, "--sink", url, "--sink-spool", spool)
            self.assertIn("send points to http://***@127.0.0.1", said)
            self.assertIn(words, said)
            self.assertEqual(document["status"], "complete")
        self.assertEqual(self.influx.rows("podperf_run"), [])


class ForPrometheus(InFolder):
    def test_the_file_passes_promtool_and_the_node_exporter_serves_it(self):
        promtool, exporter = self.needs("promtool", "prometheus-node-exporter")
        documents = {}
        for words in (("stream", "-P", "2"), ("rr", "--rate", "200"), ("udp",)):
            path = self.folder / f"{words[0]}.prom"
            documents[words[0]], _ = self.measured(*words, *SHORT, "--openmetrics", path)
            with open(path) as text:
                checked = subprocess.run([promtool, "check", "metrics"], stdin=text,
                                         capture_output=True, text=True)
            self.assertEqual((checked.returncode, checked.stderr), (0, ""), checked.stdout)
        for name in ("rr", "udp"):
            (self.folder / f"{name}.prom").unlink()
        port = free_port()
        daemon = Daemon([exporter, "--collector.disable-defaults", "--collector.textfile",
                         f"--collector.textfile.directory={self.folder}",
                         f"--web.listen-address=127.0.0.1:{port}"], self.folder / "exporter.log")
        self.addCleanup(daemon.stop)
        url = f"http://127.0.0.1:{port}/metrics"
        text = until("the node exporter", lambda: get(url))
        self.assertIn("\nnode_textfile_scrape_error 0\n", text)
        lines = {line.split("{")[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                 if line.startswith("podperf_")}
        goodput = documents["stream"]["throughput"]["bits_per_second"]
        name = "podperf_run_throughput_bytes_per_second"
        self.assertAlmostEqual(lines[name] * 8 / goodput, 1, places=9)
        self.assertEqual(lines["podperf_run_complete"], 1)
        last = documents["stream"]["intervals"][-1]
        self.assertAlmostEqual(lines["podperf_interval_end_seconds"], last["end_seconds"])

    def test_prometheus_scrapes_what_a_server_has_counted(self):
        prometheus, = self.needs("prometheus")
        port, metrics, web = free_port(), free_port(), free_port()
        server = Daemon([ENGINE, "serve", "-p", str(port), "--bind", "127.0.0.1", "--metrics",
                         f"127.0.0.1:{metrics}"], self.folder / "server.log")
        self.addCleanup(server.stop)
        until("the server", lambda: get(f"http://127.0.0.1:{metrics}/metrics"))
        document, _ = self.measured("stream", f"127.0.0.1:{port}", *SHORT)
        config = self.folder / "prometheus.yml"
        config.write_text(f"""
            global: {{scrape_interval: 1s}}
            scrape_configs:
              - job_name: podperf
                static_configs: [{{targets: ["127.0.0.1:{metrics}"]}}]
            """)
        daemon = Daemon([prometheus, f"--config.file={config}",
                         f"--storage.tsdb.path={self.folder}/tsdb",
                         f"--web.listen-address=127.0.0.1:{web}"], self.folder / "prometheus.log")
        self.addCleanup(daemon.stop)

        def value():
            url = f"http://127.0.0.1:{web}/api/v1/query?query=sum(podperf_received_bytes_total)"
            found = json.loads(get(url))["data"]["result"]
            return found and float(found[0]["value"][1])

        received = until("a scrape", value)
        self.assertGreaterEqual(received, document["throughput"]["bytes_received"])


if __name__ == "__main__":
    unittest.main()
