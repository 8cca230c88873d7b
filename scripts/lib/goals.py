"""What podperf is to reach against its peers, and whether samples show it: pure functions.

Enters: samples of compare-peers. Leaves: rows of comparison, one a measure and peer, and a row for
each goal and path: the ratio against the best peer of its test, with its interval, and what it shows.
"""

import itertools
from dataclasses import dataclass

import peers
import stats
import suite


@dataclass(frozen=True)
class Measure:
    """A figure of a sample that is compared."""

    kinds: tuple  # of the tests that have it
    key: str  # in a sample
    name: str
    unit: str
    better: str | None  # None: the tools should agree
    form: str


BULK, PACED = ("stream", "udp"), ("paced",)
TRANSACTIONS, LOAD = ("rr", "crr", "udp-rr"), ("load",)
MEASURES = (
    Measure(BULK, "rate", "goodput", "Gbit/s", "more", "{:.2f}"),
    Measure(PACED, "rate", "goodput", "Gbit/s", None, "{:.4f}"),
    Measure(PACED, "loss_percent", "loss", "%", None, "{:.3f}"),
    Measure(PACED, "jitter_us", "jitter", "µs", None, "{:.2f}"),
    Measure(BULK + PACED, "cpu", "CPU", "core s/Gbit", "less", "{:.4f}"),
    Measure(PACED, "own_cores", "own CPU", "cores", "less", "{:.4f}"),
    Measure(PACED, "late_p99_us", "lateness p99", "µs", "less", "{:.1f}"),
    Measure(TRANSACTIONS + LOAD, "rate", "transactions", "1/s", "more", "{:.0f}"),
    Measure(TRANSACTIONS + LOAD, "latency_us", "mean latency", "µs", "less", "{:.2f}"),
    # No CPU beside it: streams and transactions share the machine, all of which is in use.
    Measure(LOAD, "bulk_rate", "bulk goodput", "Gbit/s", "more", "{:.2f}"),
    Measure(TRANSACTIONS, "cpu", "CPU", "CPU µs/trans", "less", "{:.2f}"),
)
MAY_BE_ZERO = ("user_share", "loss_percent", "jitter_us")
IN_SUMMARY = {"rate": "rate", "cpu": "CPU/Gbit", "own_cores": "own CPU", "late_p99_us": "late p99"}


@dataclass(frozen=True)
class Goal:
    """At least (rate) or at most (CPU, user share, lateness) so much of the best peer's figure; a bound of None
    is no goal, only a comparison with the best peer."""

    test: str
    subject: str
    key: str
    bounds: dict  # path -> bound

    def at_least(self):
        return self.key == "rate"


FEWEST_ROUNDS = 5  # below, an interval is little more than the range of what was seen
EVERYWHERE = ("loopback", "veth", "vxlan")


def all_paths(bound):
    return dict.fromkeys(EVERYWHERE, bound)


GOALS = (
    Goal("stream1", "podperf", "rate", all_paths(1.0)),
    Goal("stream4", "podperf", "rate", all_paths(1.0)),
    Goal("stream4-fast", "podperf-fast", "rate", {"loopback": 1.15, "veth": 1.0, "vxlan": 1.0}),
    Goal("stream4-fast", "podperf-fast", "cpu", {"loopback": 0.9, "veth": 1.0, "vxlan": 1.0}),
    Goal("rr1-pinned", "podperf-spin", "rate", all_paths(3.0)),
    Goal("rr1-pinned", "podperf", "rate", all_paths(1.0)),
    Goal("rr512", "podperf-uring", "rate", {"veth": 1.4}),
    Goal("rr64", "podperf-uring", "rate", {"veth": 1.0}),
    Goal("crr", "podperf", "rate", all_paths(None)),
    Goal("udp", "podperf", "rate", all_paths(None)),
    # Whoever asks for bursts wants the least CPU and takes them late: no goal.
    *(Goal(test.name, subject, key, {"veth": 1.0 if subject == "podperf" else None})
      for test in suite.TESTS.values() if test.times_arrivals
      for subject in test.subjects for key in ("own_cores", "late_p99_us")),
    *(Goal(test.name, "podperf-as-netperf", "rate", all_paths(None))
      for test in suite.TESTS.values() if "podperf-as-netperf" in test.subjects),
    # No peer: podperf's own user time in % of all CPU time.
    Goal("stream1", "podperf", "user_share", all_paths(3.0)),
    Goal("stream4", "podperf", "user_share", all_paths(3.0)),
)
# Across CPUs only netperf is the measure (TCP_RR -T 0,1); sockperf stands beside it.
MEASURED_AGAINST = {"rr1-pinned": ("netperf",)}


@dataclass(frozen=True)
class Shown:
    """What the samples show of a goal on a path. Figures are None where samples are missing."""

    goal: Goal
    path: str
    best: str | None  # the peer with the best median; None: no peer in it
    ratio: stats.Ratio | None

    def bound(self):
        return self.goal.bounds[self.path]

    def word(self):
        """`met` and `not met` where the whole interval says so."""
        if self.ratio is None:
            return "missing"
        if self.bound() is None:
            return "-"
        if self.ratio.pairs < FEWEST_ROUNDS:
            return "too few rounds"
        low, high = self.ratio.low, self.ratio.high
        reached, missed = low >= self.bound(), high < self.bound()
        if not self.goal.at_least():
            reached, missed = high <= self.bound(), low > self.bound()
        return "met" if reached else "not met" if missed else "no difference shown"


def measure_of(test, key):
    """The measure that a key is in a test."""
    return next(m for m in MEASURES if m.key == key and suite.TESTS[test].kind in m.kinds)


def by_round(samples, path, test, key):
    """Tool -> figure, one mapping a round; figures of zero only where they may be zero."""
    rounds = {}
    for sample in samples:
        if (sample["path"], sample["test"]) != (path, test) or sample.get(key) is None:
            continue
        if sample[key] > 0 or key in MAY_BE_ZERO:
            rounds.setdefault(sample["round"], {})[sample["tool"]] = sample[key]
    return [rounds[number] for number in sorted(rounds)]


def paired(rounds, subject, peer):
    """(subject's, peer's) figures of the rounds that have both."""
    return [(figures[subject], figures[peer]) for figures in rounds
            if {subject, peer} <= figures.keys()]


def compare(samples, paths, tests, seed):
    """A row for each path, test, measure, subject and peer: the medians and their ratio.

    Without the subject's figure the peer's median stands alone; zero is no base of a ratio.
    """
    rows = []
    for path, test, measure in itertools.product(paths, tests, MEASURES):
        if test.kind not in measure.kinds:
            continue
        rounds = by_round(samples, path, test.name, measure.key)
        for subject, peer in itertools.product(test.subjects, test.peers):
            theirs = [figures[peer] for figures in rounds if peer in figures]
            # An earlier podperf is held against today's in the same way alone.
            if not theirs or peer.removesuffix(peers.BEFORE) not in (peer, subject):
                continue
            rows.append({"path": path, "test": test.name, "measure": measure.key,
                         "subject": subject, "peer": peer, "unit": measure.unit,
                         "better": measure.better,
                         **beside(theirs, paired(rounds, subject, peer), seed)})
    return rows


def beside(theirs, pairs, seed):
    """The figures of a row."""
    if not pairs:
        return {"theirs": stats.median(theirs), "pairs": 0}
    if all(peers_own > 0 for _, peers_own in pairs):
        return vars(stats.ratio_of_medians(pairs, seed))
    ours, theirs = zip(*pairs)
    return {"ours": stats.median(ours), "theirs": stats.median(theirs), "pairs": len(pairs)}


def shown(samples, paths, tests, seed):
    """What the samples show of each goal whose test was to be run."""
    names = {test.name for test in tests}
    return [show(goal, path, samples, seed) for goal in GOALS if goal.test in names
            for path in paths if path in goal.bounds]


def show(goal, path, samples, seed):
    """The subject against the peer with the best median over all its rounds."""
    rounds = by_round(samples, path, goal.test, goal.key)
    if goal.key == "user_share":
        pairs, best = [(figures[goal.subject], 1.0) for figures in rounds
                       if goal.subject in figures], None
    else:
        against = MEASURED_AGAINST.get(goal.test, suite.TESTS[goal.test].peers)
        medians = {}
        for peer in against:
            figures = [figures[peer] for figures in rounds if peer in figures]
            if figures:
                medians[peer] = stats.median(figures)
        if not medians:
            return Shown(goal, path, None, None)
        choose = max if goal.at_least() else min
        best = choose(medians, key=medians.get)
        pairs = paired(rounds, goal.subject, best)
    ratio = stats.ratio_of_medians(pairs, seed) if pairs else None
    return Shown(goal, path, best, ratio)


def way(subject):
    """A subject in short: how podperf was used."""
    if subject == "podperf-as-netperf":
        return "alias"
    return subject.removeprefix("podperf").removeprefix("-") or "plain"


def summary_cells(item):
    """A row of the summary as text."""
    goal, ratio = item.goal, item.ratio
    sign = "≥" if goal.at_least() else "≤"
    if goal.key == "user_share":
        what, target, form = "user time", f"{sign} {item.bound():g} %", "{:.2f}"
    else:
        what = IN_SUMMARY[goal.key]
        target, form = f"{sign} {item.bound() or 0:g} ×", "{:.3f}"
    if item.bound() is None:
        target = "-"
    measured, interval = "-", "-"
    if ratio is not None:
        measured = form.format(ratio.ratio)
        interval = f"[{form.format(ratio.low)}, {form.format(ratio.high)}]"
    rounds = str(ratio.pairs) if ratio else "0"
    return [goal.test, item.path, way(goal.subject), what, item.best or "-", target, measured, interval,
            rounds, item.word()]


SUMMARY_HEAD = ["test", "path", "way", "figure", "best peer", "target", "measured", "95 %",
                "n", "shown"]
SUMMARY_ALIGNMENT = "<<<<<>>>><"
