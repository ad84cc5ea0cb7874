"""Labels and probabilities in; accuracy, F1, AUC, calibration and confusion out."""

import numpy as np

from automl.errors import AutomlError, NumbersError
from automl.prediction import Prediction, Truth
from automl.scoring.intervals import Interval, bounds, resample_cells, wilson
from automl.scoring.numbers import defined, mean_defined, ratio, table
from automl.scoring.scores import Scores

Array = np.ndarray

BINS = 15
"""Bins of the calibration curve, as in Guo et al. 2017."""
LEAST = float(np.finfo(np.float32).eps)
"""Probabilities are clipped to this before the logarithm: a sure miss costs 15.9, not infinity."""


class ClassificationTally:
    """Collects pairs and scores them."""

    def __init__(self, classes: list[str]) -> None:
        self.classes = classes
        self.paths: list[str] = []
        self.labels: list[int] = []
        self.probabilities: list[Array] = []

    def add(self, truth: Truth, prediction: Prediction) -> None:
        """Takes one image."""
        if truth.label is None or not 0 <= truth.label < len(self.classes):
            raise AutomlError(
                f"label {truth.label} is none of {len(self.classes)} classes", where=truth.path
            )
        given = prediction.probabilities
        if given is None or given.shape != (len(self.classes),):
            raise AutomlError(
                f"the model gave no {len(self.classes)} probabilities", where=truth.path
            )
        if not np.isfinite(given).all():
            raise NumbersError("the model's probabilities are not finite", where=truth.path)
        self.paths.append(truth.path)
        self.labels.append(truth.label)
        self.probabilities.append(given)

    def scores(self, split: str) -> Scores:
        """The scores of everything that was added."""
        labels = np.asarray(self.labels)
        probabilities = np.stack(self.probabilities).astype(float)
        guesses = probabilities.argmax(1)
        counts = confusion(labels, guesses, len(self.classes))
        columns = per_class(counts)
        auc = one_vs_rest_auc(labels, probabilities)
        sure = probabilities[np.arange(len(labels)), labels]
        bins = calibration(guesses == labels, probabilities.max(1))
        metrics = {
            "accuracy": float(np.mean(guesses == labels)),
            "balanced_accuracy": float(mean_defined(columns["recall"])),
            "macro_f1": float(mean_defined(columns["f1"])),
            "auc": float(auc[1] if len(auc) == 2 else mean_defined(auc)),
            "log_loss": log_loss(labels, probabilities),
            "calibration_loss": calibration_loss(bins),
        }
        return Scores(
            task="classification",
            split=split,
            images=len(labels),
            primary="accuracy",
            metrics=defined(metrics, "accuracy"),
            per_class=table(self.classes, {**columns, "auc": auc}),
            intervals=intervals(counts),
            details={
                "confusion": counts.tolist(),
                "calibration": {name: values.tolist() for name, values in bins.items()},
            },
            per_image=list(zip(self.paths, np.clip(sure, 0, 1).tolist(), strict=True)),
        )


def confusion(truth: Array, guessed: Array, classes: int) -> Array:
    """Counts [classes, classes], rows = truth."""
    return np.bincount(truth * classes + guessed, minlength=classes**2).reshape(classes, classes)


def per_class(counts: Array) -> dict[str, Array]:
    """Precision, recall, F1 and support by class; NaN where there is nothing to divide by."""
    hits, support, guessed = counts.diagonal(), counts.sum(1), counts.sum(0)
    return {
        "precision": ratio(hits, guessed),
        "recall": ratio(hits, support),
        "f1": ratio(2 * hits, support + guessed),
        "support": support,
    }


def one_vs_rest_auc(labels: Array, probabilities: Array) -> Array:
    """Area under the ROC curve of each class against the rest; NaN where one side is empty."""
    return np.array([_auc(labels == k, column) for k, column in enumerate(probabilities.T)])


def _auc(positive: Array, score: Array) -> float:
    """The share of (positive, negative) pairs in the right order, ties counting half."""
    _, position, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[position]
    hits = int(positive.sum())
    above = ranks[positive].sum() - hits * (hits + 1) / 2
    return float(ratio(above, np.asarray(hits * (len(score) - hits))))


def log_loss(labels: Array, probabilities: Array) -> float:
    """The mean negative logarithm of the true class's probability."""
    total = np.maximum(probabilities.sum(1, keepdims=True), LEAST)
    sure = (probabilities / total)[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(sure, LEAST, 1)).mean())


def calibration(right: Array, confidence: Array) -> dict[str, Array]:
    """Images, mean confidence and accuracy in equal steps of confidence, without empty steps."""
    step = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    images = np.bincount(step, minlength=BINS)
    kept = images > 0
    sums = (np.bincount(step, weights=w, minlength=BINS)[kept] for w in (confidence, right))
    mean_confidence, accuracy = (s / images[kept] for s in sums)
    return {"images": images[kept], "confidence": mean_confidence, "accuracy": accuracy}


def calibration_loss(bins: dict[str, Array]) -> float:
    """The expected calibration error: how far confidence and accuracy lie apart on average."""
    gap = np.abs(bins["confidence"] - bins["accuracy"])
    return float(np.average(gap, weights=bins["images"]))


def intervals(counts: Array) -> dict[str, Interval]:
    """95 % intervals of accuracy and macro F1."""
    truth, guessed = counts.nonzero()
    drawn = resample_cells(counts[truth, guessed])
    support, predicted, hits = (
        _sum_by(keys, drawn * kept, len(counts))
        for keys, kept in ((truth, 1), (guessed, 1), (truth, truth == guessed))
    )
    f1 = ratio(2 * hits, support + predicted)
    accuracy = wilson(int(counts.trace()), int(counts.sum()))
    return {"accuracy": accuracy, **bounds(macro_f1=mean_defined(f1))}


def _sum_by(keys: Array, values: Array, size: int) -> Array:
    """Sums the columns of `values` that share a key: [rows, size]."""
    order = np.argsort(keys, kind="stable")
    found, first = np.unique(keys[order], return_index=True)
    sums = np.zeros((len(values), size))
    sums[:, found] = np.add.reduceat(values[:, order], first, axis=1)
    return sums
