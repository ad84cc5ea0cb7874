"""Images unlike the rest of their set, and splits unlike each other, by cheap facts of every image.

Outliers: further from the median than 8 times the median distance from it. Splits: the two-sample
Kolmogorov-Smirnov test on brightness, contrast, sharpness and size; said where the distributions
lie 0.3 apart at some value and chance would do so once in 1,000 sets (all tests of a set together).
"""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from automl.data.images import ImageFacts
from automl.data.reading import warning
from automl.dataset import Dataset, Finding

FARTHEST = 8.0
"""Median distances from the median; of normal numbers one in 15 million lies so far out."""

FEWEST = 30
"""Images below which nothing is said about the usual."""

APART = 0.3
CHANCE = 0.001

_CURES = {
    "odd_size": "check that it belongs here",
    "odd_brightness": "check its exposure",
    "odd_sharpness": "check whether it is out of focus, noisy or a drawing",
}
_NAMES = {"side": "mean side", "brightness": "brightness", "sharpness": "sharpness"}


def outliers(dataset: Dataset, facts: Sequence[ImageFacts]) -> list[Finding]:
    """Odd sizes, brightness and sharpness; `facts` are those of the samples, in their order."""
    if len(facts) < FEWEST:
        return []
    known = _values(facts)
    findings = []
    for code, name, unit in (
        ("odd_size", "side", " px"),
        ("odd_brightness", "brightness", " of 255"),
        ("odd_sharpness", "sharpness", ""),
    ):
        values = np.log(known[name] + 1) if name != "brightness" else known[name]
        middle = np.median(values)
        spread = max(float(np.median(np.abs(values - middle))), 0.05 if name != "brightness" else 4)
        for place in np.flatnonzero(np.abs(values - middle) > FARTHEST * spread).tolist():
            usual = float(np.median(known[name]))
            reason = f"{_NAMES[name]} {known[name][place]:.3g}{unit}, the median is {usual:.3g}"
            findings.append(warning(code, dataset.samples[place].path, reason, _CURES[code]))
    return findings


def shifts(dataset: Dataset, facts: Sequence[ImageFacts]) -> list[Finding]:
    """Pairs of splits whose images differ in kind, one finding a pair."""
    known = _values(facts)
    splits: list[str] = [s.split for s in dataset.samples]
    names = [name for name in dataset.counts() if splits.count(name) >= FEWEST]
    findings = []
    for one, other in combinations(names, 2):
        first, second = (np.array([s == name for s in splits]) for name in (one, other))
        told = [
            f"{name} (median {np.median(v[first]):.3g} and {np.median(v[second]):.3g})"
            for name, v in known.items()
            if _differ(v[first], v[second], tests=3 * len(known))
        ]
        if told:
            reason = f"`{one}` and `{other}` differ in {', '.join(told)}"
            cure = "draw both from the same images, or waive it where that is meant"
            findings.append(warning("split_shift", other, reason, cure))
    return findings


def _values(facts: Sequence[ImageFacts]) -> dict[str, np.ndarray]:
    looks = [fact.look for fact in facts]
    return {
        "brightness": np.array([k.brightness if k else 0.0 for k in looks]),
        "contrast": np.array([k.contrast if k else 0.0 for k in looks]),
        "sharpness": np.array([k.sharpness if k else 0.0 for k in looks]),
        "side": np.array([math.sqrt(f.width * f.height) for f in facts]),
    }


def _differ(first: np.ndarray, second: np.ndarray, tests: int) -> bool:
    both = np.sort(np.concatenate([first, second]))
    below = [np.searchsorted(np.sort(v), both, side="right") / len(v) for v in (first, second)]
    apart = float(np.abs(below[0] - below[1]).max())
    weight = len(first) * len(second) / (len(first) + len(second))
    return apart >= APART and 2 * math.exp(-2 * weight * apart**2) * tests < CHANCE
