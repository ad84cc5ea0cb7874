"""The best and worst images of the judged split, with truth and prediction drawn side by side."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from automl.dataset import Dataset, Sample
from automl.errors import AutomlError
from automl.prediction import Prediction, Truth
from automl.record import predictions
from automl.report.run_files import Material

EACH = 8
"""Images shown of either end."""

LONGEST = 400
"""Longer side of a drawing in pixels; the page shows it at about 250, twice that on a phone."""

HEAVIEST = 48_000
"""Bytes of one JPEG: 32 drawings stay below 2.1 MB on the page."""


@dataclass(frozen=True)
class Guess:
    """One line under a classified image."""

    name: str
    share: float
    right: bool


@dataclass(frozen=True)
class Example:
    """One image: its drawings as data URIs, and what there is to say; `note` says what lacks."""

    path: str
    score: float
    drawings: tuple[tuple[str, str], ...] = ()
    truth: str = ""
    guesses: tuple[Guess, ...] = ()
    note: str = ""


def choose(
    scored: Sequence[tuple[str, float]], empty: frozenset[str] = frozenset(), each: int = EACH
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """The worst, worst first, and the best, best first; none in both, and no faultless worst.

    Of equally good images more than needed, those are taken that lie evenly in their order, and
    `empty` ones (without anything to find) only where there are no others.
    """
    order = sorted(scored, key=lambda pair: (pair[1], pair[0]))
    worst = [pair for pair in order[: min(each, len(order) // 2)] if pair[1] < 1]
    rest = sorted(order[len(worst) :], key=lambda pair: (-pair[1], pair[0] in empty, pair[0]))
    top = [pair for pair in rest if pair[1] == rest[0][1] and pair[0] not in empty]
    if len(top) > each:
        return worst, [top[len(top) * i // each] for i in range(each)]
    return worst, rest[:each]


def ends(material: Material) -> tuple[list[Example], list[Example]]:
    """Worst and best examples; both empty where nothing was evaluated."""
    scored = [(str(path), float(value)) for path, value in material.evaluation.get("per_image", [])]
    dataset = material.dataset
    if not scored or dataset is None or not (material.run.predictions).is_dir():
        return [], []
    samples = {s.path: s for s in dataset.samples if s.split == material.evaluation.get("split")}
    empty = dataset.task == "detection"
    nothing = frozenset(p for p, s in samples.items() if empty and not s.boxes)
    worst, best = choose([pair for pair in scored if pair[0] in samples], nothing)
    wanted = {path for path, _ in [*worst, *best]}
    found = {p.path: p for p in predictions.read(material.run.predictions, wanted)}
    least = _least(material)
    chosen = [
        [_example(dataset, samples[path], value, found.get(path), least) for path, value in group]
        for group in (worst, best)
    ]
    return chosen[0], chosen[1]


def _least(material: Material) -> float:
    """The confidence from which boxes are drawn: the one with the best F1, if it is known."""
    threshold = (material.evaluation.get("details") or {}).get("threshold")
    return float(threshold) if threshold is not None else 0.3


def _example(
    dataset: Dataset, sample: Sample, score: float, found: Prediction | None, least: float
) -> Example:
    """Draws one image; what cannot be read is said instead of shown."""
    from automl.data.ground_truth import truth
    from automl.data.images import read_image

    if found is None:
        return Example(sample.path, score, note="its prediction is missing")
    try:
        image = read_image(Path(dataset.root) / sample.path, dataset.frame)
        known = truth(dataset, sample)
    except (AutomlError, OSError):
        return Example(sample.path, score, note="the image can no longer be read")
    if found.probabilities is not None:
        return _classified(dataset.names, sample, score, image, found)
    return Example(sample.path, score, _pair(dataset.names, image, known, found, least))


def _pair(
    names: list[str], image: np.ndarray, known: Truth, found: Prediction, least: float
) -> tuple[tuple[str, str], ...]:
    from automl.tasks.draw import draw

    return tuple(
        (what, data_uri(draw(image, names, shown, least, longest=LONGEST)))
        for what, shown in (("truth", known), ("prediction", found))
    )


def _classified(
    names: list[str], sample: Sample, score: float, image: np.ndarray, found: Prediction
) -> Example:
    """One picture and the three likeliest classes: drawing the caption twice would say less."""
    from automl.tasks.draw import draw

    shares = found.probabilities if found.probabilities is not None else np.zeros(0)
    best = np.argsort(-shares, kind="stable")[:3]
    right = sample.labels if sample.label is None else (sample.label,)
    guesses = tuple(Guess(names[int(i)], float(shares[i]), int(i) in right) for i in best)
    plain = draw(image, names, Truth(sample.path), longest=320)
    known = ", ".join(names[label] for label in right)
    return Example(sample.path, score, (("image", data_uri(plain)),), known, guesses)


def data_uri(image: np.ndarray, heaviest: int = HEAVIEST) -> str:
    """A JPEG, as fine as its weight allows; text and edges keep full colour resolution."""
    data = b""
    for quality in (88, 78, 66, 52, 38):
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        if quality > 60:
            options += [
                cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
                cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
            ]
        data = cv2.imencode(".jpg", image[..., ::-1], options)[1].tobytes()
        if len(data) <= heaviest:
            break
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")
