"""That a test which fails each time has failed, however often it is tried."""

import contextlib
import io
import unittest

import hosts
import retry


def outcome(failures):
    """How often a test ran that fails so many times, and whether it passed."""
    counted = {"runs": 0, "set up": 0}

    class Sample(retry.Retried):
        @classmethod
        def setUpClass(cls):
            counted["set up"] += 1

        def test(self):
            counted["runs"] += 1
            with self.subTest("part"):
                self.assertGreater(counted["runs"], failures, "late")

    result = unittest.TestResult()
    with contextlib.redirect_stderr(io.StringIO()) as told:
        unittest.TestSuite([Sample("test")]).run(result)
    assert counted["runs"] == counted["set up"] == told.getvalue().count(": late") + 1
    assert result.testsRun == 1
    return counted["runs"], result.wasSuccessful()


class Retry(unittest.TestCase):
    def test_there_are_three_tries(self):
        self.assertEqual(outcome(0), (1, True))
        self.assertEqual(outcome(2), (3, True))
        self.assertEqual(outcome(3), (3, False))

    def test_podperf_has_one(self):
        class Cases:
            pass

        Cases.__module__ = __name__
        hosts.each_pair()(Cases)
        made = {pair: globals().pop(f"Cases_{pair[0]}_to_{pair[1]}") for pair in hosts.PAIRS}
        retried = [pair for pair, cases in made.items() if issubclass(cases, retry.Retried)]
        self.assertEqual(retried, [hosts.REAL_TO_REAL])

    def test_what_is_left_out_is_said(self):
        class Sample(retry.Retried):
            def test(self):
                self.skipTest("no")

        result = unittest.TestResult()
        Sample("test").run(result)
        self.assertEqual([reason for _, reason in result.skipped], ["no"])
