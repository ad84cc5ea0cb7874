"""Predictions of a split as files: one JSON line an image, masks as PNG; passes them through."""

import json
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from automl.files import told_as_damage
from automl.prediction import Prediction

DIGITS = 5
"""Decimal places kept: far below what any metric can see."""


def written(found: Iterable[Prediction], folder: Path) -> Iterator[Prediction]:
    """Yields each prediction after it is in `predictions.jsonl` (and `masks/`)."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "predictions.jsonl"
    with path.open("w", encoding="utf-8", errors="backslashreplace") as lines:
        for number, prediction in enumerate(found):
            lines.write(json.dumps(_line(prediction, number, folder), ensure_ascii=False) + "\n")
            yield prediction


def read(folder: Path, paths: Container[str] | None = None) -> Iterator[Prediction]:
    """Reads what `written` wrote, if it did; of `paths` only, if they are given."""
    path = folder / "predictions.jsonl"
    if not path.is_file():
        return
    with told_as_damage(path, "evaluate"), path.open(encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            if paths is None or line["path"] in paths:
                yield _prediction(line, folder)


def _line(prediction: Prediction, number: int, folder: Path) -> dict[str, Any]:
    line: dict[str, Any] = {"path": prediction.path}
    if prediction.probabilities is not None:
        line["probabilities"] = _rounded(prediction.probabilities)
    if prediction.mask is not None:
        import cv2

        (folder / "masks").mkdir(exist_ok=True)
        line["mask"] = f"masks/{number:06d}.png"
        cv2.imwrite(str(folder / line["mask"]), prediction.mask)
    if prediction.boxes is not None:
        line["boxes"] = _rounded(prediction.boxes)
        line["labels"] = [] if prediction.labels is None else prediction.labels.tolist()
        line["confidences"] = _rounded(prediction.confidences)
    return line


def _prediction(line: dict[str, Any], folder: Path) -> Prediction:
    if "mask" in line:
        import cv2

        mask = cv2.imread(str(folder / line["mask"]), cv2.IMREAD_UNCHANGED)
        return Prediction(line["path"], mask=np.asarray(mask, np.uint8))
    if "boxes" in line:
        return Prediction(
            line["path"],
            boxes=np.asarray(line["boxes"], np.float32).reshape(-1, 4),
            labels=np.asarray(line["labels"], np.int64),
            confidences=np.asarray(line["confidences"], np.float32),
        )
    return Prediction(line["path"], probabilities=np.asarray(line["probabilities"], np.float32))


def _rounded(values: np.ndarray | None) -> list[Any]:
    return [] if values is None else np.round(values.astype(float), DIGITS).tolist()
