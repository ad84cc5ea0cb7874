"""Several labels and probabilities an image in; average precision and F1 by class and over all."""

import numpy as np

from automl.errors import AutomlError, NumbersError
from automl.prediction import Prediction, Truth
from automl.scoring.intervals import Interval, bounds, resample, wilson
from automl.scoring.numbers import defined, mean_defined, ratio, table
from automl.scoring.scores import Scores

Array = np.ndarray

THRESHOLD = 0.5
"""Probability from which a class counts as given."""


class MultiLabelTally:
    """Collects pairs and scores them."""

    def __init__(self, classes: list[str]) -> None:
        self.classes = classes
        self.paths: list[str] = []
        self.shown: list[Array] = []
        self.probabilities: list[Array] = []

    def add(self, truth: Truth, prediction: Prediction) -> None:
        """Takes one image."""
        given, size = prediction.probabilities, (len(self.classes),)
        if truth.shown is None or truth.shown.shape != size:
            raise AutomlError(f"the truth says nothing of {size[0]} classes", where=truth.path)
        if given is None or given.shape != size:
            raise AutomlError(f"the model gave no {size[0]} probabilities", where=truth.path)
        if not np.isfinite(given).all():
            raise NumbersError("the model's probabilities are not finite", where=truth.path)
        self.paths.append(truth.path)
        self.shown.append(truth.shown)
        self.probabilities.append(given)

    def scores(self, split: str) -> Scores:
        """The scores of everything that was added."""
        shown = np.stack(self.shown).astype(bool)
        probabilities = np.stack(self.probabilities).astype(float)
        given = probabilities >= THRESHOLD
        hits, support, guessed = (shown & given).sum(0), shown.sum(0), given.sum(0)
        f1 = ratio(2 * hits, support + guessed)
        columns = {
            "ap": np.array(
                [average_precision(s, p) for s, p in zip(shown.T, probabilities.T, strict=True)]
            ),
            "f1": f1,
            "precision": ratio(hits, guessed),
            "recall": ratio(hits, support),
            "support": support,
        }
        metrics = {
            "mean_ap": float(mean_defined(columns["ap"])),
            "macro_f1": float(mean_defined(f1)),
            "micro_f1": float(ratio(2 * hits.sum(), support.sum() + guessed.sum())),
            "exact_match": float((shown == given).all(1).mean()),
        }
        right = 1 - np.abs(shown - probabilities).mean(1)
        return Scores(
            task="classification",
            split=split,
            images=len(shown),
            primary="mean_ap",
            metrics=defined(metrics, "mean_ap"),
            per_class=table(self.classes, columns),
            intervals=intervals(shown, given),
            details={"threshold": THRESHOLD},
            per_image=list(zip(self.paths, np.clip(right, 0, 1).tolist(), strict=True)),
        )


def average_precision(shown: Array, score: Array) -> float:
    """The mean precision where recall rises, equal scores taken together; NaN without an image."""
    order = np.argsort(-score, kind="stable")
    hits = shown[order].cumsum()
    last = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    if not hits[-1]:
        return float("nan")
    recall = hits[last] / hits[-1]
    return float((np.diff(recall, prepend=0.0) * (hits[last] / (last + 1))).sum())


def intervals(shown: Array, given: Array) -> dict[str, Interval]:
    """95 % intervals of the F1 scores and of exact matches."""
    hit, both = (shown & given).astype(float), shown.astype(float) + given
    macro, micro = [], []
    for counts in resample(len(shown)):
        hits, sums = counts @ hit, counts @ both
        macro.append(mean_defined(ratio(2 * hits, sums)))
        micro.append(ratio(2 * hits.sum(1), sums.sum(1)))
    drawn = bounds(macro_f1=np.concatenate(macro), micro_f1=np.concatenate(micro))
    exact = int((shown == given).all(1).sum())
    return {**drawn, "exact_match": wilson(exact, len(shown))}
