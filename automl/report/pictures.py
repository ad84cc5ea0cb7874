"""Small pictures beside findings."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2

from automl.dataset import Dataset
from automl.errors import AutomlError
from automl.report.examples import data_uri
from automl.report.run_files import Material

EACH, ALL = 6, 60
"""Pictures of one kind of finding, and on the page."""

SIDE = 112
HEAVIEST = 6_000


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
