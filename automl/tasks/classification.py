"""Classification: one class index per image, cross-entropy, softmax.

Where an image may show several classes: which of them it shows, binary cross-entropy, sigmoid.
"""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from automl.dataset import Dataset
from automl.model.preprocess import Geometry
from automl.prediction import Prediction, Truth
from automl.tasks.protocol import LossSettings

SEVERAL = "several_labels"
"""The net's attribute that says so: it goes where the net goes, into copies too."""


def annotation(truth: Truth) -> dict[str, Any]:
    """The label goes through augmentation untouched."""
    return {"label": truth.label if truth.shown is None else truth.shown}


def collate(annotations: list[dict[str, Any]]) -> torch.Tensor:
    """`int64 [B]`, or `float32 [B, K]` for several classes."""
    labels = [a["label"] for a in annotations]
    if labels and isinstance(labels[0], np.ndarray):
        return torch.from_numpy(np.stack(labels)).float()
    return torch.tensor(labels)


def loss(
    net: nn.Module, images: torch.Tensor, targets: torch.Tensor, settings: LossSettings
) -> dict[str, torch.Tensor]:
    """Cross-entropy with label smoothing and class weights."""
    logits = net(images).float()
    if targets.ndim == 2:
        share = settings.label_smoothing
        wanted, weights = targets * (1 - share) + share / 2, settings.class_weights
        value = functional.binary_cross_entropy_with_logits(logits, wanted, weights)
        return {"binary_cross_entropy": value}
    weights, smoothing = settings.class_weights, settings.label_smoothing
    if weights is None:
        value = functional.cross_entropy(logits, targets, label_smoothing=smoothing)
        return {"cross_entropy": value}
    # An image counts by its class. Given the weights, torch would also smooth towards each class
    # by its weight: towards one without any image so far that it is often the answer.
    each = functional.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
    counts = weights[targets]
    return {"cross_entropy": (each * counts).sum() / counts.sum()}


def counted(targets: torch.Tensor, settings: LossSettings) -> dict[str, torch.Tensor]:
    """The sum of the classes' weights; without weights, and for several labels, images count."""
    if targets.ndim == 2 or settings.class_weights is None:
        return {}
    return {"cross_entropy": settings.class_weights[targets].sum()}


def outputs(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Logits `[B, K]`; for several classes `[B, K, 2]`, each against its absence."""
    result: torch.Tensor = net(images)
    if getattr(net, SEVERAL, False):
        return torch.stack([result, torch.zeros_like(result)], dim=-1)
    return result


def decode(outputs: torch.Tensor, geometries: list[Geometry], paths: list[str]) -> list[Prediction]:
    """Softmax over the classes, or over each class and its absence."""
    shares = outputs.float().softmax(dim=-1)
    rows = (shares if outputs.ndim == 2 else shares[..., 0]).cpu().numpy()
    return [Prediction(path, probabilities=row) for path, row in zip(paths, rows, strict=True)]


def class_frequency(dataset: Dataset) -> list[float]:
    """Training images per class."""
    counts = [0.0] * len(dataset.classes)
    for sample in dataset.split("train"):
        for label in sample.labels if sample.label is None else (sample.label,):
            counts[label] += 1
    return counts
