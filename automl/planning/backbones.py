"""The model table: one row of facts per model that a recipe can name. It costs no torch."""

from dataclasses import dataclass
from typing import Literal

from automl.dataset import Task


@dataclass(frozen=True)
class Backbone:
    """One model. `parameters` in millions, `gflops` per image at `image_size`, both measured.

    `architecture` is the name that `source` knows (timm model, torchvision function, Ultralytics
    file); `head` is what sits on it: `linear`, an SMP decoder, or a detection head.
    """

    name: str
    task: Task
    source: Literal["timm", "torchvision", "smp", "ultralytics"]
    architecture: str
    head: str
    size: Literal["small", "medium", "large"]
    parameters: float
    gflops: float
    image_size: int
    licence: str

    @property
    def engine(self) -> Literal["native", "yolo"]:
        """The engine that trains it."""
        return "yolo" if self.source == "ultralytics" else "native"
