"""Classification: one class index per image, cross-entropy, softmax."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from automl.dataset import Dataset
from automl.model.preprocess import Geometry
from automl.prediction import Prediction, Truth
from automl.tasks.protocol import LossSettings


def annotation(truth: Truth) -> dict[str, Any]:
    """The label goes through augmentation untouched."""
    return {"label": truth.label}


def collate(annotations: list[dict[str, Any]]) -> torch.Tensor:
    """`int64 [B]`."""
    return torch.tensor([a["label"] for a in annotations])


def loss(
    net: nn.Module, images: torch.Tensor, targets: torch.Tensor, settings: LossSettings
) -> dict[str, torch.Tensor]:
    """Cross-entropy with label smoothing and class weights."""
    logits = net(images).float()
    value = functional.cross_entropy(
        logits, targets, settings.class_weights, label_smoothing=settings.label_smoothing
    )
    return {"cross_entropy": value}


def outputs(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Logits, `[B, K]`."""
    result: torch.Tensor = net(images)
    return result


def decode(outputs: torch.Tensor, geometries: list[Geometry], paths: list[str]) -> list[Prediction]:
    """Softmax over the classes."""
    rows = outputs.float().softmax(dim=1).cpu().numpy()
    return [Prediction(path, probabilities=row) for path, row in zip(paths, rows, strict=True)]


def class_frequency(dataset: Dataset) -> list[float]:
    """Training images per class."""
    counts = [0.0] * len(dataset.classes)
    for sample in dataset.split("train"):
        if sample.label is not None:
            counts[sample.label] += 1
    return counts
