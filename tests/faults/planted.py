"""Nets with a fault in them, for trainings in the test's own process."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from automl.data.stream import judged
from automl.dataset import Dataset, Task
from automl.engines import native
from automl.engines.loader import Batch, BatchStream
from automl.engines.network import Network
from automl.engines.protocol import Epoch, Event, Trained
from automl.plan import Plan
from automl.run_dir import RunDir
from automl.scoring.score import score
from tests.engines.toy import draw_set, toy_plan

STEPS = 3
"""Steps of an epoch of `small`."""


def small(task: Task, folder: Path, **train: Any) -> tuple[Plan, Dataset]:
    """A set of 12 images and a plan of three steps per epoch."""
    dataset = draw_set(task, folder / "data", train=12, val=4)
    settings = {"epochs": 3, "batch_size": 4, "micro_batch": 4, **train}
    return toy_plan(task, dataset, **settings), dataset


class Watcher:
    """Hears what a training tells; `at_step` and `at_epoch` are called with the numbers."""

    def __init__(
        self,
        plan: Plan,
        dataset: Dataset,
        at_step: Callable[[int, int], None] = lambda epoch, step: None,
        at_epoch: Callable[[int], None] = lambda epoch: None,
    ) -> None:
        self.plan, self.dataset = plan, dataset
        self.at_step, self.at_epoch = at_step, at_epoch
        self.losses: dict[int, dict[str, float]] = {}
        self.scores: dict[int, float] = {}
        self.steps: list[tuple[int, int]] = []
        self.events: list[Event] = []

    def train(self, folder: Path) -> Trained:
        """Trains in `folder`, or goes on there."""
        on = (self.on_epoch, self.on_step, self.events.append)
        return native.train(self.plan, self.dataset, RunDir(folder), *on)

    def on_epoch(self, epoch: Epoch) -> float:
        assert epoch.predictions is not None
        self.at_epoch(epoch.number)
        pairs = judged(self.dataset, "val", epoch.predictions)
        found = score(self.plan.task, "val", self.dataset.names, pairs).value
        assert epoch.number not in self.scores, "an epoch came twice"
        self.losses[epoch.number], self.scores[epoch.number] = epoch.losses, found
        return found

    def on_step(self, epoch: int, step: int, total: int, loss: float) -> None:
        assert total == STEPS
        self.steps.append((epoch, step))
        self.at_step(epoch, step)


def plant(patch: pytest.MonkeyPatch, change: Callable[[Network], None]) -> None:
    """Every net that a training builds is changed by `change` first."""
    build = native.build_network

    def planted(*arguments: Any) -> Network:
        network = build(*arguments)
        change(network)
        return network

    patch.setattr(native, "build_network", planted)


def plant_in_batches(patch: pytest.MonkeyPatch, change: Callable[[int, Batch], None]) -> None:
    """Each batch passes through `change`, together with how many came before it."""
    batches = BatchStream.batches

    def planted(*arguments: Any) -> Iterator[Batch]:
        for number, batch in enumerate(batches(*arguments)):
            change(number, batch)
            yield batch

    patch.setattr(BatchStream, "batches", planted)


def nan_like(tensor: torch.Tensor) -> torch.Tensor:
    """The same shape, full of NaN."""
    return torch.full_like(tensor, float("nan"))
