"""What an engine is: a module with `train` and `predict`. It never records and never scores."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from automl.clock import Clock
from automl.dataset import Dataset
from automl.plan import Plan
from automl.prediction import Prediction
from automl.run_dir import RunDir


@dataclass(frozen=True)
class Epoch:
    """One finished epoch. `predictions` are those of the validation split, made as they are read.

    An engine whose own trainer validates leaves `predictions` empty and gives its `metrics`.
    """

    number: int
    total: int
    seconds: float
    losses: dict[str, float]
    learning_rate: float
    predictions: Iterator[Prediction] | None = None
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """What else happens in a training: `kind` and `facts` for the journal, `text` for the person.

    `resume`: it goes on from a checkpoint. `checkpoint`: a damaged one was passed over. `memory`:
    out of memory, so fewer images at once. `compile`: the net is not compiled, and why. `pace`: how
    many steps the budget has time for; it may have no text.
    """

    kind: str
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


OnEpoch = Callable[[Epoch], float]
"""Scores and records an epoch; returns the primary metric, higher is better."""

OnStep = Callable[[int, int, int, float], None]
"""Shows progress: epoch, step, steps of the epoch, loss.

Epoch 0 is the instant answer; while its features are computed, images count as steps, without a
loss (NaN).
"""

OnEvent = Callable[[Event], None]
"""Records an event and says it."""


def ignore_event(_: Event) -> None:
    """Does nothing."""


@dataclass(frozen=True)
class Trained:
    """A finished training: the bundle's folder, and the facts that the engine alone knows."""

    bundle: Path
    best_epoch: int
    epochs: int
    stopped_early: bool
    facts: dict[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """Implemented by the modules `engines.native` and `engines.yolo`."""

    def train(  # noqa: PLR0913  what is trained, and all who watch it
        self,
        plan: Plan,
        dataset: Dataset,
        run: RunDir,
        on_epoch: OnEpoch,
        on_step: OnStep,
        on_event: OnEvent = ignore_event,
        clock: Clock | None = None,
    ) -> Trained:
        """Trains what the plan says, leaves a bundle at `run.model`; resumes where it stopped.

        A budget of the plan is the run's, whose time the clock has; without one the training's.
        """
        ...

    def predict(
        self, bundle: Path, images: Iterable[tuple[str, np.ndarray]], device: str
    ) -> Iterator[Prediction]:
        """Predicts upright RGB images (`uint8 [H, W, 3]`) by the bundle alone, in their order."""
        ...

    def augmented(
        self, plan: Plan, dataset: Dataset, count: int
    ) -> tuple[list[np.ndarray], list[str]]:
        """The first training images as the model will see them, annotations drawn; captions."""
        ...
