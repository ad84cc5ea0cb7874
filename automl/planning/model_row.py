"""One row of the model table: the facts of a model. It costs no torch."""

from dataclasses import dataclass
from typing import Literal

from automl.dataset import Task

Size = Literal["small", "medium", "large"]
PERMISSIVE = ("Apache-2.0", "BSD-3-Clause", "MIT")
ATTENTION = ("vit_", "vitv2", "deit", "beit", "eva", "swin", "hiera", "xcit", "cait_", "pvt_")
"""In the names of transformers; `repvit_m1_1` is a convolutional net."""


@dataclass(frozen=True)
class Backbone:
    """One model. `parameters` in millions, `gflops` per image at `image_size`, both measured.

    `architecture` is the name that `source` knows (timm model, torchvision function, Ultralytics
    file, SMP encoder `tu-<timm model>`); `head` is what sits on it: `linear`, an SMP decoder, or a
    detection head. A multiply and an add are two operations. `activations` counts, in millions,
    the numbers that convolutions and linear layers hand on: in small nets they cost more time than
    the arithmetic. `licence` is that of the code, `weights_licence` that of the pretrained weights.
    `published` is what the publisher of the weights claims: top-1 on ImageNet-1k in percent (of
    the encoder where a head sits on one), or AP on COCO for a detector whose weights know COCO.
    A net of `fixed_size` keeps the image size that it was pretrained at.
    """

    name: str
    task: Task
    source: Literal["timm", "torchvision", "smp", "ultralytics"]
    architecture: str
    head: str
    size: Size
    parameters: float
    gflops: float
    image_size: int
    licence: str
    weights_licence: str
    activations: float
    published: float
    fixed_size: bool = False

    @property
    def engine(self) -> Literal["native", "yolo"]:
        """The engine that trains it."""
        return "yolo" if self.source == "ultralytics" else "native"

    @property
    def encoder(self) -> str:
        """The timm name of the part that has pretrained weights; empty where it is not timm's."""
        return self.architecture.removeprefix("tu-") if self.source in ("timm", "smp") else ""

    @property
    def transformer(self) -> bool:
        """Whether attention carries the backbone: other learning rates suit it."""
        name = self.architecture
        return "repvit" not in name and any(word in name for word in ATTENTION)

    @property
    def for_tests(self) -> bool:
        """A net so small that it is of use in tests only; `auto` never takes it."""
        return self.encoder.startswith("test_")

    def permissive(self, *, pretrained: bool) -> bool:
        """Whether a closed product may hold the model; weights count where they are used."""
        licences = (self.licence, self.weights_licence) if pretrained else (self.licence,)
        return all(licence in PERMISSIVE for licence in licences)


def size_of(parameters: float) -> Size:
    """The word for a number of parameters in millions."""
    if parameters < 12:
        return "small"
    return "medium" if parameters < 42 else "large"
