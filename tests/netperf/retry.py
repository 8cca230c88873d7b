"""Another try for tests of the real programs against each other, whose own faults on a busy machine
say nothing of podperf. A check that is wrong fails every time."""

import sys
import unittest

TRIES = 3


class Tape(unittest.TestResult):
    """A result that can be given to another one later."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def play(self, test, result):
        result.startTest(test)
        for name, arguments in self.calls:
            getattr(result, name)(*arguments)
        result.stopTest(test)


def recorded(name):
    def record(self, *arguments):
        getattr(super(Tape, self), name)(*arguments)
        self.calls.append((name, arguments))
    return record


for _name in ("addSuccess", "addFailure", "addError", "addSkip", "addSubTest",
              "addExpectedFailure", "addUnexpectedSuccess"):
    setattr(Tape, _name, recorded(_name))


class Retried(unittest.TestCase):
    """A test that has failed when it failed each time; its class is set up anew in between."""

    def run(self, result=None):
        for tries in range(1, TRIES + 1):
            tape = Tape()
            super().run(tape)
            if tape.wasSuccessful() or tries == TRIES:
                break
            last = [text.strip().splitlines()[-1] for _, text in tape.failures + tape.errors]
            print(f"{self.id()}: try {tries} of {TRIES}: {'; '.join(last)}", file=sys.stderr)
            self.doClassCleanups()
            self.setUpClass()
        tape.play(self, result)
        return result
