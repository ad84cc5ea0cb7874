"""Ultralytics' detection trainer with our data, our judge and our checkpoints.

Imported only after `yolo_settings.load_ultralytics`, which mutes the library.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from ultralytics.models.yolo.detect import DetectionTrainer

from automl.clock import Clock
from automl.data.stream import images
from automl.dataset import Dataset
from automl.engines import checkpoint as checkpoints
from automl.engines.divergence import is_checked
from automl.engines.protocol import Epoch, Event, OnEpoch, OnEvent, OnStep
from automl.engines.recorded_schedule import Replay
from automl.engines.stop_reasons import not_finite
from automl.engines.time_budget import TimeBudget, time_budget_of
from automl.engines.yolo_data import begin_epoch, description
from automl.engines.yolo_net import detections
from automl.model.preprocess import Preprocess
from automl.plan import Plan
from automl.signals import held


@dataclass(frozen=True)
class Job:
    """All that one training needs; `make_net` gives the net with its first weights."""

    plan: Plan
    dataset: Dataset
    images: Path
    checkpoints: Path
    arguments: dict[str, Any]
    preprocess: Preprocess
    make_net: Callable[[], nn.Module]
    on_epoch: OnEpoch
    on_step: OnStep
    on_event: OnEvent
    clock: Clock | None
    replay: Replay = Replay()


class Trainer(DetectionTrainer):  # type: ignore[misc]  # untyped library
    """Overrides where Ultralytics reads data, validates, saves and resumes; its loop is its own."""

    model: Any
    stop: bool

    def __init__(self, job: Job) -> None:
        """Takes the job in place of its configuration file and data YAML."""
        self.job = job
        self.done, self.began = 0, 0.0
        self.end, self.scheduled = 0, job.plan.train.epochs
        self.budget: TimeBudget | None = None
        self.best_score, self.best_epoch = float("-inf"), 0
        self.best_state: checkpoints.Tensors = {}
        self.step_number = 0
        self.images_at_once = job.plan.train.micro_batch
        super().__init__(overrides=job.arguments)
        torch.set_num_threads(job.plan.train.threads)  # it has just taken all cores
        self.add_callback("on_train_epoch_start", Trainer.begin_epoch)
        self.add_callback("on_train_batch_end", Trainer.after_step)

    def get_dataset(self) -> dict[str, Any]:
        """Our layout; `validate` reads our own validation data."""
        return description(self.job.images, self.job.dataset.names)

    def setup_model(self) -> None:
        """The net of the plan instead of a file that is searched for."""
        self.model = self.job.make_net()

    def begin_epoch(self) -> None:
        """Starts the clock, and lets nothing of the epochs before count.

        Where the card's memory did not do, Ultralytics begins its first epoch anew with fewer
        images at once, and so in more steps.
        """
        self.began, self.step_number = time.monotonic(), 0
        steps, fewer = len(self.train_loader), self.batch_size < self.images_at_once
        if fewer:
            self._tell_memory()
        if not self.end or fewer:
            self.end = self.epochs * steps
            self.budget = time_budget_of(self.job.plan, self.job.dataset, steps, self.job.clock)
            self._keep_budget((self.epoch, 0), begins=True)
        if self.budget:
            self.budget.start_step()
        begin_epoch(self.train_loader, self.job.plan.train.seed, self.epoch)

    def _tell_memory(self) -> None:
        """Fewer images at once; batch and learning rate are those of the plan."""
        epoch, was, self.images_at_once = self.epoch + 1, self.images_at_once, self.batch_size
        text = (
            f"out of memory with {was} images at once: epoch {epoch} begins anew with "
            f"{self.images_at_once} at once; batch and learning rate stay"
        )
        facts = {"epoch": epoch, "step": 1, "micro_batch": self.images_at_once, "was": was}
        self.job.on_event(Event("memory", text, facts))

    def after_step(self) -> None:
        """Shows the loss, and stops where it is not a number."""
        self.step_number += 1
        if self.budget:
            self.budget.step_done()
            self._keep_budget((self.epoch, self.step_number))
            self.stop |= self.epoch * self.budget.steps_per_epoch + self.step_number >= self.end
        steps = len(self.train_loader)
        if not is_checked(self.device.type, self.step_number, steps):
            return
        if not np.isfinite(float(self.loss.detach())):
            raise not_finite(self.epoch + 1, self.step_number, self.job.plan.train.lr)
        mean = sum(float(value) for value in self.tloss.values())
        self.job.on_step(self.epoch + 1, self.step_number, steps, mean)

    def validate(self) -> tuple[dict[str, float], float]:
        """Lets our own scorer judge the averaged weights; the best ones are kept."""
        found = detections(
            self.ema.ema, self.job.preprocess, images(self.job.dataset, "val"), self.device
        )
        losses = {name: float(value) for name, value in self.tloss.items()}
        seconds, lr = time.monotonic() - self.began, self.optimizer.param_groups[0]["lr"]
        epoch = Epoch(self.epoch + 1, self.epochs, seconds, losses, lr, found)
        score = self.job.on_epoch(epoch)
        if score > self.best_score:
            self.best_score, self.best_epoch = score, self.epoch + 1
            self.best_state = _copied(self.ema.ema)
        self.best_fitness = self.best_score
        return {}, score

    def save_model(self) -> bool:
        """Keeps the budget, then saves all that the next epoch goes on from.

        A signal waits for the save; anywhere else in the epoch it breaks the epoch off.
        """
        with held():
            self._save()
        return True

    def _save(self) -> None:
        self.done = self.epoch + 1
        if self.budget:
            self.budget.epoch_done()
            self._keep_budget((self.done, 0))
            self._plan_epochs(self.epochs)
            self.stop |= self.done * self.budget.steps_per_epoch >= self.end
        facts = {
            "total": self.epochs,
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "updates": self.ema.updates,
            "waited_from": [self.stopper.best_fitness, self.stopper.best_epoch],
            "stopped": bool(self.stop),
        }
        tensors = {
            "model": self.model.state_dict(),
            "averaged": self.ema.ema.state_dict(),
            "optimiser": checkpoints.optimiser_tensors(self.optimizer),
            "best": self.best_state,
        }
        checkpoints.save(self.job.checkpoints, checkpoints.Checkpoint(self.done, tensors, facts))

    def resume_training(self, _: None) -> None:
        """Goes on from the newest checkpoint, if there is one."""
        saved = checkpoints.newest(self.job.checkpoints)
        if saved is None:
            return
        self.model.load_state_dict(saved.tensors["model"])
        self.ema.ema.load_state_dict(saved.tensors["averaged"])
        checkpoints.restore_optimiser(self.optimizer, saved.tensors["optimiser"])
        self.best_state, facts = saved.tensors["best"], saved.facts
        self.start_epoch = self.done = saved.epoch
        self.ema.updates = facts["updates"]
        self.best_score, self.best_epoch = facts["best_score"], facts["best_epoch"]
        self.stopper.best_fitness, self.stopper.best_epoch = facts["waited_from"]
        self._plan_epochs(facts["total"])
        criterion = self.model.init_criterion()
        if hasattr(criterion, "update"):  # YOLO 26 shifts the weight between its heads by epoch
            criterion.updates = saved.epoch - 1
            criterion.update()
        self.model.criterion = criterion

    def _keep_budget(self, here: tuple[int, int], *, begins: bool = False) -> None:
        """As many epochs, and steps of the last one, as the promised time allows."""
        if self.budget is None:
            return
        repeated = self.job.replay.in_steps(self.budget.steps_per_epoch)
        if repeated.ends:
            end = repeated.total_steps(here, self.end)
        else:
            end = self.budget.total_steps(*here, self.end, now=not here[1])
        if end != self.end or begins:
            self.end = end
            self.epochs = self.args.epochs = -(-end // self.budget.steps_per_epoch)
            facts = {"epoch": here[0], "step": here[1], "steps": end}
            self.job.on_event(Event("pace", "", facts))

    def _plan_epochs(self, total: int) -> None:
        """The schedule drawn together or out where the number of epochs has changed."""
        self.epochs = self.args.epochs = total
        if total != self.scheduled:
            self.scheduled = total
            self._setup_scheduler()
            self.scheduler.last_epoch = self.epoch

    def save_metrics(self, metrics: dict[str, float]) -> None:
        """The journal holds them."""

    def final_eval(self) -> None:
        """Nothing: the best weights have been judged already."""

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Never: `after_step` has stopped by then."""
        return False


def _copied(net: nn.Module) -> checkpoints.Tensors:
    return {name: t.detach().cpu().clone() for name, t in net.state_dict().items()}
