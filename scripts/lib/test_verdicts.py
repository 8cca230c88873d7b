"""The stages of scripts/verdicts: one for each verdict of the published schema, and each can be played."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import netns
from test_faults import ROOT, podperf
from verdict_stages import STAGES, Bench

SCRIPT = ROOT / "scripts" / "verdicts"
SCHEMA = ROOT / "docs" / "podperf.run.v1.schema.json"


class Stages(unittest.TestCase):
    def test_there_is_one_for_each_verdict_of_the_schema(self):
        schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
        verdicts = [kind["const"] for kind in schema["$defs"]["Bound"]["oneOf"]]
        self.assertEqual(sorted(stage.verdict for stage in STAGES), sorted(verdicts))

    def test_the_list_names_them_all(self):
        done = subprocess.run([SCRIPT, "--list"], capture_output=True, text=True, check=True)
        for stage in STAGES:
            self.assertIn(stage.how, done.stdout)

    def test_what_is_no_verdict_is_wrong_usage(self):
        done = subprocess.run([SCRIPT, "--only", "loss,luck"], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("no verdict is called luck", done.stderr)


@unittest.skipUnless(os.geteuid() == 0, "network namespaces need root")
class Played(unittest.TestCase):
    def test_a_stage_is_played_and_leaves_nothing(self):
        program = podperf()
        if program is None:
            self.skipTest("no podperf was built: cargo build -p podperf")
        prefix = f"ppvt{os.getpid()}"
        stage = next(stage for stage in STAGES if stage.verdict == "pacing")
        try:
            netns.call(str(ROOT / "scripts" / "twohosts"), "up", "--prefix", prefix)
            with tempfile.TemporaryDirectory() as directory:
                bound, evidence = Bench(prefix, str(program), Path(directory)).play(stage)
        finally:
            netns.call(str(ROOT / "scripts" / "twohosts"), "down", "--prefix", prefix)
        self.assertEqual(bound, "pacing", evidence)


if __name__ == "__main__":
    unittest.main()
