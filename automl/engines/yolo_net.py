"""A YOLO net from its architecture, and what it detects; no pickle, no pretrained download."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

from automl.model.preprocess import Geometry, Preprocess
from automl.prediction import Prediction

LEAST_CONFIDENCE = 0.001
OVERLAP = 0.7
"""IoU above which the weaker of two boxes goes: Ultralytics' own value for validation."""
MOST = 300
TOGETHER = 8
NO_HURRY = 600.0
"""Seconds per image: its time limit would drop detections on a busy machine."""


def architecture(name: str) -> dict[str, Any]:
    """The layers of `yolo26n.yaml` and its like, read from the package and from nowhere else."""
    from ultralytics.utils import ROOT

    family, scale = name[: -len("n.yaml")], name[-len("n.yaml")]
    file = ROOT / "cfg" / "models" / family.removeprefix("yolo") / f"{family}.yaml"
    layers: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {**layers, "scale": scale, "yaml_file": name}


def build_net(
    layers: dict[str, Any], names: list[str], donor: nn.Module | None = None
) -> nn.Module:
    """The net with first weights, or with those of a donor wherever their shapes agree.

    A branch of the head is as wide as its number of classes asks; from a donor it takes the width,
    and the last layer's weights of classes with the same name.
    """
    from ultralytics.nn.tasks import DetectionModel

    net: nn.Module = DetectionModel(deepcopy(layers), ch=3, nc=len(names), verbose=False)
    net.names = dict(enumerate(names))  # type: ignore[assignment]
    if donor is not None:
        net.load(donor, verbose=False)  # type: ignore[operator]
    return net


def detections(
    net: nn.Module,
    preprocess: Preprocess,
    images: Iterable[tuple[str, np.ndarray]],
    device: torch.device,
) -> Iterator[Prediction]:
    """What the net sees in each image, best first, in pixels of the original.

    YOLO 26 has a second head that needs no suppression. The usual one is used for all models: it
    is what Ultralytics validates by, and it is ahead after a short training.
    """
    net.eval()
    net.end2end = False  # type: ignore[assignment]
    remaining = iter(images)
    while chunk := list(islice(remaining, TOGETHER)):
        fitted = [preprocess.apply(image) for _, image in chunk]
        pixels = np.stack([image for image, _ in fitted]).transpose(0, 3, 1, 2)
        found = _suppressed(net, torch.from_numpy(pixels).to(device))
        for (path, _), (_, geometry), rows in zip(chunk, fitted, found, strict=True):
            yield _prediction(path, geometry, rows)


def _suppressed(net: nn.Module, pixels: torch.Tensor) -> list[np.ndarray]:
    """Rows of x0, y0, x1, y1, confidence, label in the frame, per image."""
    from ultralytics.utils.nms import non_max_suppression

    with torch.no_grad():
        raw = net(pixels.float() / 255)
        kept = non_max_suppression(
            raw,
            LEAST_CONFIDENCE,
            OVERLAP,
            multi_label=True,
            max_det=MOST,
            max_time_img=NO_HURRY,
        )
    return [rows.float().cpu().numpy() for rows in kept]


def _prediction(path: str, geometry: Geometry, rows: np.ndarray) -> Prediction:
    boxes = geometry.boxes_back(rows[:, :4])
    whole = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    order = np.argsort(-rows[whole, 4], kind="stable")
    return Prediction(
        path,
        boxes=boxes[whole][order],
        labels=rows[whole, 5].astype(np.int64)[order],
        confidences=rows[whole, 4].astype(np.float32)[order],
    )


def load_pretrained(path: Path) -> nn.Module:
    """A net from a `.pt` file; only the known layers of Ultralytics and torch are unpickled."""
    from ultralytics.nn.tasks import load_checkpoint

    net: nn.Module = load_checkpoint(path)[0]
    return net
