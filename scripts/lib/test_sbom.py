"""The bill of materials of the engine, held against what cargo says of its dependencies.

Nothing is built here; test_image.py holds it against what the compiler was given.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import sbom

MAKE = Path(sbom.__file__).resolve()


def packages(*edges):
    """The packages below the engine, as `cargo tree` lists them."""
    listed = subprocess.run(["cargo", "tree", "-p", "podperf", "--no-default-features",
                             "--edges", ",".join(edges), "--target", sbom.host(), "--prefix", "none", "--format", "{p}"],
                            cwd=MAKE.parent, capture_output=True, text=True, check=True).stdout
    words = [line.split()[:2] for line in listed.splitlines()]
    return {f"{name}@{version.removeprefix('v')}" for name, version in words}


class BillOfMaterials(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.first = cls.make(b"program", "1767323045")
        cls.document = json.loads(cls.first)

    @classmethod
    def make(cls, program, date):
        with tempfile.NamedTemporaryFile() as file:
            file.write(program)
            file.flush()
            return subprocess.run([sys.executable, "-B", MAKE, file.name], capture_output=True,
                                  text=True, check=True, cwd="/",
                                  env={**os.environ, "SOURCE_DATE_EPOCH": date}).stdout

    def listed(self, *scopes):
        names = {part["bom-ref"] for part in self.document["components"]
                 if part["scope"] in scopes}
        own = self.document["metadata"]["component"]["bom-ref"]
        return {name for name in names if not name.startswith(sbom.TOOLCHAIN)} | {own}

    def test_it_lists_what_cargo_tree_lists_and_nothing_else(self):
        self.assertEqual(self.listed("required", "excluded"), packages("normal", "build"))
        self.assertEqual(self.listed("required"), packages("normal", "no-proc-macro"))
        normal = packages("normal")
        self.assertLess(self.listed("required"), normal)
        self.assertLessEqual(normal, self.listed("required", "excluded"))

    def test_what_only_tests_or_the_launcher_need_is_not_in_it(self):
        names = {part["name"] for part in self.document["components"]}
        self.assertLessEqual({"libc", "serde", "clap", "podperf-engine", "rust-std", "glibc"}, names)
        for name in ("kube", "tokio", "rustls", "schemars", "proptest", "criterion"):
            self.assertNotIn(name, names)

    def test_each_part_says_where_it_comes_from_and_its_licence(self):
        for part in self.document["components"]:
            with self.subTest(part["bom-ref"]):
                self.assertNotIn("/", part["licenses"][0]["expression"])
                if part["bom-ref"].startswith(sbom.TOOLCHAIN):
                    continue
                own = part["name"].startswith("podperf")
                self.assertEqual("purl" not in part, own)
                self.assertEqual("hashes" not in part, own)
                if not own:
                    self.assertEqual(part["purl"], f"pkg:cargo/{part['bom-ref']}")
                    self.assertRegex(part["hashes"][0]["content"], "^[0-9a-f]{64}$")

    def test_every_dependency_is_a_part_of_it(self):
        parts = {part["bom-ref"] for part in self.document["components"]}
        parts.add(self.document["metadata"]["component"]["bom-ref"])
        for entry in self.document["dependencies"]:
            self.assertLessEqual({entry["ref"], *entry["dependsOn"]}, parts)
        self.assertEqual(len(parts), len(self.document["components"]) + 1)

    def test_the_same_program_gives_the_same_text_and_another_says_so(self):
        self.assertEqual(self.make(b"program", "1767323045"), self.first)
        self.assertEqual(self.document["metadata"]["timestamp"], "2026-01-02T03:04:05Z")
        other = json.loads(self.make(b"another", "1767323045"))
        self.assertNotEqual(other["serialNumber"], self.document["serialNumber"])
        self.assertNotEqual(other["metadata"]["component"]["hashes"],
                            self.document["metadata"]["component"]["hashes"])
        self.assertEqual(other["components"], self.document["components"])
        self.assertNotIn(str(MAKE.parents[2]), self.first)


if __name__ == "__main__":
    unittest.main()
