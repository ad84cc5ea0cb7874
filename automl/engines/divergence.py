"""Checks the numbers of a training: NaN and infinity in a step, divergence over fifty steps."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from automl.engines.checkpoint import finite
from automl.engines.loader import Batch
from automl.engines.stop_reasons import bad_input, diverged, not_finite
from automl.plan import Train

DIVERGED_FACTOR, DIVERGED_STEPS = 10.0, 50
"""A loss of more than DIVERGED_FACTOR times the best for DIVERGED_STEPS steps is a divergence."""
SMOOTH = 0.9
"""The best is that of a mean over about ten steps; a single lucky batch does not count."""
FLOOR = 0.01
"""Below this share of the first loss only noise is left, and ten times nothing is nothing."""
SHOWN_FILES = 8
CHECK_EVERY = 10
"""Steps between checks of the loss on an accelerator, where each check waits for the device."""


@dataclass(frozen=True)
class StepRecord:
    """One step: its losses by name and the norm of its gradients, still on the device."""

    epoch: int
    number: int
    losses: dict[str, torch.Tensor]
    norm: torch.Tensor
    paths: list[str]

    @property
    def files(self) -> str:
        """The first files of the batch."""
        more = len(self.paths) - SHOWN_FILES
        return ", ".join(self.paths[:SHOWN_FILES]) + (f" and {more} more" if more > 0 else "")


@dataclass
class LossMonitor:
    """Records steps and checks them together, since each check waits for the device."""

    net: nn.Module
    train: Train
    mean: float = 0.0
    best: float = float("inf")
    first: float = 0.0
    far: int = 0
    recorded: list[StepRecord] = field(default_factory=list)

    @property
    def facts(self) -> dict[str, float]:
        """What a resumed training must know to stop where an uninterrupted one would."""
        return {name: getattr(self, name) for name in ("mean", "best", "first", "far")}

    def restore(self, facts: dict[str, Any]) -> None:
        """Puts `facts` back."""
        for name, value in facts.items():
            setattr(self, name, value)

    def record(self, step: StepRecord) -> None:
        """Keeps a step for the next `check`."""
        self.recorded.append(step)

    def check(self) -> None:
        """NumbersError where a recorded step was not finite, or the last fifty went astray."""
        steps, self.recorded = self.recorded, []
        if not steps:
            return
        losses = torch.stack([torch.stack(list(step.losses.values())).sum() for step in steps])
        norms = torch.stack([step.norm for step in steps])
        for step, loss, norm in zip(steps, losses.tolist(), norms.tolist(), strict=True):
            if loss - loss != 0 or norm - norm != 0:  # NaN and infinity alone do not cancel
                what = self._first_bad(step, newest=step is steps[-1])
                raise not_finite(step.epoch, step.number, self.train.lr, step.files, what)
            self._check_divergence(step, loss)

    def check_weights(self, epoch: int, step: int) -> None:
        """NumbersError where the last step spoilt them: nothing of it is validated or saved."""
        for name, tensor in self.net.state_dict().items():
            if not finite(tensor):
                raise not_finite(epoch, step, self.train.lr, what=f"the weight `{name}`")

    def _check_divergence(self, step: StepRecord, loss: float) -> None:
        if not self.mean:
            self.mean = self.first = loss
        self.mean = SMOOTH * self.mean + (1 - SMOOTH) * loss
        limit = DIVERGED_FACTOR * max(self.best, FLOOR * self.first)
        self.far = self.far + 1 if loss > limit else 0
        if self.far >= DIVERGED_STEPS:
            raise diverged(step.epoch, step.number, loss, self.best, self.train.lr)
        self.best = min(self.best, self.mean)

    def _first_bad(self, step: StepRecord, *, newest: bool) -> str:
        """The first tensor that is not finite, in the order in which a step makes them.

        Weights and gradients are those of the newest step: an earlier one may have spoilt them.
        """
        weights = self.net.named_parameters() if newest else ()
        for name, parameter in weights:
            if not finite(parameter.detach()):
                return f"the weight `{name}`"
        for name, part in step.losses.items():
            if not finite(part):
                return f"the loss `{name}`"
        if not newest:
            return "the gradient"
        for name, parameter in self.net.named_parameters():
            if parameter.grad is not None and not finite(parameter.grad):
                return f"the gradient of `{name}`"
        return "the gradient"


def is_checked(device: str, step: int, steps: int) -> bool:
    """Whether the loss is checked after this step of an epoch; steps count from 1."""
    return device == "cpu" or step in (1, steps) or step % CHECK_EVERY == 0


def check_input(batch: Batch, epoch: int, step: int) -> None:
    """NumbersError where an image or an annotation holds NaN or infinity; looks at floats only."""
    for what, index, tensor in _floats(batch):
        if not finite(tensor):
            path = batch.paths[index] if index >= 0 else _which(tensor, batch.paths)
            raise bad_input(epoch, step, what, path)


def _floats(batch: Batch) -> Iterator[tuple[str, int, torch.Tensor]]:
    """Every tensor that can hold NaN, and the image that it is of, or -1: of all in order."""
    if batch.images.is_floating_point():
        yield "the image", -1, batch.images
    if isinstance(batch.targets, torch.Tensor):
        yield "the target", -1, batch.targets
        return
    for index, target in enumerate(batch.targets):
        for name, tensor in target.items():
            yield f"`{name}` of the target", index, tensor


def _which(tensor: torch.Tensor, paths: list[str]) -> str:
    return next(path for path, part in zip(paths, tensor, strict=True) if not finite(part))
