"""All that changes while a model is trained, and the checkpoints that it is saved in."""

import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from automl.engines import checkpoint as checkpoints
from automl.engines.divergence import LossMonitor
from automl.engines.network import Network
from automl.engines.optimiser import MovingAverage

SAVE_EVERY_S = 600.0
"""Time between checkpoints within a long epoch."""
MOST_SHARE = 0.05
"""Of the time, that checkpoints between two epochs take: where epochs are short, some have none."""

_SAVED = ("step", "epoch_seconds", "lr", "micro_batch", "best_score", "best_epoch")
"""Fields that a checkpoint holds under their own names."""


@dataclass
class Progress:
    """The position in the training, and the weights there.

    `epoch` counts finished epochs, `step_in_epoch` the finished steps of the next one, `step` those
    of all epochs. The training ends after `total_steps`, be it within an epoch. `averaged` is
    `network` itself where no weights are averaged. `best_weights` are those of the best epoch.
    """

    network: Network
    averaged: Network
    optimiser: torch.optim.Optimizer
    monitor: LossMonitor
    steps_per_epoch: int
    total_steps: int
    micro_batch: int
    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    lr: float = 0.0
    epoch_seconds: float = 0.0
    best_score: float = float("-inf")
    best_epoch: int = 0
    best_weights: checkpoints.Tensors = field(default_factory=dict)
    loss_sums: checkpoints.Tensors = field(default_factory=dict)
    last_tick: float = field(default_factory=time.monotonic)

    @property
    def total_epochs(self) -> int:
        """All epochs; the last one may not be whole."""
        return -(-self.total_steps // self.steps_per_epoch)

    @property
    def steps_this_epoch(self) -> int:
        """Steps of the current epoch."""
        return min(self.steps_per_epoch, self.total_steps - self.epoch * self.steps_per_epoch)

    @cached_property
    def parameters(self) -> list[torch.nn.Parameter]:
        """The net's parameters; looked up once, since a step needs them twice."""
        return list(self.network.net.parameters())

    @cached_property
    def ema(self) -> MovingAverage | None:
        """Moves the averaged weights; None where no weights are averaged."""
        own = self.averaged is not self.network
        return MovingAverage(self.averaged.net, self.network.net) if own else None

    def tick(self) -> None:
        """Adds the time since the last tick to that of the epoch."""
        now = time.monotonic()
        self.epoch_seconds += now - self.last_tick
        self.last_tick = now

    def count_step(self, losses: checkpoints.Tensors) -> None:
        """A step is done, with these losses."""
        for name, value in losses.items():
            self.loss_sums[name] = self.loss_sums.get(name, 0) + value
        self.step_in_epoch += 1
        self.step += 1

    def end_epoch(self) -> None:
        """Counts the epoch; the next one starts without losses or time."""
        self.epoch, self.step_in_epoch = self.epoch + 1, 0
        self.epoch_seconds, self.loss_sums = 0.0, {}

    def checkpoint(self) -> checkpoints.Checkpoint:
        """Everything as tensors and facts."""
        self.tick()
        facts = {name: getattr(self, name) for name in _SAVED}
        facts |= {"total": self.total_epochs, "end": self.total_steps, "watch": self.monitor.facts}
        tensors = {
            "model": self.network.net.state_dict(),
            "averaged": {} if self.ema is None else self.averaged.net.state_dict(),
            "optimiser": checkpoints.optimiser_tensors(self.optimiser),
            "best": self.best_weights,
            "sums": self.loss_sums,
        }
        return checkpoints.Checkpoint(self.epoch, tensors, facts, self.step_in_epoch)

    def restore(self, saved: checkpoints.Checkpoint) -> None:
        """Goes back to where `checkpoint` was taken."""
        self.network.net.load_state_dict(saved.tensors["model"])
        if self.ema is not None:  # else it is the very net
            self.averaged.net.load_state_dict(saved.tensors["averaged"])
        checkpoints.restore_optimiser(self.optimiser, saved.tensors["optimiser"])
        self.best_weights = saved.tensors["best"]
        self.epoch, self.step_in_epoch = saved.epoch, saved.step
        device, sums = self.network.device, saved.tensors["sums"]
        self.loss_sums = {name: value.to(device) for name, value in sums.items()}
        self.total_steps = saved.facts.get("end", saved.facts["total"] * self.steps_per_epoch)
        for name in _SAVED:
            setattr(self, name, saved.facts[name])
        self.monitor.restore(saved.facts["watch"])

    def keep_best(self, score: float, epoch: int) -> None:
        """Copies the averaged weights where this epoch is the best so far."""
        if score > self.best_score:
            self.best_score, self.best_epoch = score, epoch
            state = self.averaged.net.state_dict()
            self.best_weights = {name: t.detach().cpu().clone() for name, t in state.items()}


@dataclass
class Checkpointer:
    """Writes checkpoints, if this process is the one that leads; never the same position twice."""

    folder: Path
    leads: bool
    every_epoch: bool = False
    """However long that takes: under a budget, which plans with epochs that all cost the same."""
    saved: tuple[int, int] = (0, 0)
    saved_at: float = field(default_factory=time.monotonic)
    took_s: float = 0.0

    def epoch_done(self, progress: Progress) -> None:
        """Writes a checkpoint, unless the last one took long and is not long ago."""
        if self.every_epoch or time.monotonic() - self.saved_at >= self.took_s / MOST_SHARE:
            self.save(progress)

    def save(self, progress: Progress) -> None:
        """Writes a checkpoint of this position."""
        position = (progress.epoch, progress.step_in_epoch)
        if self.leads and position != self.saved:
            began = time.monotonic()
            progress.monitor.check()  # on an accelerator the last steps are not checked yet
            checkpoints.save(self.folder, progress.checkpoint())
            self.took_s = time.monotonic() - began
        self.saved, self.saved_at = position, time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether a long epoch should not wait for its end."""
        return time.monotonic() - self.saved_at >= SAVE_EVERY_S
