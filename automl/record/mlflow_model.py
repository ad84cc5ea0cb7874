"""The model as MLflow loads it: a table of images in, one JSON-like answer per image out.

MLflow copies this file into the model and runs it when the model is loaded (models from code), so
nothing is pickled; the weights are the bundle's safetensors. It is never imported by the package.
"""

import base64
import binascii
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas  # type: ignore[import-untyped]
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from automl.data.frame import Frame
from automl.prediction import IGNORE, Prediction

LEAST = 0.3
"""Boxes of a lower confidence are left out unless the caller asks for them."""


class BundleModel(PythonModel):  # type: ignore[misc]
    """Predicts by the bundle that lies among the model's artefacts."""

    def load_context(self, context: Any) -> None:
        """Finds the bundle; its weights are loaded with the first prediction."""
        self.bundle = Path(context.artifacts["bundle"])

    def predict(
        self, context: Any, model_input: pandas.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """`model_input` has a column `image`: paths, or images as base64 text or data URLs."""
        from automl.model import bundle

        least = float((params or {}).get("min_confidence", LEAST))
        described = bundle.read(self.bundle)
        cells = enumerate(model_input["image"])
        pairs = [(str(i), _image(cell, described.frame)) for i, cell in cells]
        found = predictions(self.bundle, described.engine, pairs)
        if described.several_labels:
            return [_classes(prediction, described.names) for prediction in found]
        return [as_json(prediction, described.names, least) for prediction in found]


def predictions(
    bundle: Path, engine: str, images: list[tuple[str, np.ndarray]]
) -> Iterator[Prediction]:
    """The engine's own predictions: the one call from here into the rest of the package."""
    import torch

    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    if engine == "yolo":
        from automl.engines import yolo

        return yolo.predict(bundle, images, device)
    from automl.engines import native

    return native.predict(bundle, images, device)


def as_json(prediction: Prediction, names: list[str], least: float) -> dict[str, Any]:
    """What a caller gets for one image: names instead of indices, plain numbers and text."""
    if prediction.probabilities is not None:
        shares = [float(share) for share in prediction.probabilities]
        best = int(np.argmax(prediction.probabilities))
        probabilities = dict(zip(names, shares, strict=True))
        return {
            "label": names[best],
            "confidence": shares[best],
            "probabilities": probabilities,
        }
    if prediction.mask is not None:
        present = [int(index) for index in np.unique(prediction.mask) if index != IGNORE]
        height, width = prediction.mask.shape
        return {
            "width": width,
            "height": height,
            "classes": {str(index): names[index] for index in present},
            "mask_png": base64.b64encode(_png(prediction.mask)).decode(),
        }
    return {"objects": _objects(prediction, names, least)}


def _classes(prediction: Prediction, names: list[str]) -> dict[str, Any]:
    """For a model of several classes an image: all that it shows, surest first; perhaps none."""
    from automl.scoring.multi_label import THRESHOLD

    shares: Any = [] if prediction.probabilities is None else prediction.probabilities
    probabilities = {name: float(share) for name, share in zip(names, shares, strict=True)}
    shown = [name for name in names if probabilities[name] >= THRESHOLD]
    shown.sort(key=lambda name: -probabilities[name])
    return {"classes": shown, "probabilities": probabilities}


def _objects(prediction: Prediction, names: list[str], least: float) -> list[dict[str, Any]]:
    boxes, labels, confidences = prediction.boxes, prediction.labels, prediction.confidences
    if boxes is None or labels is None or confidences is None:
        return []
    return [
        {
            "label": names[int(label)],
            "confidence": float(confidence),
            "box": [round(float(side), 2) for side in box],
        }
        for box, label, confidence in zip(boxes, labels, confidences, strict=True)
        if confidence >= least
    ]


def _image(cell: Any, frame: Frame | None) -> np.ndarray:
    """Pixels of a cell: a path that is there, else base64 text."""
    from automl.data.images import read_image

    text = str(cell)
    if len(text) < 4096 and Path(text).is_file():
        return read_image(Path(text), frame)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        path.write_bytes(_decoded(text))
        return read_image(path, frame)


def _decoded(text: str) -> bytes:
    from automl.errors import DataError

    try:
        data = base64.b64decode(text.partition("base64,")[2] or text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise DataError(
            f"neither the path of an image nor an image in base64: `{text[:60]}`",
            hint="give paths that this process can read, or the files' bytes in base64",
        )
    return data


def _png(mask: np.ndarray) -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", mask)[1])


set_model(BundleModel())
