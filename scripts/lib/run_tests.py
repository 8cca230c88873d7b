"""Runs the tests in a directory, that of the scripts unless another is named, and closes with a
line in cargo's form, for scripts/test to count.

    run_tests.py [DIRECTORY [TEST...]]      TEST is module, module.Class or module.Class.test
"""

import sys
import unittest
from pathlib import Path


def main():
    here = str(Path(sys.argv[1] if len(sys.argv) > 1 else __file__ + "/..").resolve())
    if len(sys.argv) > 2:
        sys.path.insert(0, here)
        suite = unittest.TestLoader().loadTestsFromNames(sys.argv[2:])
    else:
        suite = unittest.TestLoader().discover(here, pattern="test_*.py", top_level_dir=here)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    # A test with several failing parts is one; a class whose set-up fails ran none of its tests.
    bad = {getattr(test, "test_case", test) for test, _ in result.failures + result.errors}
    ran_and_bad = sum(isinstance(test, unittest.TestCase) for test in bad)
    ran_and_bad += len(result.unexpectedSuccesses)
    passed = result.testsRun - ran_and_bad - len(result.skipped)
    failed = len(bad) + len(result.unexpectedSuccesses)
    word = "FAILED" if failed else "ok"
    print(f"test result: {word}. {passed} passed; {failed} failed; {len(result.skipped)} ignored")
    return 1 if failed or not result.testsRun else 0


if __name__ == "__main__":
    sys.exit(main())
