"""Statistics of paired samples: pure functions.

Enters: figures of two tools, one pair a round. Leaves: medians, their ratio, and an interval for it.
"""

import random
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """Ratio of two medians, with the interval that holds it with the confidence asked for."""

    ours: float  # median of the numerator
    theirs: float  # median of the denominator
    ratio: float
    low: float
    high: float
    pairs: int


def quantile(ordered, share):
    """Value at `share` (0 to 1) of an ascending list, interpolated linearly between ranks."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def ratio_of_medians(pairs, seed, confidence=0.95, resamples=10_000):
    """Ratio of the medians of (ours, theirs) pairs with its percentile bootstrap interval.

    Whole rounds are drawn with replacement (Efron 1979), because the two figures of a round were
    measured one after the other and share what the machine did at that time. Theirs must be above
    zero, ours not below. With fewer than three pairs the interval says little; it is then the range of what was seen.
    """
    if not pairs:
        raise ValueError("no pairs")
    if any(ours < 0 or theirs <= 0 for ours, theirs in pairs):
        raise ValueError("a figure is below zero, or one of theirs is zero")
    draw = random.Random(seed)
    ratios = []
    for _ in range(resamples):
        drawn = draw.choices(pairs, k=len(pairs))
        ratios.append(median(p[0] for p in drawn) / median(p[1] for p in drawn))
    ratios.sort()
    ours = median(p[0] for p in pairs)
    theirs = median(p[1] for p in pairs)
    tail = (1 - confidence) / 2
    return Ratio(
        ours, theirs, ours / theirs, quantile(ratios, tail), quantile(ratios, 1 - tail), len(pairs)
    )
