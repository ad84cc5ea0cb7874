"""All that changes while a model is trained, and how it is kept: one position, one checkpoint."""

import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from automl.engines import checkpoint as checkpoints
from automl.engines.divergence import Watch
from automl.engines.network import Network
from automl.engines.optimiser import Average

SAVE_EVERY_S = 600.0
"""Within an epoch that takes longer, this often."""

_KEPT = ("step", "epoch_seconds", "lr", "micro_batch", "best_score", "best_epoch")


@dataclass
class Progress:
    """`epoch` counts finished epochs, `at` the steps of the one that runs, `step` all steps.

    An epoch has `steps` of them; the training ends after `end`, be it within an epoch. `sums` adds
    up the losses of this epoch; `best` holds the weights of the best epoch.
    """

    network: Network
    averaged: Network
    optimiser: torch.optim.Optimizer
    watch: Watch
    steps: int
    end: int
    micro_batch: int
    epoch: int = 0
    at: int = 0
    step: int = 0
    lr: float = 0.0
    epoch_seconds: float = 0.0
    best_score: float = float("-inf")
    best_epoch: int = 0
    best: checkpoints.Tensors = field(default_factory=dict)
    sums: checkpoints.Tensors = field(default_factory=dict)
    clock: float = field(default_factory=time.monotonic)

    @property
    def total(self) -> int:
        """Epochs in all, the last one perhaps not whole."""
        return -(-self.end // self.steps)

    @property
    def due(self) -> int:
        """Steps of the epoch that runs."""
        return min(self.steps, self.end - self.epoch * self.steps)

    @cached_property
    def parameters(self) -> list[torch.nn.Parameter]:
        """Those of the net; looked up once, since a step needs them twice."""
        return list(self.network.net.parameters())

    @cached_property
    def average(self) -> Average | None:
        """What moves the averaged weights; None where there are none of their own."""
        own = self.averaged is not self.network
        return Average(self.averaged.net, self.network.net) if own else None

    def tick(self) -> None:
        """Counts the time since the last tick."""
        now = time.monotonic()
        self.epoch_seconds += now - self.clock
        self.clock = now

    def end_epoch(self) -> None:
        """The next one begins with nothing."""
        self.epoch, self.at, self.epoch_seconds, self.sums = self.epoch + 1, 0, 0.0, {}

    def checkpoint(self) -> checkpoints.Checkpoint:
        """All of it as tensors and facts."""
        self.tick()
        facts = {name: getattr(self, name) for name in ("total", "end", *_KEPT)}
        tensors = {
            "model": self.network.net.state_dict(),
            "averaged": self.averaged.net.state_dict(),
            "optimiser": checkpoints.optimiser_tensors(self.optimiser),
            "best": self.best,
            "sums": self.sums,
        }
        facts["watch"] = self.watch.facts
        return checkpoints.Checkpoint(self.epoch, tensors, facts, self.at)

    def restore(self, saved: checkpoints.Checkpoint) -> None:
        """Puts everything back to where `checkpoint` found it."""
        self.network.net.load_state_dict(saved.tensors["model"])
        self.averaged.net.load_state_dict(saved.tensors["averaged"])
        checkpoints.restore_optimiser(self.optimiser, saved.tensors["optimiser"])
        self.best, self.epoch, self.at = saved.tensors["best"], saved.epoch, saved.step
        device = self.network.device
        self.sums = {name: value.to(device) for name, value in saved.tensors["sums"].items()}
        self.end = saved.facts.get("end", saved.facts["total"] * self.steps)
        for name in _KEPT:
            setattr(self, name, saved.facts[name])
        self.watch.restore(saved.facts["watch"])

    def keep_best(self, score: float, epoch: int) -> None:
        """Copies the averaged weights where this epoch is the best so far."""
        if score > self.best_score:
            self.best_score, self.best_epoch = score, epoch
            state = self.averaged.net.state_dict()
            self.best = {name: t.detach().cpu().clone() for name, t in state.items()}


@dataclass
class Keeper:
    """Saves where this process leads; never the same position twice."""

    folder: Path
    leads: bool
    saved: tuple[int, int] = (0, 0)
    when: float = field(default_factory=time.monotonic)

    def save(self, progress: Progress) -> None:
        """Leaves a checkpoint of this very position."""
        position = (progress.epoch, progress.at)
        if self.leads and position != self.saved:
            progress.watch.look()  # before it, an accelerator's last steps were not looked at
            checkpoints.save(self.folder, progress.checkpoint())
        self.saved, self.when = position, time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last one is so old that a long epoch should not wait for its end."""
        return time.monotonic() - self.when >= SAVE_EVERY_S
