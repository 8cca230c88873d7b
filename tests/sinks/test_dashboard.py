"""The dashboard against Grafana's own schema, the types of its package @grafana/schema, and that its
panels do not lie on each other. Grafana itself is in none of Debian, npm and PyPI."""

import json
import shutil
import subprocess
import unittest

from dashboard import DASHBOARD
from servers import TARGET

PACKAGES = ("@grafana/schema@13.2.3", "typescript@5.9.3")
OPTIONS = ("--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--target", "es2020",
           "--moduleResolution", "bundler")


class Dashboard(unittest.TestCase):
    def types_refuse(self, folder, dashboard):
        """What the compiler says of a dashboard; nothing: it is one."""
        source = folder / "dashboard.ts"
        source.write_text("import type { Dashboard } from '@grafana/schema';\n"
                          f"export const dashboard: Dashboard = {json.dumps(dashboard)};\n")
        command = ["node", "node_modules/typescript/bin/tsc", *OPTIONS, source.name]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout

    def test_it_is_what_grafanas_schema_allows(self):
        if not (shutil.which("npm") and shutil.which("node")):
            self.skipTest("needs node and npm")
        folder = TARGET / "grafana-schema"
        folder.mkdir(parents=True, exist_ok=True)
        fetched = subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund",
                                  "--no-save", "--prefix", ".", *PACKAGES], cwd=folder,
                                 capture_output=True, text=True)
        if fetched.returncode:
            self.skipTest(f"{PACKAGES} could not be fetched: {fetched.stderr[-500:]}")
        self.assertEqual(self.types_refuse(folder, DASHBOARD), "")
        misspelt = json.loads(json.dumps(DASHBOARD).replace('"gridPos"', '"gridPosition"', 1))
        self.assertIn("gridPosition", self.types_refuse(folder, misspelt))

    def test_panels_have_ids_of_their_own_and_do_not_lie_on_each_other(self):
        panels = DASHBOARD["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken = set()
        for panel in panels:
            at = panel["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24)
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells
            refs = [target["refId"] for target in panel["targets"]]
            self.assertEqual(len(set(refs)), len(refs))


if __name__ == "__main__":
    unittest.main()
