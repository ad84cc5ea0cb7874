"""Small pictures beside findings, and labels that the trained model doubts."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from automl.dataset import Dataset
from automl.errors import AutomlError
from automl.record import predictions
from automl.report.examples import data_uri
from automl.report.material import Material

EACH, ALL = 6, 60
"""Pictures of one kind of finding, and on the page."""

SIDE = 112
HEAVIEST = 6_000

SUSPECTS = 12
DOUBT, SURE = 0.2, 0.7
"""At most so much probability for the given label, and at least so much for another one."""


@dataclass(frozen=True)
class Suspect:
    """One image whose label may be wrong: what it is given as, and what the model sees."""

    path: str
    picture: str
    given: str
    given_share: float
    seen: str
    seen_share: float


def beside(material: Material, groups: list[dict[str, Any]]) -> None:
    """Puts pictures of the images that findings name into `groups`, as `pictures`."""
    dataset = material.dataset
    samples = {s.path for s in dataset.samples} if dataset else set()
    left = ALL
    for group in groups:
        named = dict.fromkeys(
            path
            for file, reason in group["files"]
            for path in (file, *re.findall(r"`([^`]+)`", reason))
            if path in samples
        )
        shown = _pictures(dataset, list(named)[: min(EACH, left)]) if dataset else []
        group["pictures"] = shown
        left -= len(shown)


def suspects(material: Material) -> list[Suspect]:
    """Judged images with the least confidence in their own label and much in another."""
    dataset = material.dataset
    split = material.evaluation.get("split")
    if dataset is None or dataset.task != "classification" or dataset.multi_label:
        return []
    if not (material.run.predictions / "predictions.jsonl").is_file():
        return []
    labels = {s.path: s.label for s in dataset.samples if s.split == split and s.label is not None}
    doubted = []
    for found in predictions.read(material.run.predictions, labels):
        if found.probabilities is None or len(found.probabilities) != len(dataset.classes):
            continue
        label, best = labels[found.path] or 0, int(np.argmax(found.probabilities))
        given, seen = (float(found.probabilities[i]) for i in (label, best))
        if best != label and given <= DOUBT and seen >= SURE:
            doubted.append((given, found.path, label, best, seen))
    chosen = sorted(doubted)[:SUSPECTS]
    pictures = dict(_pictures(dataset, [path for _, path, *_ in chosen]))
    names = dataset.names
    return [
        Suspect(path, pictures.get(path, ""), names[label], given, names[best], seen)
        for given, path, label, best, seen in chosen
    ]


def _pictures(dataset: Dataset, paths: Iterable[str]) -> list[tuple[str, str]]:
    """Paths with their picture; what cannot be read is left out."""
    from automl.data.images import read_image

    found = []
    for path in paths:
        try:
            image = read_image(Path(dataset.root) / path, dataset.frame)
        except (AutomlError, OSError):
            continue
        scale = min(1.0, SIDE / max(image.shape[:2]))
        size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        found.append((path, data_uri(small, HEAVIEST)))
    return found
