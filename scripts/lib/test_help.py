"""Every script says how it is used."""

import os
import subprocess
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]


class Help(unittest.TestCase):
    def test_every_script_prints_its_usage(self):
        programs = [path for path in sorted(SCRIPTS.iterdir())
                    if path.is_file() and os.access(path, os.X_OK)]
        self.assertIn("flood", [program.name for program in programs])
        for program in programs:
            with self.subTest(script=program.name):
                done = subprocess.run([program, "--help"], capture_output=True, text=True,
                                      stdin=subprocess.DEVNULL, timeout=60, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(program.name, done.stdout)


if __name__ == "__main__":
    unittest.main()
