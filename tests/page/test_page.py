"""The page of `podperf report`, opened in a browser: no console message, no request, no text cut off,
and nothing that an accessibility check finds.

Enters: PODPERF_PAGE, the page, which `cargo test -p podperf --test cli report::` leaves in Cargo's
folder for tests; a Chromium (`chromium`, `chromium-headless-shell`), node and npm. Leaves: the npm
packages in the page's folder.
"""

import json
import os
import shutil
import subprocess
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = ["playwright-core@1.65.1", "axe-core@4.14.1"]
BROWSERS = ["chromium", "chromium-headless-shell"]


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        page = Path(os.environ["PODPERF_PAGE"]).resolve()
        browser = next(filter(None, map(shutil.which, BROWSERS)), None)
        if not browser or not shutil.which("npm"):
            raise unittest.SkipTest("needs Chromium, node and npm")
        folder = page.parent / "page-test"
        folder.mkdir(exist_ok=True)
        (folder / "package.json").write_text("{}")
        install = ["npm", "install", "--silent", "--no-save", "--prefix", folder, *PACKAGES]
        done = subprocess.run(install, capture_output=True, text=True, timeout=300,
                              stdin=subprocess.DEVNULL)
        if done.returncode:
            raise unittest.SkipTest(f"npm brought no packages: {done.stderr[-300:]}")
        look = ["node", HERE / "look.js", page, browser, folder / "node_modules"]
        done = subprocess.run(look, capture_output=True, text=True, timeout=300,
                              stdin=subprocess.DEVNULL)
        if done.returncode:
            raise AssertionError(done.stderr)
        cls.told = json.loads(done.stdout)
        cls.page = page

    def test_it_says_nothing_on_the_console(self):
        self.assertEqual(self.told["console"], [])

    def test_it_requests_nothing_but_itself(self):
        self.assertEqual(set(self.told["requests"]), {self.page.as_uri()})

    def test_every_figure_is_there(self):
        self.assertGreaterEqual(self.told["figures"], 15)
        self.assertEqual(self.told["figures"], self.page.read_text().count("<figure"))

    def test_no_text_is_cut_off(self):
        self.assertEqual(len(self.told["clipped"]), 8)
        for where, found in self.told["clipped"].items():
            with self.subTest(where):
                self.assertEqual(found, [])

    def test_an_accessibility_check_finds_nothing(self):
        for scheme, found in self.told["accessibility"].items():
            with self.subTest(scheme):
                self.assertEqual(found, [])
