"""Detection: boxes with a class each; the detector itself holds its losses and its decoding."""

from typing import Any

import numpy as np
import torch
from torch import nn

from automl.dataset import Dataset
from automl.model.preprocess import Geometry
from automl.prediction import Prediction, Truth
from automl.tasks.protocol import LossSettings


def annotation(truth: Truth) -> dict[str, Any]:
    """Boxes and their labels move with the image; crowds are no targets."""
    if truth.boxes is None or truth.labels is None:
        return {"bboxes": np.zeros((0, 4), np.float32), "labels": np.zeros(0, np.int64)}
    kept = np.ones(len(truth.boxes), bool) if truth.crowd is None else ~truth.crowd
    return {"bboxes": truth.boxes[kept], "labels": truth.labels[kept]}


def collate(annotations: list[dict[str, Any]]) -> list[dict[str, torch.Tensor]]:
    """`boxes` float32 [N, 4] and `labels` int64 [N] per image, without boxes that have no area.

    They are left out here, on the CPU: a card would have to be waited for, to know how many remain.
    """
    found = []
    for annotated in annotations:
        boxes = np.asarray(annotated["bboxes"], np.float32).reshape(-1, 4)
        solid = ~(boxes[:, 2:] <= boxes[:, :2]).any(axis=1)  # NaN stays, and is complained of
        labels = np.asarray(annotated["labels"], np.int64).reshape(-1)[solid]
        found.append({"boxes": torch.from_numpy(boxes[solid]), "labels": torch.from_numpy(labels)})
    return found


def loss(
    net: nn.Module,
    images: torch.Tensor,
    targets: list[dict[str, torch.Tensor]],
    settings: LossSettings,
) -> dict[str, torch.Tensor]:
    """The detector's own losses."""
    parts: dict[str, torch.Tensor] = net(list(images), targets)
    return parts


def counted(_targets: list[dict[str, torch.Tensor]], _settings: LossSettings) -> dict[str, Any]:
    """Nothing but images.

    FCOS and SSD divide by the anchors that the objects of all images at once were matched to, which
    only the net knows: a batch in parts has the mean of the parts' losses. RetinaNet's are means
    over images anyhow.
    """
    return {}


def outputs(net: nn.Module, images: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    """Boxes, scores and labels of each image after the detector's own suppression."""
    result: list[dict[str, torch.Tensor]] = net(list(images))
    return result


def decode(
    outputs: list[dict[str, torch.Tensor]], geometries: list[Geometry], paths: list[str]
) -> list[Prediction]:
    """Boxes in original pixels, clipped to the image, the most confident first."""
    found = []
    for output, geometry, path in zip(outputs, geometries, paths, strict=True):
        confidences = output["scores"].float().cpu().numpy()
        order = np.argsort(-confidences, kind="stable")
        boxes = geometry.boxes_back(output["boxes"].float().cpu().numpy()[order])
        labels = output["labels"].cpu().numpy()[order]
        found.append(Prediction(path, boxes=boxes, labels=labels, confidences=confidences[order]))
    return found


def class_frequency(dataset: Dataset) -> list[float]:
    """Training boxes per class."""
    counts = [0.0] * len(dataset.classes)
    for sample in dataset.split("train"):
        for label in sample.labels:
            counts[label] += 1
    return counts
