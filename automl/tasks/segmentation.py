"""Segmentation: one class index per pixel, Dice + cross-entropy, 255 ignored by both."""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from automl.data.ahead import ahead
from automl.data.ground_truth import truth as read_truth
from automl.dataset import Dataset
from automl.model.preprocess import Geometry
from automl.prediction import IGNORE, Prediction, Truth
from automl.tasks.protocol import LossSettings


def annotation(truth: Truth) -> dict[str, Any]:
    """The mask moves with the image."""
    return {"mask": truth.mask}


def collate(annotations: list[dict[str, Any]]) -> torch.Tensor:
    """`uint8 [B, H, W]`: widened on the device only."""
    return torch.from_numpy(np.stack([a["mask"] for a in annotations]))


def loss(
    net: nn.Module, images: torch.Tensor, targets: torch.Tensor, settings: LossSettings
) -> dict[str, torch.Tensor]:
    """Cross-entropy for every pixel to count, Dice for every class to count."""
    from segmentation_models_pytorch.losses import DiceLoss

    logits, targets = net(images).float(), targets.long()
    # Where every pixel is ignored, the mean over none would be NaN: a class is taken for known and
    # counts zero. To leave out the arithmetic instead, a card would have to be waited for.
    known = (targets != IGNORE).any()
    targets = torch.where(known, targets, 0)
    entropy = functional.cross_entropy(
        logits,
        targets,
        settings.class_weights,
        ignore_index=IGNORE,
        label_smoothing=settings.label_smoothing,
    )
    dice = DiceLoss("multiclass", ignore_index=IGNORE)(logits, targets)
    return {"cross_entropy": entropy * known, "dice": dice * known}


def counted(targets: torch.Tensor, settings: LossSettings) -> dict[str, torch.Tensor]:
    """Pixels that are not ignored, by the weight of their class.

    Dice is no mean over pixels but one ratio for all images at once: it goes by images, so that a
    batch in parts has the mean of the parts' Dice.
    """
    known, weights = targets != IGNORE, settings.class_weights
    # Not by picking the known ones: how many they are, a card would have to be waited for.
    counts = known if weights is None else weights[torch.where(known, targets, 0).long()] * known
    return {"cross_entropy": counts.sum().float()}


def outputs(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Logits, `[B, K, H, W]`."""
    result: torch.Tensor = net(images)
    return result


def decode(outputs: torch.Tensor, geometries: list[Geometry], paths: list[str]) -> list[Prediction]:
    """The most probable class of each original pixel; logits are resized, not the mask."""
    return [
        Prediction(path, mask=_most_probable(logits.cpu().numpy(), geometry))
        for logits, geometry, path in zip(outputs.float(), geometries, paths, strict=True)
    ]


def _most_probable(logits: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Class by class: the maps of all classes at a photo's size would take gigabytes."""
    best = geometry.map_back(logits[0])
    mask = np.zeros(best.shape, np.uint8)
    for index, plane in enumerate(logits[1:], start=1):
        values = geometry.map_back(plane)
        # A later class has a larger index: several times as quick as assigning it where it leads.
        np.maximum(mask, (values > best) * np.uint8(index), out=mask)
        np.maximum(best, values, out=best)
    return mask


def class_frequency(dataset: Dataset) -> list[float]:
    """Training pixels per class."""
    counts = np.zeros(len(dataset.classes))
    for known in ahead(partial(read_truth, dataset), dataset.split("train")):
        mask = known.mask
        if mask is not None:
            counts += np.bincount(mask.ravel(), minlength=IGNORE + 1)[: len(counts)]
    return [float(c) for c in counts]
