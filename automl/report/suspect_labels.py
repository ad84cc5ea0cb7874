"""A run's predictions to labels worth a second look, with a picture each, and to findings."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from automl.data.checks import waived
from automl.data.ground_truth import truth
from automl.data.reading import warning
from automl.dataset import Dataset, Finding, Sample
from automl.errors import AutomlError
from automl.prediction import Prediction, Truth
from automl.record import predictions
from automl.report.examples import data_uri
from automl.report.label_issues import Corners, Doubt, in_boxes, in_labels, in_masks
from automl.report.run_files import Material

SUSPECTS = 12
"""Shown on the page."""

MOST = 200
"""Kept as findings."""

MASKS = 300
"""Images with the lowest scores whose masks are compared: a wrong label costs its image much."""

SIDE, HEAVIEST = 160, 8_000
MARGIN = 0.6
"""Of a box's longer side, shown around it."""

_INK = (230, 30, 120)


@dataclass(frozen=True)
class Suspect:
    """One label that may be wrong: what is given, what the model sees, and the figures for it."""

    path: str
    picture: str
    given: str
    given_share: str
    seen: str
    seen_share: str


def find_doubts(material: Material) -> list[Doubt]:
    """What the model contradicts in the split that it was judged on; the surest first."""
    dataset = material.dataset
    if dataset is None or dataset.multi_label or not _predicted(material).is_file():
        return []
    match dataset.task:
        case "classification":
            return in_labels(_pairs(dataset, material, _judged(dataset, material)))
        case "detection":
            return in_boxes(_pairs(dataset, material, _judged(dataset, material)))
        case "segmentation":
            samples = _judged(dataset, material)
            scores = dict(material.evaluation.get("per_image", []))
            worst = sorted(samples, key=lambda path: (scores.get(path, 0.0), path))[:MASKS]
            chosen = {path: samples[path] for path in worst}
            return in_masks(_pairs(dataset, material, chosen), len(dataset.classes))


def suspects(material: Material, doubts: Iterable[Doubt]) -> list[Suspect]:
    """The first few as the page shows them."""
    dataset = material.dataset
    if dataset is None:
        return []
    return [
        Suspect(
            doubt.path,
            _picture(dataset, doubt.path, doubt.box),
            _named(dataset, doubt.given, "nothing"),
            _shown(doubt.given_share),
            _named(dataset, doubt.seen, "nothing"),
            _shown(doubt.seen_share),
        )
        for doubt in list(doubts)[:SUSPECTS]
    ]


def findings(material: Material, doubts: Iterable[Doubt]) -> list[Finding]:
    """The same as findings, as those of the data contract."""
    dataset = material.dataset
    if dataset is None:
        return []
    cure = "check the label: either it is wrong, or the model is"
    found = [
        warning("label_suspect", doubt.path, _reason(dataset, doubt), cure)
        for doubt in list(doubts)[:MOST]
    ]
    return waived(found, (material.recipe.get("checks") or {}).get("waive") or {})


def _reason(dataset: Dataset, doubt: Doubt) -> str:
    given = _named(dataset, doubt.given, "not labelled")
    seen = _named(dataset, doubt.seen, "nothing there")
    share = "" if doubt.seen_share is None else f" ({doubt.seen_share:.2f})"
    x0, y0, x1, y1 = map(round, doubt.box or (0, 0, 0, 0))
    where = f" at x {x0} to {x1}, y {y0} to {y1}" if doubt.box else ""
    return f"{given}{where}, but the trained model sees {seen}{share}"


def _predicted(material: Material) -> Path:
    return material.run.predictions / "predictions.jsonl"


def _judged(dataset: Dataset, material: Material) -> dict[str, Sample]:
    split = material.evaluation.get("split")
    return {sample.path: sample for sample in dataset.samples if sample.split == split}


def _pairs(
    dataset: Dataset, material: Material, samples: dict[str, Sample]
) -> Iterator[tuple[Truth, Prediction]]:
    """What is known and predicted of each image; what can no longer be read is left out."""
    for found in predictions.read(material.run.predictions, samples):
        try:
            yield truth(dataset, samples[found.path]), found
        except (AutomlError, OSError):
            continue


def _named(dataset: Dataset, index: int | None, nothing: str) -> str:
    return nothing if index is None else dataset.names[index]


def _shown(share: float | None) -> str:
    return "" if share is None else f"{share:.3f}"


def _picture(dataset: Dataset, path: str, box: Corners | None) -> str:
    """A small picture of the image, or of the place; empty where it cannot be read."""
    from automl.data.images import read_image

    try:
        image = read_image(Path(dataset.root) / path, dataset.frame)
    except (AutomlError, OSError):
        return ""
    return data_uri(_small(image) if box is None else _place(image, box), HEAVIEST)


def _place(image: np.ndarray, box: Corners) -> np.ndarray:
    """The surroundings of a box, which is framed."""
    margin = max(16.0, MARGIN * max(box[2] - box[0], box[3] - box[1]))
    left, top = max(0, int(box[0] - margin)), max(0, int(box[1] - margin))
    right, bottom = int(box[2] + margin) + 1, int(box[3] + margin) + 1
    part = image[top:bottom, left:right]
    scale = SIDE / max(part.shape[:2])
    small = _small(part, scale)
    x0, y0, x1, y1 = (round(v * scale) for v in np.subtract(box, (left, top) * 2))
    return np.asarray(cv2.rectangle(small, (x0, y0), (x1, y1), _INK, 2))


def _small(image: np.ndarray, scale: float | None = None) -> np.ndarray:
    scale = min(1.0, SIDE / max(image.shape[:2])) if scale is None else scale
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(image, size, interpolation=how))
