"""What rules hand on: a value with its reason, and the situation that every rule may look at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from automl.dataset import Profile, Task
from automl.planning.backbones import Backbone
from automl.planning.hardware import Hardware
from automl.recipe.schema import Recipe
from automl.weights import Weights

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Choice(Generic[T_co]):
    """A decision: what, why, and what would have been next."""

    value: T_co
    because: str
    runner_up: str = ""


@dataclass(frozen=True)
class Situation:
    """What is known before the first decision."""

    recipe: Recipe
    profile: Profile
    hardware: Hardware
    step_s: Mapping[str, float] = field(default_factory=dict)
    """Measured seconds to train on one image at the plan's size, by model."""

    @property
    def task(self) -> Task:
        """The task."""
        return self.recipe.task

    def given(self, name: str) -> Any:
        """What the recipe sets for a key of `train`, or None."""
        return getattr(self.recipe.train, name)

    @property
    def train_images(self) -> int:
        """Images to learn from."""
        return max(1, self.profile.images.get("train", 0))

    @property
    def val_images(self) -> int:
        """Images that are scored after each epoch."""
        return self.profile.images.get("val", 0)

    @property
    def judge_on(self) -> Literal["val", "test"]:
        """The split that the finished model is scored on."""
        return "test" if self.profile.images.get("test") else "val"

    @property
    def judged_images(self) -> int:
        """Images of that split."""
        return self.profile.images.get(self.judge_on, 0)

    @property
    def on_gpu(self) -> bool:
        """Whether a graphics card trains."""
        return self.hardware.device != "cpu"

    @property
    def low_resolution(self) -> bool:
        """Thumbnails: so small that the whole image is the object."""
        return max(self.profile.width, self.profile.height) <= THUMBNAIL


@dataclass(frozen=True)
class Model:
    """The chosen row with the weights that it starts from."""

    row: Backbone
    weights: Weights

    @property
    def pretrained(self) -> bool:
        """Whether anything is loaded before training."""
        return self.weights.source != "none"


THUMBNAIL = 64
"""Longest side in pixels up to which a classification image counts as a thumbnail."""
