"""What differs per task in the native engine: a module with these functions, chosen by `module`."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol, cast

import torch
from torch import nn

from automl.dataset import Dataset
from automl.dataset import Task as TaskName
from automl.model.preprocess import Geometry
from automl.prediction import Prediction, Truth


@dataclass(frozen=True)
class LossSettings:
    """What the plan says of the loss; `class_weights` is `float32 [K]` with mean 1, or None."""

    label_smoothing: float = 0.0
    class_weights: torch.Tensor | None = None


class Task(Protocol):
    """Implemented by the modules `tasks.classification`, `.segmentation` and `.detection`."""

    def annotation(self, truth: Truth) -> dict[str, Any]:
        """The annotation by the names that Albumentations transforms together with the image."""
        ...

    def collate(self, annotations: list[dict[str, Any]]) -> Any:
        """One batch of targets: a tensor, or a list of dictionaries of tensors."""
        ...

    def loss(
        self, net: nn.Module, images: torch.Tensor, targets: Any, settings: LossSettings
    ) -> dict[str, torch.Tensor]:
        """Named parts of the loss, each a mean over the batch; their sum is minimised."""
        ...

    def counted(self, targets: Any, settings: LossSettings) -> dict[str, torch.Tensor]:
        """By its name, what a part of the loss is a mean over, in these targets.

        Where a batch is split, the means of its pieces are weighted by it; a part that is not
        named is weighted by the number of images.
        """
        ...

    def outputs(self, net: nn.Module, images: torch.Tensor) -> Any:
        """What the net returns for normalised images in evaluation mode."""
        ...

    def decode(
        self, outputs: Any, geometries: list[Geometry], paths: list[str]
    ) -> list[Prediction]:
        """What the net returned in evaluation mode, in pixels of the original images."""
        ...

    def class_frequency(self, dataset: Dataset) -> list[float]:
        """How often each class occurs in the training split, for balanced class weights."""
        ...


def module(name: TaskName) -> Task:
    """The module of a task."""
    found: ModuleType
    match name:
        case "classification":
            from automl.tasks import classification as found
        case "segmentation":
            from automl.tasks import segmentation as found
        case "detection":
            from automl.tasks import detection as found
    return cast(Task, found)
